"""Transposed convolution, 1-D and 2-D: as integers (ORT runs it in float, so this is its integer form), and in float32.

x int8[N,H,W,C], w int8[O,KH,KW,C/groups] (OHWI, after to_nhwc), b int32[O] -> y int8[N,OH,OW,O], or all of them
float32; y gathers from x[i] with the taps k for which i * stride + k * dilation - pad is the output's position.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node, attrs
from ..step import FLOAT, INTEGER, Arg, Buffer, Step, Struct, Table
from .base import Canonical, Fitter, FloatUnit, Lowering, OpDef, Unit, activation
from .channels import channels
from .conv import dims, tile
from .one_dimension import with_height

TOLERANCE = 1e-5  # as of float_conv


def _recognise(unit: Unit) -> Node:
    weights = unit.weights(1)
    form = _form(unit.node, weights, unit.type(0).shape, unit.output_type.shape)
    q = unit.type(1).quant
    assert q is not None
    if q.axis not in (None, 1):
        raise UserError(
            f"the weights are quantized along axis {q.axis}",
            origin=unit.node.where,
            hint="Quantize the weights of a transposed convolution per tensor, or along axis 1.",
        )
    bias = unit.inputs[2] if len(unit.inputs) > 2 else ""
    node = unit.make("conv_transpose", (unit.inputs[0], unit.inputs[1], bias), clamp=unit.clamp, **form)
    return replace(node, attrs=attrs(**node.attrs, integer_form=True))


def _from_float(unit: FloatUnit) -> Node:
    weights = unit.constant(1)
    if unit.name(2):
        unit.constant(2)
    form = _form(unit.node, weights, unit.type(0).shape, unit.graph.type(unit.node.output).shape)
    return unit.make("float_conv_transpose", (unit.name(0), unit.name(1), unit.name(2)), **form)


def _form(node: Node, weights: np.ndarray, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> dict[str, Any]:
    """The attributes, with explicit pads; weights still [C, O/groups, ...]."""
    if weights.ndim not in (3, 4):
        raise UserError(
            f"only 1-D and 2-D transposed convolution is supported (the weights have {weights.ndim} dimensions)",
            origin=node.where,
            hint="Reshape to fewer dimensions before export.",
        )
    given, kernel = node.attrs, weights.shape[2:]
    rank = len(kernel)
    strides = tuple(given.get("strides", (1,) * rank))
    dilations = tuple(given.get("dilations", (1,) * rank))
    extra = tuple(given.get("output_padding", (0,) * rank))
    pads = tuple(given.get("pads", (0,) * (2 * rank)))
    auto = given.get("auto_pad", "NOTSET")
    if auto.startswith("SAME") or "output_shape" in given:
        sizes = zip(x_shape[2:], y_shape[2:], strides, kernel, dilations, extra, strict=True)
        total = [max((i - 1) * s + (k - 1) * d + 1 + e - o, 0) for i, o, s, k, d, e in sizes]
        small = [t // 2 for t in total]
        large = [t - h for t, h in zip(total, small, strict=True)]
        pads = (*small, *large) if auto == "SAME_UPPER" else (*large, *small)
    group = int(given.get("group", 1))
    return {"group": group, "strides": strides, "dilations": dilations, "pads": pads, "iohw": True}


def _fit(fit: Fitter, node: Node) -> bool:
    """Weights [C,O/groups,...] become [O,C/groups,...], as a convolution has them; then a height if 1-D."""
    changed = dict(node.attrs)
    if changed.pop("iohw", False):
        name, groups = node.inputs[1], node.attrs["group"]
        shape = fit.type(name).shape
        split = fit.view(name, (groups, shape[0] // groups, *shape[1:]))
        turned = fit.transposed(split, (0, 2, 1, *range(3, len(shape) + 1)))
        weights = fit.view(turned, (groups * shape[1], shape[0] // groups, *shape[2:]))
        node = replace(node, inputs=(node.inputs[0], weights, node.inputs[2]), attrs=attrs(**changed))
    if not with_height(fit, node):
        fit.add(node)
    return True


def _canonical(c: Canonical, node: Node) -> None:
    """A convolution with the taps reversed over an input with stride - 1 zeros between its elements."""
    x, w, b = node.inputs
    weights = c.graph.data(w)
    assert weights is not None
    key = node.output
    batch, height, width, depth = c.graph.type(x).shape
    (stride_h, stride_w), (top, left) = node.attrs["strides"], node.attrs["pads"][:2]
    _, kernel_h, kernel_w, _ = weights.shape
    reach = [(k - 1) * d for k, d in zip((kernel_h, kernel_w), node.attrs["dilations"], strict=True)]
    before = (reach[0] - top, reach[1] - left)
    spread = (height * stride_h, width * stride_w)
    after = [
        out - size - start + r
        for out, size, start, r in zip(c.graph.type(key).shape[1:3], spread, before, reach, strict=True)
    ]

    def shaped(source: str, name: str, shape: tuple[int, ...]) -> str:
        sizes = c.constant(f"{key}/{name} shape", np.array(shape, np.int64))
        return c.add("Reshape", [source, sizes], f"{key}/{name}")

    def padded(source: str, name: str, pads: tuple[int, ...]) -> str:
        return c.add("Pad", [source, c.constant(f"{key}/{name} pads", np.array(pads, np.int64)), zero], f"{key}/{name}")

    zero = c.q(x)[1]
    apart = shaped(c.nchw(x), "apart", (batch, depth, height, 1, width, 1))
    apart = padded(apart, "with zeros", (*(0,) * 9, stride_h - 1, 0, stride_w - 1))
    joined = shaped(apart, "joined", (batch, depth, *spread))
    framed = padded(joined, "framed", (0, 0, *before, 0, 0, *after))
    filters = np.transpose(c.native(weights)[:, ::-1, ::-1], (0, 3, 1, 2))
    inputs = [framed, *c.q(x), c.constant(f"{key}/weights", filters), *c.q(w), *c.q(key)]
    bias = c.graph.data(b)
    if bias is not None:
        inputs.append(c.constant(b, bias))

    def emit(output: str) -> None:
        dilations, group = node.attrs["dilations"], node.attrs["group"]
        c.add("QLinearConv", inputs, f"{output}/nchw", dilations=dilations, group=group)
        c.from_nchw(f"{output}/nchw", output)

    c.clamped(node, emit)


def _canonical_float(c: Canonical, node: Node) -> None:
    x, w, b = node.inputs
    weights, groups = c.graph.data(w), node.attrs["group"]
    assert weights is not None
    outputs, kernel_h, kernel_w, depth = weights.shape
    split = weights.reshape(groups, outputs // groups, kernel_h, kernel_w, depth).transpose(0, 4, 1, 2, 3)
    filters = np.ascontiguousarray(split).reshape(groups * depth, outputs // groups, kernel_h, kernel_w)
    inputs = [c.nchw(x), c.constant(f"{node.output}/weights", filters)]
    bias = c.graph.data(b)
    if bias is not None:
        inputs.append(c.constant(f"{node.output}/bias", bias))
    kept = {key: node.attrs[key] for key in ("group", "strides", "dilations", "pads")}
    y = c.add("ConvTranspose", inputs, f"{node.output}/nchw", **kept, output_padding=_output_padding(c.graph, node))
    c.bounded(node, c.from_nchw(y, f"{node.output}/nhwc"))


def _output_padding(graph: Graph, node: Node) -> list[int]:
    x_shape, y_shape = graph.type(node.inputs[0]).shape, graph.type(node.output).shape
    kernel, pads = graph.type(node.inputs[1]).shape[1:3], node.attrs["pads"]
    found = []
    for a, (s, d) in enumerate(zip(node.attrs["strides"], node.attrs["dilations"], strict=True)):
        found.append(y_shape[1 + a] - ((x_shape[1 + a] - 1) * s + (kernel[a] - 1) * d + 1 - pads[a] - pads[2 + a]))
    return found


def transpose_geometry(node: Node) -> dict[str, Any]:
    """The fields that all kernels' structs have."""
    strides, dilations = node.attrs["strides"], node.attrs["dilations"]
    return {
        "groups": node.attrs["group"],
        "stride": tile(strides),
        "padding": tile(node.attrs["pads"][:2]),
        "dilation": tile(dilations),
        "tap_step": tile([s // math.gcd(s, d) for s, d in zip(strides, dilations, strict=True)]),
    }


def _args(lowering: Lowering, node: Node, params: Struct, bias: np.ndarray | None) -> tuple[tuple[str, Arg], ...]:
    weights = lowering.graph.data(node.inputs[1])
    assert weights is not None
    return (
        ("params", params),
        ("input_dims", dims(lowering.type(node.inputs[0]).shape)),
        ("input", Buffer(node.inputs[0])),
        ("filter_dims", dims(weights.shape)),
        ("filter", Table("weights", weights)),
        ("bias", None if bias is None else Table("bias", bias)),
        ("output_dims", dims(lowering.type(node.output).shape)),
        ("output", Buffer(node.output)),
    )


def transpose_macs(lowering: Lowering, node: Node) -> int:
    outputs, kernel_h, kernel_w, _ = lowering.type(node.inputs[1]).shape
    return lowering.type(node.inputs[0]).count * kernel_h * kernel_w * (outputs // node.attrs["group"])


def _lower(lowering: Lowering, node: Node) -> Step:
    x, w, _ = node.inputs
    weights, w_quant = lowering.graph.data(w), lowering.type(w).quant
    assert weights is not None and w_quant is not None
    outputs = len(weights)
    layer = channels(lowering, node, weights.reshape(outputs, -1))
    fields: dict[str, Any] = transpose_geometry(node) | {
        "input_offset": -lowering.quant(x)[1],
        "output_offset": layer.output_offset,
        "wide": int(not layer.fast),
        "activation": activation(node.attrs["clamp"]),
        "multiplier": layer.multiplier,
        "shift": layer.shift,
    }
    if np.any(w_quant.zero_point != 0):
        fields["filter_zero_point"] = Table("filter_zero_point", np.broadcast_to(w_quant.zero_point, (outputs,)))
    return Step(
        name=lowering.name,
        kernel="mcugen_conv_transpose_s8",
        args=_args(lowering, node, Struct("mcugen_conv_transpose_params", fields), layer.bias),
        inputs=(x,),
        outputs=(node.output,),
        exactness=layer.exactness,
        origin=node.origin,
        macs=transpose_macs(lowering, node),
        notes=layer.notes,
    )


def _lower_float(lowering: Lowering, node: Node) -> Step:
    low, high = node.attrs["clamp"]
    fields = transpose_geometry(node) | {"low": np.float32(low), "high": np.float32(high)}
    bias = lowering.graph.data(node.inputs[2])
    return Step(
        name=lowering.name,
        kernel="mcugen_f32_conv_transpose",
        args=_args(lowering, node, Struct("mcugen_f32_conv_transpose_params", fields), bias),
        inputs=node.inputs[:1],
        outputs=(node.output,),
        exactness=FLOAT,
        tolerance=TOLERANCE,
        origin=node.origin,
        macs=transpose_macs(lowering, node),
    )


def _strided_frame(graph: Graph, node: Node) -> str | None:
    """The padding must be smaller than the window, and not negative. Slice the output instead."""
    pads = node.attrs["pads"]
    return None if min(pads) >= 0 else f"pads {list(pads)}"


CONV_TRANSPOSE = OpDef(
    name="conv_transpose",
    onnx=("ConvTranspose",),
    recognise=_recognise,
    canonical=_canonical,
    lower=_lower,
    fit=_fit,
    layout="spatial",
    exactness=INTEGER,
    limits=(_strided_frame,),
    about="1-D and 2-D; any padding, stride, dilation, groups; integer form (ONNX Runtime computes it in float)",
)

FLOAT_CONV_TRANSPOSE = OpDef(
    name="float_conv_transpose",
    onnx=("ConvTranspose",),
    from_float=_from_float,
    canonical=_canonical_float,
    lower=_lower_float,
    fit=_fit,
    layout="spatial",
    exactness=FLOAT,
    limits=(_strided_frame,),
    about=f"float32, 1-D and 2-D, constant weights; within {TOLERANCE:g} of the largest result",
)
