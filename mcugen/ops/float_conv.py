"""Convolution and fully connected in float32.

x float32[N,H,W,C] (or [...,K]), w float32[O,KH,KW,C/groups] (OHWI after to_nhwc; or [O,K]), b float32[O] -> y float32.
Sums run over the taps and then over the channels, the bias last; ORT's order depends on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node
from ..step import FLOAT, Step, Struct
from .base import Canonical, FloatUnit, Lowering, OpDef
from .conv import onnx_window, window
from .layer import Layer, convolution, fully_connected
from .one_dimension import with_height

TOLERANCE = 1e-5  # n products of random signs: about sqrt(n) roundings of 6e-8 of the largest result


def _conv_from_float(unit: FloatUnit) -> Node:
    inputs = (unit.name(0), unit.name(1), _bias(unit))
    return unit.make("float_conv", inputs, **convolved(unit.graph, unit.node, unit.constant(1)))


def convolved(graph: Graph, node: Node, weights: np.ndarray) -> dict[str, Any]:
    """The group and the window of a Conv with these weights."""
    if weights.ndim not in (3, 4):
        raise UserError(
            f"only 1-D and 2-D convolution is supported (the weights have {weights.ndim} dimensions)",
            origin=node.where,
            hint="Reshape to fewer dimensions before export.",
        )
    x = graph.type(node.inputs[0]).shape
    return {"group": int(node.attrs.get("group", 1)), **window(node, weights.shape[2:], x[2:])}


def _gemm_from_float(unit: FloatUnit) -> Node:
    """Gemm in the one form that the pass gemm_form leaves: x times w[O,K] transposed, plus a bias."""
    unit.constant(1)
    return unit.make("float_fully_connected", (unit.name(0), unit.name(1), _bias(unit)))


def _bias(unit: FloatUnit) -> str:
    if unit.name(2):
        unit.constant(2)
    return unit.name(2)


def _bias_values(c: Canonical | Lowering, node: Node, outputs: int) -> np.ndarray | None:
    data = c.graph.data(node.inputs[2])
    return None if data is None else np.broadcast_to(data.reshape(-1), (outputs,))


def _canonical_conv(c: Canonical, node: Node) -> None:
    x, w, _ = node.inputs
    weights = c.graph.data(w)
    assert weights is not None
    inputs = [c.nchw(x), c.constant(w, np.transpose(weights, (0, 3, 1, 2)))]
    bias = _bias_values(c, node, len(weights))
    if bias is not None:
        inputs.append(c.constant(f"{node.output}/bias", bias))
    y = c.add("Conv", inputs, f"{node.output}/nchw", **onnx_window(node))
    c.bounded(node, c.from_nchw(y, f"{node.output}/nhwc"))


def _canonical_fully_connected(c: Canonical, node: Node) -> None:
    x, w, _ = node.inputs
    weights = c.graph.data(w)
    assert weights is not None
    y = c.add("MatMul", [c.tensor(x), c.constant(w, np.ascontiguousarray(weights.T))], f"{node.output}/product")
    bias = _bias_values(c, node, len(weights))
    if bias is not None:
        y = c.add("Add", [y, c.constant(f"{node.output}/bias", bias)], f"{node.output}/sum")
    c.bounded(node, y)


def _lower(find: Callable[[Lowering, Node], Layer]) -> Callable[[Lowering, Node], Step]:
    def lower(lowering: Lowering, node: Node) -> Step:
        layer = find(lowering, node)
        low, high = node.attrs["clamp"]
        fields = layer.geometry | {"low": np.float32(low), "high": np.float32(high)}
        bias = _bias_values(lowering, node, layer.outputs)
        return Step(
            name=lowering.name,
            kernel="mcugen_f32_convolve",
            args=(("params", Struct("mcugen_f32_conv_params", fields)), *layer.args(node, bias)),
            inputs=node.inputs[:1],
            outputs=(node.output,),
            exactness=FLOAT,
            tolerance=TOLERANCE,
            origin=node.origin,
            macs=layer.macs,
        )

    return lower


FLOAT_CONV = OpDef(
    name="float_conv",
    onnx=("Conv",),
    from_float=_conv_from_float,
    canonical=_canonical_conv,
    lower=_lower(convolution),
    fit=with_height,
    layout="spatial",
    exactness=FLOAT,
    about=f"float32, 1-D and 2-D, constant weights; within {TOLERANCE:g} of the largest result",
)

FLOAT_FULLY_CONNECTED = OpDef(
    name="float_fully_connected",
    onnx=("Gemm",),
    from_float=_gemm_from_float,
    canonical=_canonical_fully_connected,
    lower=_lower(fully_connected),
    layout="fixed",
    exactness=FLOAT,
    about=f"float32, constant weights; within {TOLERANCE:g} of the largest result",
)
