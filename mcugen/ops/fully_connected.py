"""Fully connected: x int8[M,K], w int8[O,K], b int32[O] -> y int8[M,O]."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import UserError
from ..ir import Node
from ..step import PROVED, Buffer, KernelSums, Step, Struct, Table
from . import specialised
from .base import Canonical, Lowering, OpDef, Unit, activation
from .channels import channels
from .conv import dims, tile
from .packed import in_four_bits, packed_step


def _recognise(unit: Unit) -> Node:
    """Gemm in the one form that the pass `gemm_form` leaves: x times w[O,K] transposed, plus a bias."""
    weights = unit.weights(1)
    bias = unit.inputs[2] if len(unit.inputs) > 2 else ""
    if bias and unit.weights(2).size != len(weights):
        raise UserError(
            "the bias must have one value per output",
            origin=unit.node.where,
            hint="Add anything else behind the layer.",
        )
    return unit.make("fully_connected", (unit.inputs[0], unit.inputs[1], bias), clamp=unit.clamp)


def _rows(shape: tuple[int, ...]) -> tuple[int, int]:
    return math.prod(shape[:-1]), shape[-1]


def _canonical(c: Canonical, node: Node) -> None:
    x, w, b = node.inputs
    rows, depth = _rows(c.graph.type(x).shape)
    shape = c.graph.type(node.output).shape
    matrix = c.add(
        "Reshape",
        [c.tensor(x), c.constant(f"{node.output}/in", np.array([rows, depth], np.int64))],
        f"{node.output}/matrix",
    )
    bias = c.graph.data(b) if b else None
    inputs = [matrix, *c.q(x), c.tensor(w), *c.q(w)]
    inputs.append(c.constant(b, bias.reshape(-1)) if bias is not None else "")
    inputs += c.q(node.output)

    def emit(output: str) -> None:
        c.add("QGemm", inputs, f"{output}/gemm", "com.microsoft", alpha=1.0, transA=0, transB=1)
        c.add("Reshape", [f"{output}/gemm", c.constant(f"{output}/shape", np.array(shape, np.int64))], output)

    c.clamped(node, emit)


def _lower(lowering: Lowering, node: Node) -> Step:
    x, w, _ = node.inputs
    weights = lowering.graph.data(w)
    assert weights is not None
    rows, depth = _rows(lowering.type(x).shape)
    outputs = len(weights)
    layer = channels(lowering, node, weights)
    x_zero = lowering.quant(x)[1]
    offsets: dict[str, Any] = {"input_offset": -x_zero, "output_offset": layer.output_offset}
    act = {"activation": activation(node.attrs["clamp"])}
    common: dict[str, Any] = dict(
        name=lowering.name,
        inputs=(x,),
        outputs=(node.output,),
        exactness=layer.exactness,
        origin=node.origin,
        macs=rows * depth * outputs,
        notes=layer.notes,
    )
    bias = ("bias", Table("bias", layer.bias))
    one = {"stride": tile((1, 1)), "padding": tile((0, 0)), "dilation": tile((1, 1))}
    every = dims((rows, 1, 1, depth)), dims((outputs, 1, 1, depth)), dims((rows, 1, 1, outputs))
    matrix = weights.reshape(outputs, 1, 1, depth)
    packed = packed_step(node, layer, matrix, offsets | {"groups": 1} | one | act, every, common)
    if packed is not None:
        return packed
    if not layer.fast:
        w_quant = lowering.type(w).quant
        assert w_quant is not None
        zero_points = Table("filter_zero_point", np.broadcast_to(w_quant.zero_point, (outputs,)))
        tables = {"multiplier": layer.multiplier, "shift": layer.shift, "filter_zero_point": zero_points}
        return Step(
            kernel="mcugen_convolve_direct_s8",
            args=(
                ("params", Struct("mcugen_direct_params", offsets | {"groups": 1} | one | act | tables)),
                ("input_dims", every[0]),
                ("input", Buffer(x)),
                ("filter_dims", every[1]),
                ("filter", Table("weights", weights)),
                bias,
                ("output_dims", every[2]),
                ("output", Buffer(node.output)),
            ),
            **common,
        )
    shapes = (1, 1, rows, depth), (1, 1, rows, outputs)
    special = specialised.lower(lowering, node, layer, matrix, *shapes, macs=rows * depth * outputs)
    if special is not None:
        return special
    # Arm's MVE kernels read bias + input_offset * sum(weights) from the context, and nothing else.
    sums = layer.bias.astype(np.int64) - x_zero * weights.astype(np.int64).sum(axis=1)
    return Step(
        kernel="arm_fully_connected_per_channel_s8",
        args=(
            ("context", KernelSums(Table("sums", sums.astype(np.int32)))),
            ("params", Struct("cmsis_nn_fc_params", offsets | {"filter_offset": 0} | act)),
            (
                "quant",
                Struct(
                    "cmsis_nn_per_channel_quant_params",
                    {"multiplier": layer.multiplier, "shift": layer.shift},
                ),
            ),
            ("input_dims", dims((rows, 1, 1, depth))),
            ("input", Buffer(x)),
            ("filter_dims", dims((depth, 1, 1, outputs))),
            ("filter", Table("weights", weights)),
            ("bias_dims", dims((1, 1, 1, outputs))),
            bias,
            ("output_dims", dims((rows, 1, 1, outputs))),
            ("output", Buffer(node.output)),
        ),
        returns_status=True,
        **common,
    )


FULLY_CONNECTED = OpDef(
    name="fully_connected",
    onnx=("Gemm", "MatMul", "QGemm", "QLinearMatMul"),
    recognise=_recognise,
    canonical=_canonical,
    lower=in_four_bits(_lower),
    layout="fixed",
    exactness=PROVED,
    about="constant weights of 8 or 4 bits, optional bias (Gemm, or MatMul + Add); any leading dimensions",
)
