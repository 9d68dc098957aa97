"""1-D and 2-D convolution: any padding, stride, dilation and groups; depthwise with any multiplier.

x int8[N,H,W,C], w int8[O,KH,KW,C/groups] (OHWI, after to_nhwc), b int32[O] -> y int8[N,OH,OW,O].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node
from ..step import PROVED, Buffer, Scratch, Step, Struct, Table
from . import scratch, specialised
from .base import Canonical, Lowering, OpDef, Unit, activation
from .channels import channels
from .one_dimension import with_height
from .packed import in_four_bits, packed_step


def window(node: Node, kernel: Sequence[int], input_hw: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """strides, dilations (h, w) and pads (top, left, bottom, right) of a sliding window, auto_pad resolved.

    One entry less each for a 1-D window.
    """
    rank = len(kernel)
    strides = tuple(node.attrs.get("strides", (1,) * rank))
    dilations = tuple(node.attrs.get("dilations", (1,) * rank))
    auto = node.attrs.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        if set(dilations) != {1}:
            raise UserError(
                f"auto_pad {auto} with dilations {list(dilations)} is not supported (ONNX Runtime does not run it)",
                origin=node.where,
                hint="Export the model with explicit pads.",
            )
        total = [
            max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
            for size, k, s, d in zip(input_hw, kernel, strides, dilations, strict=True)
        ]
        small = [t // 2 for t in total]
        large = [t - h for t, h in zip(total, small, strict=True)]
        pads = (*small, *large) if auto == "SAME_UPPER" else (*large, *small)
    elif auto == "VALID":
        pads = (0,) * (2 * rank)
    else:
        pads = tuple(node.attrs.get("pads", (0,) * (2 * rank)))
    largest = max(*kernel, *strides, *dilations, *pads)
    if largest > np.iinfo(np.int32).max:
        raise UserError(
            f"a stride, dilation, pad or size of the window is beyond int32 ({largest:,})",
            origin=node.where,
            hint="Export the model with numbers that fit its input.",
        )
    return {"strides": strides, "dilations": dilations, "pads": pads}


def _recognise(unit: Unit) -> Node:
    weights = unit.weights(1)
    if weights.ndim not in (3, 4):
        raise UserError(
            f"only 1-D and 2-D convolution is supported (the weights have {weights.ndim} dimensions)",
            origin=unit.node.where,
            hint="Reshape to fewer dimensions before export.",
        )
    bias = unit.inputs[2] if len(unit.inputs) > 2 else ""
    if bias and unit.data(2) is None:
        raise UserError(
            "the bias is computed at run time",
            origin=unit.node.where,
            hint="Export it as a constant, or add it behind.",
        )
    return unit.make(
        "conv",
        (unit.inputs[0], unit.inputs[1], bias),
        group=int(unit.node.attrs.get("group", 1)),
        clamp=unit.clamp,
        **window(unit.node, weights.shape[2:], unit.type(0).shape[2:]),
    )


def _canonical(c: Canonical, node: Node) -> None:
    x, w, b = node.inputs
    weights = c.graph.data(w)
    assert weights is not None
    c.constant(w, np.transpose(c.native(weights), (0, 3, 1, 2)))
    inputs = [c.nchw(x), *c.q(x), w, *c.q(w), *c.q(node.output)]
    bias = c.graph.data(b) if b else None
    if bias is not None:
        inputs.append(c.constant(b, bias))

    def emit(output: str) -> None:
        c.add("QLinearConv", inputs, f"{output}/nchw", **onnx_window(node))
        c.from_nchw(f"{output}/nchw", output)

    c.clamped(node, emit)


def onnx_window(node: Node) -> dict[str, Any]:
    """The attributes of an ONNX convolution that `window` and the groups came from."""
    return {name: node.attrs[name] for name in ("strides", "pads", "dilations", "group")}


def dims(shape: Sequence[int]) -> Struct:
    return Struct("cmsis_nn_dims", dict(zip("nhwc", map(int, shape), strict=True)))


def tile(pair: Sequence[int]) -> dict[str, int]:
    """cmsis_nn_tile from (h, w); the struct has w first."""
    return {"w": pair[1], "h": pair[0]}


def _lower(lowering: Lowering, node: Node) -> Step:
    x, w, _ = node.inputs
    x_shape, y_shape = lowering.type(x).shape, lowering.type(node.output).shape
    weights = lowering.graph.data(w)
    assert weights is not None
    outputs, kernel_h, kernel_w, kernel_c = weights.shape
    layer = channels(lowering, node, weights.reshape(outputs, -1))
    padding, stride, dilation = node.attrs["pads"][:2], node.attrs["strides"], node.attrs["dilations"]
    groups, x_zero = node.attrs["group"], lowering.quant(x)[1]
    depthwise = groups == x_shape[3] > 1
    geometry: dict[str, Any] = {
        "stride": tile(stride),
        "padding": tile(padding),
        "dilation": tile(dilation),
        "activation": activation(node.attrs["clamp"]),
    }
    offsets = {"input_offset": -x_zero, "output_offset": layer.output_offset}
    bias = ("bias", Table("bias", layer.bias))
    inner: dict[str, Any]
    common: dict[str, Any] = dict(
        name=lowering.name,
        inputs=(x,),
        outputs=(node.output,),
        exactness=layer.exactness,
        origin=node.origin,
        macs=int(np.prod(y_shape)) * kernel_h * kernel_w * kernel_c,
        notes=layer.notes,
    )
    if not layer.fast:
        w_quant = lowering.type(w).quant
        assert w_quant is not None
        inner = offsets | {"groups": groups} | geometry
        inner |= {"multiplier": layer.multiplier, "shift": layer.shift}
        inner |= {"filter_zero_point": Table("filter_zero_point", np.broadcast_to(w_quant.zero_point, (outputs,)))}
        return Step(
            kernel="mcugen_convolve_direct_s8",
            args=(
                ("params", Struct("mcugen_direct_params", inner)),
                ("input_dims", dims(x_shape)),
                ("input", Buffer(x)),
                ("filter_dims", dims(weights.shape)),
                ("filter", Table("weights", weights)),
                bias,
                ("output_dims", dims(y_shape)),
                ("output", Buffer(node.output)),
            ),
            **common,
        )
    if not depthwise:
        shapes = dims(x_shape), dims(weights.shape), dims(y_shape)
        packed = packed_step(node, layer, weights, offsets | {"groups": groups} | geometry, shapes, common)
        if packed is not None:
            return packed
    special = specialised.lower(
        lowering,
        node,
        layer,
        weights,
        x_shape,
        y_shape,
        strides=stride,
        pads=padding,
        dilations=dilation,
        groups=groups,
        macs=int(np.prod(y_shape)) * kernel_h * kernel_w * kernel_c,
    )
    if special is not None:
        return special
    if depthwise:
        kernel, params = "arm_depthwise_conv_wrapper_s8", "cmsis_nn_dw_conv_params"
        inner = offsets | {"ch_mult": outputs // x_shape[3]} | geometry
        filter_data = np.transpose(weights, (3, 1, 2, 0))  # CMSIS-NN: [1, H, W, O]
        scratch_bytes = scratch.depthwise(
            lowering.core.isa,
            kernel=(kernel_h, kernel_w),
            input_channels=x_shape[3],
            output_channels=outputs,
            padding=padding,
            dilation=dilation,
        )
    else:
        kernel, params = "arm_convolve_wrapper_s8", "cmsis_nn_conv_params"
        inner = offsets | geometry
        filter_data = weights
        scratch_bytes = scratch.convolve(
            lowering.core.isa,
            kernel=(kernel_h, kernel_w),
            kernel_channels=kernel_c,
            input_channels=x_shape[3],
            padding=padding,
            dilation=dilation,
        )
    return Step(
        kernel=kernel,
        args=(
            ("context", Scratch()),
            ("params", Struct(params, inner)),
            (
                "quant",
                Struct(
                    "cmsis_nn_per_channel_quant_params",
                    {"multiplier": layer.multiplier, "shift": layer.shift},
                ),
            ),
            ("input_dims", dims(x_shape)),
            ("input", Buffer(x)),
            ("filter_dims", dims(filter_data.shape)),
            ("filter", Table("weights", filter_data)),
            ("bias_dims", dims((1, 1, 1, outputs))),
            bias,
            ("output_dims", dims(y_shape)),
            ("output", Buffer(node.output)),
        ),
        returns_status=True,
        scratch_bytes=scratch_bytes,
        **common,
    )


def _one_input_type(graph: Graph, node: Node) -> str | None:
    """Weights must be int8 or uint8, or have 4 bits. Quantize them to 8 bits."""
    dtype = graph.type(node.inputs[1]).dtype
    return None if dtype == "int8" else dtype


CONV = OpDef(
    name="conv",
    onnx=("Conv", "QLinearConv"),
    recognise=_recognise,
    canonical=_canonical,
    lower=in_four_bits(_lower),
    fit=with_height,
    layout="spatial",
    exactness=PROVED,
    limits=(_one_input_type,),
    about="1-D and 2-D; any padding, stride, dilation, groups; depthwise; 8- or 4-bit weights, per tensor or channel",
)
