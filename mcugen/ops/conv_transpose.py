"""Transposed convolution, 1-D and 2-D, as integers: ORT runs it in float, so this is its integer form.

x int8[N,H,W,C], w int8[O,KH,KW,C/groups] (OHWI, after to_nhwc), b int32[O] -> y int8[N,OH,OW,O]; y gathers from
x[i] with the taps k for which i * stride + k * dilation - pad is the output's position.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node, attrs
from ..step import Buffer, Step, Struct, Table
from .base import Canonical, Fitter, Lowering, OpDef, Unit, activation
from .channels import channels
from .conv import dims, tile
from .one_dimension import with_height


def _recognise(unit: Unit) -> Node:
    weights = unit.weights(1)
    if weights.ndim not in (3, 4):
        raise UserError(
            f"only 1-D and 2-D transposed convolution is supported (the weights have {weights.ndim} dimensions)",
            origin=unit.node.where,
            hint="Reshape to fewer dimensions before export.",
        )
    given, kernel = unit.node.attrs, weights.shape[2:]
    rank, group = len(kernel), int(given.get("group", 1))
    q = unit.type(1).quant
    assert q is not None
    if q.scale.size > 1 and (q.axis != 1 or group > 1):
        raise UserError(
            f"the weights are quantized along axis {q.axis} with {group} groups",
            origin=unit.node.where,
            hint="Quantize the weights of a transposed convolution per tensor, or along axis 1 without groups.",
        )
    strides = tuple(given.get("strides", (1,) * rank))
    dilations = tuple(given.get("dilations", (1,) * rank))
    extra = tuple(given.get("output_padding", (0,) * rank))
    pads = tuple(given.get("pads", (0,) * (2 * rank)))
    auto = given.get("auto_pad", "NOTSET")
    if auto.startswith("SAME") or "output_shape" in given:
        sizes = zip(unit.type(0).shape[2:], unit.output_type.shape[2:], strides, kernel, dilations, extra, strict=True)
        total = [max((i - 1) * s + (k - 1) * d + 1 + e - o, 0) for i, o, s, k, d, e in sizes]
        small = [t // 2 for t in total]
        large = [t - h for t, h in zip(total, small, strict=True)]
        pads = (*small, *large) if auto == "SAME_UPPER" else (*large, *small)
    bias = unit.inputs[2] if len(unit.inputs) > 2 else ""
    node = unit.make(
        "conv_transpose",
        (unit.inputs[0], unit.inputs[1], bias),
        group=group,
        clamp=unit.clamp,
        strides=strides,
        dilations=dilations,
        pads=pads,
        iohw=True,
    )
    return replace(node, attrs=attrs(**node.attrs, integer_form=True))


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


def _lower(lowering: Lowering, node: Node) -> Step:
    x, w, _ = node.inputs
    x_shape, y_shape = lowering.type(x).shape, lowering.type(node.output).shape
    weights, w_quant = lowering.graph.data(w), lowering.type(w).quant
    assert weights is not None and w_quant is not None
    outputs, kernel_h, kernel_w, _ = weights.shape
    layer = channels(lowering, node, weights.reshape(outputs, -1))
    strides, dilations = node.attrs["strides"], node.attrs["dilations"]
    fields: dict[str, Any] = {
        "input_offset": -lowering.quant(x)[1],
        "output_offset": layer.output_offset,
        "groups": node.attrs["group"],
        "wide": int(not layer.fast),
        "stride": tile(strides),
        "padding": tile(node.attrs["pads"][:2]),
        "dilation": tile(dilations),
        "tap_step": tile([s // math.gcd(s, d) for s, d in zip(strides, dilations, strict=True)]),
        "activation": activation(node.attrs["clamp"]),
        "multiplier": layer.multiplier,
        "shift": layer.shift,
    }
    if np.any(w_quant.zero_point != 0):
        fields["filter_zero_point"] = Table("filter_zero_point", np.broadcast_to(w_quant.zero_point, (outputs,)))
    return Step(
        name=lowering.name,
        kernel="mcugen_conv_transpose_s8",
        args=(
            ("params", Struct("mcugen_conv_transpose_params", fields)),
            ("input_dims", dims(x_shape)),
            ("input", Buffer(x)),
            ("filter_dims", dims(weights.shape)),
            ("filter", Table("weights", weights)),
            ("bias", Table("bias", layer.bias)),
            ("output_dims", dims(y_shape)),
            ("output", Buffer(node.output)),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=layer.exactness,
        origin=node.origin,
        macs=int(np.prod(x_shape)) * kernel_h * kernel_w * (outputs // node.attrs["group"]),
        notes=layer.notes,
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
    exactness="proved",
    limits=(_strided_frame,),
    about="1-D and 2-D; any padding, stride, dilation, groups; integer form (ONNX Runtime computes it in float)",
)
