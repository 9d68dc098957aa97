"""Convolution and fully connected from 8-bit inputs to float32: ConvInteger or MatMulInteger, and a scale behind it.

x int8[N,H,W,C] (or [...,K]) with its zero point int8[] and scale float32[], w int8 with scales and zero points known at
compile time (OHWI after to_nhwc, or [O,K]), bias float32[O] -> y float32: fl(fl(sum) * fl(x_scale * w_scale)) + bias.
A bias of int32[O] belongs to the sum. The pass dynamic_forms makes both from the nodes that dynamic quantization
writes; recognise_quantized from layers between DequantizeLinear and a float reader, x's scale and zero point constants:

    MatMulIntegerToFloat(x, w)      what ONNX Runtime makes of MatMul
    QGemm(x, w, bias int32)         what it makes of Gemm, and of MatMul and Add
    in_float                        what it computes in float32, of all others; here the same sums, within a tolerance
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from ..ir import Node
from ..step import FLOAT, PROVED, Buffer, Step, Struct, Table
from .base import Canonical, Lowering, OpDef
from .conv import onnx_window
from .float_conv import TOLERANCE
from .layer import Layer, convolution, fully_connected
from .one_dimension import with_height


def _scaled(c: Canonical, node: Node, sums: str, channel_axis: int, rank: int) -> None:
    """From int32 sums to the output, in the order in which ORT rounds."""
    _, w, b, x_scale, _ = node.inputs
    y = node.output
    quant = c.graph.type(w).quant
    assert quant is not None
    shape = [-1 if axis == channel_axis else 1 for axis in range(rank)]
    scale = c.add("Mul", [c.tensor(x_scale), c.constant(f"{y}/w_scale", quant.scale.reshape(shape))], f"{y}/scale")
    bias = c.graph.data(b)
    offset = [] if bias is None else [c.constant(f"{y}/bias", bias.reshape(shape))]
    if bias is not None and bias.dtype == np.int32:
        sums, offset = c.add("Add", [sums, *offset], f"{y}/started"), []
    real = c.add("Cast", [sums], f"{y}/sums", to=onnx.TensorProto.FLOAT)
    value = c.add("Mul", [real, scale], f"{y}/scaled")
    c.bounded(node, c.add("Add", [value, *offset], f"{y}/biased") if offset else value)


def _in_float(c: Canonical, node: Node, op: str, x: str, weights: np.ndarray, **window: Any) -> str:
    """The layer on dequantized numbers. weights: codes, as `op` takes them, outputs on the axis that `op` has."""
    _, w, b, _, _ = node.inputs
    y, quant, bias = node.output, c.graph.type(w).quant, c.graph.data(b)
    assert quant is not None
    axis = [-1, *(1,) * (weights.ndim - 1)] if op == "Conv" else [-1]
    scale, zero = (part.reshape(axis) for part in (quant.scale, quant.zero_point))
    real = c.constant(f"{y}/weights", (weights.astype(np.int32) - zero).astype(np.float32) * scale)
    x = c.add("DequantizeLinear", [x, *c.q(node.inputs[0])], f"{y}/x")
    offset = [] if bias is None else [c.constant(f"{y}/bias", bias)]
    if op == "Conv":
        return c.add(op, [x, real, *offset], f"{y}/nchw", **window)
    product = c.add(op, [x, real], f"{y}/product")
    return c.add("Add", [product, *offset], f"{y}/sum") if offset else product


def _zero_points(c: Canonical, node: Node) -> list[str]:
    quant = c.graph.type(node.inputs[1]).quant
    assert quant is not None
    zero = quant.zero_point if np.any(quant.zero_point != quant.zero_point[0]) else quant.zero_point[:1].reshape(())
    return [c.tensor(node.inputs[4]), c.constant(f"{node.output}/w_zero_point", c.native(zero))]


def _canonical_conv(c: Canonical, node: Node) -> None:
    x, w, *_ = node.inputs
    weights = c.graph.data(w)
    assert weights is not None
    if node.attrs.get("in_float"):
        sums = _in_float(c, node, "Conv", c.nchw(x), np.transpose(weights, (0, 3, 1, 2)), **onnx_window(node))
        c.bounded(node, c.from_nchw(sums, f"{node.output}/nhwc"))
        return
    c.constant(w, np.transpose(c.native(weights), (0, 3, 1, 2)))
    inputs = [c.nchw(x), w, *_zero_points(c, node)]
    sums = c.add("ConvInteger", inputs, f"{node.output}/nchw", **onnx_window(node))
    _scaled(c, node, c.from_nchw(sums, f"{node.output}/nhwc_sums"), 3, 4)


def _canonical_fully_connected(c: Canonical, node: Node) -> None:
    x, w, *_ = node.inputs
    weights = c.graph.data(w)
    assert weights is not None
    if node.attrs.get("in_float"):
        c.bounded(node, _in_float(c, node, "MatMul", c.tensor(x), weights.T))
        return
    c.constant(w, np.ascontiguousarray(c.native(weights).T))
    sums = c.add("MatMulInteger", [c.tensor(x), w, *_zero_points(c, node)], f"{node.output}/products")
    rank = len(c.graph.type(node.output).shape)
    _scaled(c, node, sums, rank - 1, rank)


def _lower(find: Callable[[Lowering, Node], Layer]) -> Callable[[Lowering, Node], Step]:
    def lower(lowering: Lowering, node: Node) -> Step:
        x, w, b, x_scale, x_zero = node.inputs
        layer = find(lowering, node)
        quant = lowering.type(w).quant
        assert quant is not None
        low, high = node.attrs["clamp"]
        fields = layer.geometry | {"low": np.float32(low), "high": np.float32(high)}
        fields |= {"filter_scale": Table("filter_scale", np.broadcast_to(quant.scale, (layer.outputs,)))}
        if np.any(quant.zero_point != 0):
            zeros = np.broadcast_to(quant.zero_point, (layer.outputs,))
            fields["filter_zero_point"] = Table("filter_zero_point", zeros)
        bias = lowering.graph.data(b)
        if bias is not None and bias.dtype == np.int32:
            fields["start"], bias = Table("start", bias), None
        in_float = node.attrs.get("in_float", False)
        return Step(
            name=lowering.name,
            kernel="mcugen_dynamic_convolve_s8_f32",
            args=(
                ("params", Struct("mcugen_dynamic_params", fields)),
                ("input_scale", Buffer(x_scale)),
                ("input_zero_point", Buffer(x_zero)),
                *layer.args(node, bias),
            ),
            inputs=tuple(name for name in (x, x_scale, x_zero) if lowering.graph.data(name) is None),
            outputs=(node.output,),
            exactness=FLOAT if in_float else PROVED,
            tolerance=TOLERANCE if in_float else 0.0,
            origin=node.origin,
            macs=layer.macs,
        )

    return lower


DYNAMIC_CONV = OpDef(
    name="dynamic_conv",
    onnx=("ConvInteger",),
    canonical=_canonical_conv,
    lower=_lower(convolution),
    fit=with_height,
    layout="spatial",
    exactness=PROVED,
    about="1-D and 2-D, input quantized at run time, constant weights, float scale and bias behind it; also Conv of 8 "
    f"bits with a float32 result, within {TOLERANCE:g} of the largest one: ONNX Runtime computes it in float32",
)

DYNAMIC_FULLY_CONNECTED = OpDef(
    name="dynamic_fully_connected",
    onnx=("MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"),
    canonical=_canonical_fully_connected,
    lower=_lower(fully_connected),
    layout="fixed",
    exactness=PROVED,
    about="input quantized at run time, constant weights, float scale and bias behind it; also Gemm and MatMul of 8 "
    f"bits with a float32 result, proved without bias or with an int32 one, else within {TOLERANCE:g} of the largest",
)
