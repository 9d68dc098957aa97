"""Convolution and fully connected of 16-bit activations and weights of 8 or 4 bits.

x int16[N,H,W,C] (or [...,K]), w int8[O,KH,KW,C/groups] (OHWI after to_nhwc; or [O,K]), bias int64[O] -> y int16.

ONNX Runtime has no integer kernel for these types: it dequantizes, computes in float32 and quantizes. The integer form
is defined here: y = clamp(rne(sum * factor) + zero point), the sum exact, the factor as
`requant.wide_multiplier` has it. Both round the same real number; a float32 sum is off by a few 2^-24 of its largest
terms, so that the results differ where the real number lies that near to a tie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from onnx import TensorProto

from .. import requant
from ..ir import Graph, Node
from ..step import INTEGER, Buffer, Scratch, Step, Struct, Table
from .base import Canonical, Lowering, OpDef, activation, widened
from .conv import CONV, dims, tile
from .conv_transpose import CONV_TRANSPOSE, transpose_geometry, transpose_macs
from .fully_connected import FULLY_CONNECTED
from .packed import columns_bytes, fits, is_smaller, pack

OFFSET = 2**62  # makes a product positive: ORT shifts unsigned integers only


def _weights(graph: Graph, node: Node) -> np.ndarray:
    """int16[O,KH,KW,C/groups]: the weights without their zero points; a fully connected layer is a 1x1 convolution."""
    data, q = graph.data(node.inputs[1]), graph.type(node.inputs[1]).quant
    assert data is not None and q is not None
    shaped = data.reshape(len(data), 1, 1, -1) if data.ndim == 2 else data
    return shaped.astype(np.int16) - q.zero_point.astype(np.int16).reshape(-1, 1, 1, 1)


def _bias(graph: Graph, node: Node, outputs: int) -> np.ndarray:
    data = graph.data(node.inputs[2])
    return np.zeros(outputs, np.int64) if data is None else np.asarray(data, np.int64).reshape(-1)


def _reach(graph: Graph, node: Node) -> np.ndarray:
    """int64[O]: what sums reach at most, those of a part of the products too, with or without zero points."""
    x = graph.type(node.inputs[0]).quant
    assert x is not None
    weights = _weights(graph, node)
    outputs, x_zero = len(weights), x.per_tensor[1]
    largest = max(abs(-32768 - x_zero), abs(32767 - x_zero))
    total = np.abs(weights.astype(np.int64)).reshape(outputs, -1).sum(axis=1)
    return np.asarray(largest * total + np.abs(_bias(graph, node, outputs)))


def _factors(graph: Graph, node: Node) -> requant.WideMultiplier:
    x, w, y = (graph.type(name).quant for name in (*node.inputs[:2], node.output))
    assert x is not None and w is not None and y is not None
    reach = _reach(graph, node)
    return requant.wide_multiplier(x.per_tensor[0], np.broadcast_to(w.scale, reach.shape), y.per_tensor[0], reach)


# Meaning


def _centred(c: Canonical, node: Node) -> str:
    """The input less its zero point, int64."""
    x, key = node.inputs[0], node.output
    zero = int(c.q_zero(x))
    value = c.add("Cast", [c.tensor(x)], f"{key}/input", to=TensorProto.INT64)
    return c.add("Sub", [value, c.constant(f"{key}/input zero", np.int64(zero))], f"{key}/centred")


def _requantized(c: Canonical, node: Node, total: str, channels_last: bool) -> str:
    """The codes int64 from the sums without their bias, in the layout of `total`."""
    key = node.output
    outputs = len(_weights(c.graph, node))
    shape = (outputs,) if channels_last else (outputs, 1)
    bias = c.constant(f"{key}/bias", _bias(c.graph, node, outputs).reshape(shape))
    return rounded(c, node, c.add("Add", [total, bias], f"{key}/sum"), _factors(c.graph, node), shape)


def shifted(c: Canonical, key: str, source: str, by: str) -> str:
    """The int64 numbers `source`, which are not negative, shifted right."""
    bits = c.add("Cast", [source], f"{key} bits", to=TensorProto.UINT64)
    down = c.add("BitShift", [bits, by], f"{key} shifted", direction="RIGHT")
    return c.add("Cast", [down], key, to=TensorProto.INT64)


def rounded(c: Canonical, node: Node, total: str, factors: requant.WideMultiplier, shape: tuple[int, ...]) -> str:
    """rne(total * multiplier / 2^shift) + zero point, clamped: int64; `shape`: of the factors, to meet `total`."""
    key = node.output

    def number(name: str, values: np.ndarray) -> str:
        return c.constant(f"{key}/{name}", values.reshape(shape))

    shift = factors.shift.astype(np.int64)
    product = c.add("Mul", [total, number("multiplier", factors.multiplier.astype(np.int64))], f"{key}/product")
    moved = c.add("Add", [product, c.constant(f"{key}/offset", np.int64(OFFSET))], f"{key}/positive")
    by = number("shift", shift.astype(np.uint64))
    odd = c.add(
        "BitwiseAnd", [shifted(c, f"{key}/floor", moved, by), c.constant(f"{key}/one", np.int64(1))], f"{key}/odd"
    )
    half = number("half", (np.int64(1) << (shift - 1)) - 1)
    up = c.add("Add", [c.add("Add", [moved, half], f"{key}/up"), odd], f"{key}/to even")
    zero = int(c.q_zero(key)) - (np.int64(OFFSET) >> shift)
    value = c.add("Add", [shifted(c, f"{key}/rounded", up, by), number("zero", zero)], f"{key}/code")
    low, high = (int(c.native(end, "int16")) for end in node.attrs["clamp"])
    ends = [c.constant(f"{key}/{name}", np.int64(end)) for name, end in (("low", low), ("high", high))]
    return c.add("Clip", [value, *ends], f"{key}/clamped")


def _canonical_fully_connected(c: Canonical, node: Node) -> None:
    weights = _weights(c.graph, node)
    matrix = c.constant(f"{node.output}/weights", weights.reshape(len(weights), -1).T.astype(np.int64))
    total = c.add("MatMul", [_centred(c, node), matrix], f"{node.output}/products")
    c.narrow(_requantized(c, node, total, channels_last=True), node.output)


def _canonical_conv(c: Canonical, node: Node) -> None:
    key, (top, left, bottom, right) = node.output, node.attrs["pads"]
    _, height, width, _ = c.graph.type(node.inputs[0]).shape
    framed = _framed(c, key, _planes(c, node), (0, 0, top, left, 0, 0, bottom, right))
    extent = (height + top + bottom, width + left + right)
    _windows(c, node, framed, extent, _weights(c.graph, node), node.attrs["strides"])


def _canonical_transpose(c: Canonical, node: Node) -> None:
    """A convolution with the taps reversed over an input with stride - 1 zeros between its elements."""
    key, weights = node.output, _weights(c.graph, node)
    batch, height, width, depth = c.graph.type(node.inputs[0]).shape
    (stride_h, stride_w), (top, left) = node.attrs["strides"], node.attrs["pads"][:2]
    reach = [(k - 1) * d for k, d in zip(weights.shape[1:3], node.attrs["dilations"], strict=True)]
    out_h, out_w = c.graph.type(key).shape[1:3]
    before = (reach[0] - top, reach[1] - left)
    after = (out_h - height * stride_h + top, out_w - width * stride_w + left)
    apart = c.reshaped(_planes(c, node), (batch, depth, height, 1, width, 1), f"{key}/apart")
    apart = _framed(c, f"{key}/zeros", apart, (*(0,) * 9, stride_h - 1, 0, stride_w - 1))
    joined = c.reshaped(apart, (batch, depth, height * stride_h, width * stride_w), f"{key}/joined")
    framed = _framed(c, key, joined, (0, 0, *before, 0, 0, *after))
    _windows(c, node, framed, (out_h + reach[0], out_w + reach[1]), weights[:, ::-1, ::-1], (1, 1))


def _planes(c: Canonical, node: Node) -> str:
    return c.add("Transpose", [_centred(c, node)], f"{node.output}/planes", perm=[0, 3, 1, 2])


def _framed(c: Canonical, key: str, source: str, pads: Sequence[int]) -> str:
    amounts = c.constant(f"{key}/pads", np.array(pads, np.int64))
    return c.add("Pad", [source, amounts, c.constant(f"{key}/nothing", np.int64(0))], f"{key}/framed")


def _windows(
    c: Canonical, node: Node, framed: str, extent: tuple[int, int], weights: np.ndarray, strides: Sequence[int]
) -> None:
    """The taps of every window of `framed` [N, C, *extent] gathered, then one matrix product a group."""
    key, groups = node.output, node.attrs["group"]
    outputs, *kernel, depth = weights.shape
    batch, *_, channels = c.graph.type(node.inputs[0]).shape
    flat = c.reshaped(framed, (batch, channels, extent[0] * extent[1]), f"{key}/flat")
    out_h, out_w = c.graph.type(key).shape[1:3]
    taps = _positions(kernel, (out_h, out_w), strides, node.attrs["dilations"], extent[1])
    seen = c.add("Gather", [flat, c.constant(f"{key}/taps", taps.reshape(-1))], f"{key}/seen", axis=2)
    pixels, size = out_h * out_w, depth * len(taps)
    columns = c.reshaped(seen, (batch, groups, size, pixels), f"{key}/columns")
    filters = np.transpose(weights, (0, 3, 1, 2)).reshape(1, groups, outputs // groups, size).astype(np.int64)
    products = c.add("MatMul", [c.constant(f"{key}/weights", filters), columns], f"{key}/products")
    total = c.reshaped(products, (batch, outputs, pixels), f"{key}/totals")
    codes = _requantized(c, node, total, channels_last=False)
    image = c.reshaped(codes, (batch, outputs, out_h, out_w), f"{key}/nchw")
    c.narrow(c.from_nchw(image, f"{key}/nhwc"), key)


def _positions(
    kernel: Sequence[int], output: Sequence[int], strides: Sequence[int], dilations: Sequence[int], width: int
) -> np.ndarray:
    """int64[KH*KW, OH*OW]: which pixel of the padded image each tap of each window sees."""
    rows, columns = (
        np.arange(kernel[axis])[:, None] * dilations[axis] + np.arange(output[axis])[None, :] * strides[axis]
        for axis in (0, 1)
    )
    return (rows[:, None, :, None] * width + columns[None, :, None, :]).reshape(kernel[0] * kernel[1], -1)


# Calls


def _lower(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    graph = lowering.graph
    weights = _weights(graph, node)
    outputs, _, _, depth = weights.shape
    x_shape, y_shape = lowering.type(x).shape, lowering.type(node.output).shape
    if node.op == "fully_connected_16":
        rows = int(np.prod(x_shape[:-1], dtype=np.int64))
        x_shape, y_shape = (1, 1, rows, depth), (1, 1, rows, outputs)
    x_zero, y_zero = lowering.quant(x)[1], lowering.quant(node.output)[1]
    factors = _factors(graph, node)
    groups = node.attrs.get("group", 1)
    offset = _bias(graph, node, outputs) - x_zero * weights.astype(np.int64).reshape(outputs, -1).sum(axis=1)
    fields = {
        "input_zero_point": x_zero,
        "output_zero_point": y_zero,
        "groups": groups,
        "stride": tile(node.attrs.get("strides", (1, 1))),
        "padding": tile(node.attrs.get("pads", (0, 0))[:2]),
        "dilation": tile(node.attrs.get("dilations", (1, 1))),
        "activation": activation(node.attrs["clamp"]),
        "multiplier": Table("multiplier", factors.multiplier),
        "shift": Table("shift", factors.shift),
        "offset": Table("offset", offset),
    }
    filters = weights.astype(np.int8)
    narrow = bool(_reach(graph, node).max() < 2**31 and factors.shift.min() > 32)
    depthwise = depth == 1 and groups == x_shape[3] > 1 and narrow
    packed = node.attrs.get("weight_bits") == 4 and not depthwise and fits(filters) and is_smaller(filters)
    whole = "mcugen_convolve_s16" if narrow else "mcugen_convolve_wide_s16"
    kernel_name = "mcugen_depthwise_s16" if depthwise else "mcugen_convolve_s16_s4" if packed else whole
    stored = np.transpose(filters, (3, 1, 2, 0)) if depthwise else filters
    pixels = y_shape[1] * y_shape[2]
    columns = min(pixels, 2) * filters[0].size * np.dtype(np.int16).itemsize
    return Step(
        name=lowering.name,
        kernel=kernel_name,
        args=(
            *(() if depthwise else (("context", Scratch()),)),
            ("params", Struct("mcugen_conv_s16_params", fields)),
            ("input_dims", dims(x_shape)),
            ("input", Buffer(x)),
            ("filter_dims", dims(stored.shape)),
            ("filter", Table("weights", pack(stored) if packed else stored)),
            ("output_dims", dims(y_shape)),
            ("output", Buffer(node.output)),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=INTEGER,
        origin=node.origin,
        scratch_bytes=0 if depthwise else columns_bytes(filters, pixels) if packed else columns,
        macs=int(np.prod(y_shape)) * filters[0].size,
    )


def _lower_transpose(lowering: Lowering, node: Node) -> Step:
    graph, x = lowering.graph, node.inputs[0]
    weights, factors = _weights(graph, node), _factors(graph, node)
    outputs, (x_zero, y_zero) = len(weights), (lowering.quant(name)[1] for name in (x, node.output))
    fields = {
        **transpose_geometry(node),
        "input_zero_point": x_zero,
        "output_zero_point": y_zero,
        "activation": activation(node.attrs["clamp"]),
        "multiplier": Table("multiplier", factors.multiplier),
        "shift": Table("shift", factors.shift),
        "bias": Table("bias", _bias(graph, node, outputs)),
        "tap_sums": Table("tap_sums", weights.sum(axis=3, dtype=np.int32).reshape(-1)),
    }
    return Step(
        name=lowering.name,
        kernel="mcugen_conv_transpose_s16",
        args=(
            ("params", Struct("mcugen_conv_transpose_s16_params", fields)),
            ("input_dims", dims(lowering.type(x).shape)),
            ("input", Buffer(x)),
            ("filter_dims", dims(weights.shape)),
            ("filter", Table("weights", weights.astype(np.int8))),
            ("output_dims", dims(lowering.type(node.output).shape)),
            ("output", Buffer(node.output)),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=INTEGER,
        origin=node.origin,
        macs=transpose_macs(lowering, node),
    )


def _narrow_weights(graph: Graph, node: Node) -> str | None:
    """Weights less their zero point must fit int8. Quantize them symmetrically (QInt8, or WeightSymmetric)."""
    weights = _weights(graph, node)
    low, high = int(weights.min()), int(weights.max())
    return None if low >= -128 and high <= 127 else f"they reach {low} to {high}"


def _definition(
    narrow: OpDef,
    canonical: Callable[[Canonical, Node], None],
    lower: Callable[[Lowering, Node], Step],
    about: str,
) -> OpDef:
    return replace(
        narrow,
        name=f"{narrow.name}_16",
        onnx=tuple(op for op in narrow.onnx if op in ("Conv", "ConvTranspose", "Gemm")),
        recognise=widened(narrow.recognise, integer_form=True),
        canonical=canonical,
        lower=lower,
        exactness=INTEGER,
        limits=(*(limit for limit in narrow.limits if narrow is CONV_TRANSPOSE), _narrow_weights),
        bits=(16,),
        about=f"{about}; 16-bit activations, weights of 8 or 4 bits, exact sums; ONNX Runtime computes it in float",
    )


_WINDOWS = "1-D and 2-D; any padding, stride, dilation, groups"
CONV_16 = _definition(CONV, _canonical_conv, _lower, _WINDOWS)
CONV_TRANSPOSE_16 = _definition(CONV_TRANSPOSE, _canonical_transpose, _lower_transpose, _WINDOWS)
FULLY_CONNECTED_16 = _definition(FULLY_CONNECTED, _canonical_fully_connected, _lower, "constant weights")
