"""Resize by interpolation: linear of 8-bit images, linear and cubic, with antialiasing too, of float32 ones.

Nearest: see `take`.

x[N,H,W,C] -> y[N,OH,OW,C]: y = rows and columns of x around a position, weighted by distance.

Of 8 bits, ONNX Runtime (upsample.cc) has two ways, by the layout its optimizer chose. Channels first: float32 weights
and sums, truncated. Channels last: weights of 10 bits, their products and sums integers, truncated. Where weights have
few bits, as they have for whole factors, both are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node, attrs
from ..step import FLOAT, PROVED, REPLICATED, Buffer, Step, Struct, Table
from .base import Canonical, Fitter, FloatUnit, Lowering, OpDef
from .conv import dims
from .one_dimension import with_height

LINEAR_TOLERANCE, FILTER_TOLERANCE = 1e-6, 1e-5
ONE = 1024  # the integer weight that stands for 1
_FIRST, _LAST = (0, 1, 2, 3), (0, 2, 3, 1)  # layouts that ORT runs in: NCHW, NHWC
_FLOAT_BITS = 24  # of a float32's significand
_OUTSIDE = -(2**31)  # instead of the first input: the position is outside the image
_POLICIES = {"not_larger": min, "not_smaller": max}


def resize_attrs(graph: Graph, node: Node) -> dict[str, Any]:
    """Attributes of a Resize [N,C,...] over its spatial axes, an entry for each of them; or UserError.

    coordinates, cubic, antialias, exclude_outside, coefficient (of cubes), value (outside of roi), policy; scales;
    sizes, None where the scales were given; roi: starts, then ends; axes: how many the model has.
    """
    given = node.attrs
    shape, output = graph.type(node.inputs[0]).shape, graph.type(node.output).shape
    axes = [int(axis) % len(shape) for axis in given.get("axes", range(len(shape)))]
    roi, scales, sizes = (_amount(graph, node, slot) for slot in (1, 2, 3))
    policy = given.get("keep_aspect_ratio_policy", "stretch")
    factors = np.ones(len(shape), np.float32)
    if scales is not None:
        factors[axes] = scales
    elif sizes is not None:
        factors[axes] = sizes.astype(np.float32) / np.array(shape, np.float32)[axes]
        if policy in _POLICIES:
            factors[axes] = _POLICIES[policy](factors[axes])
    if len(shape) not in (3, 4) or shape[:2] != output[:2] or any(factors[:2] != 1):
        raise UserError(
            "Resize interpolates over one or two spatial axes",
            origin=node.where,
            hint="Reshape to [N, C, H, W], or resize in two steps.",
        )
    whole = np.concatenate([np.zeros(len(shape), np.float32), np.ones(len(shape), np.float32)])
    if roi is not None and given.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        whole[[*axes, *(len(shape) + axis for axis in axes)]] = roi
    value, coefficient = (
        float(given.get(name, x)) for name, x in (("extrapolation_value", 0.0), ("cubic_coeff_a", -0.75))
    )
    if not np.all(np.isfinite([*factors, *whole, value, coefficient])) or np.any(factors <= 0):
        raise UserError(
            "Resize takes a scale, roi or attribute that is no finite number",
            origin=node.where,
            hint="Export the model again.",
        )
    wanted = dict(zip(axes, () if sizes is None else sizes, strict=False))
    return {
        "coordinates": given.get("coordinate_transformation_mode", "half_pixel"),
        "cubic": given["mode"] == "cubic",
        "antialias": bool(given.get("antialias", 0)),
        "exclude_outside": bool(given.get("exclude_outside", 0)),
        "coefficient": coefficient,
        "value": value,
        "policy": policy,
        "scales": tuple(float(factor) for factor in factors[2:]),
        "sizes": None if scales is not None else tuple(int(wanted.get(a, shape[a])) for a in range(2, len(shape))),
        "roi": tuple(float(end) for half in np.split(whole, 2) for end in half[2:]),
        "axes": 2,
    }


def _amount(graph: Graph, node: Node, slot: int) -> np.ndarray | None:
    """The constant at the input `slot` of a Resize, None where it is left out or empty."""
    name = node.inputs[slot] if slot < len(node.inputs) else ""
    if not name or graph.type(name).count == 0:
        return None
    numbers = graph.data(name)
    if numbers is None:
        raise UserError(
            "Resize takes scales, sizes or a roi computed at run time",
            origin=node.where,
            hint="Export the model with constant ones.",
        )
    return numbers


def _coordinates(node: Node, axis: int, count: int, size: int) -> np.ndarray:
    """Where each of `count` outputs lies among the `size` inputs of the spatial `axis`, as ORT computes it: float32."""
    mode, scale = node.attrs["coordinates"], np.float32(node.attrs["scales"][axis])
    at, half, last = np.arange(count, dtype=np.float32), np.float32(0.5), np.float32(size - 1)
    start, end = (np.float32(x) for x in node.attrs["roi"][axis :: len(node.attrs["scales"])])
    found: np.ndarray
    if scale == 1:
        found = at
    elif mode == "asymmetric":
        found = at / scale
    elif mode == "align_corners":
        found = at * last / np.float32(max(count - 1, 1))
    elif mode == "tf_crop_and_resize" and count == 1:
        found = np.array([0.5 * np.float64(start + end) * np.float64(last)])
    elif mode == "tf_crop_and_resize":
        found = start * last + at * (end - start) * last / np.float32(count - 1)
    elif mode == "pytorch_half_pixel" and count == 1:
        found = np.zeros(1, np.float32)
    elif mode == "half_pixel_symmetric":
        adjustment = np.float32(count) / (scale * np.float32(size))
        offset = np.float32(size) / np.float32(2) * (np.float32(1) - adjustment)
        found = np.float64(offset) + (at + 0.5) / np.float64(scale) - 0.5
    else:
        found = (at + half) / scale - half
    return found.astype(np.float32)


def _placed(node: Node, axis: int, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(coordinates, which of them are outside a cropped image: these are 0)."""
    at = _coordinates(node, axis, count, size)
    outside = (node.attrs["coordinates"] == "tf_crop_and_resize") & ((at < 0) | (at > size - 1))
    return np.where(outside, np.float32(0), at), outside


def _positions(node: Node, axis: int, count: int, size: int) -> np.ndarray:
    return np.clip(_coordinates(node, axis, count, size), 0, size - 1).astype(np.float32)


def _neighbours(at: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """The two inputs around each position and their weights; halves where the two are one, as in ORT."""
    first = np.floor(at).astype(np.int32)
    second = np.minimum(first + 1, size - 1).astype(np.int32)
    one = first == second
    return {
        "first": first,
        "second": second,
        "first_weight": np.where(one, np.float32(0.5), np.abs(at - second.astype(np.float32))).astype(np.float32),
        "second_weight": np.where(one, np.float32(0.5), np.abs(at - first.astype(np.float32))).astype(np.float32),
    }


def _fit(fit: Fitter, node: Node) -> bool:
    """A 1-D node as a 2-D one on images of height 1, which are not resized over that axis."""
    given = node.attrs
    if len(given["scales"]) == 2:
        return False
    (scale,), (start, end), sizes = given["scales"], given["roi"], given["sizes"]
    changed = {"scales": (1.0, scale), "roi": (0.0, start, 1.0, end), "sizes": sizes and (1, *sizes), "axes": 1}
    return with_height(fit, replace(node, attrs=attrs(**{**given, **changed})))


def _onnx(c: Canonical, node: Node, x: str, output: str, last: bool = False) -> str:
    """The ONNX node on `x`, in NCHW or, if `last`, NHWC; over the axes that the model has."""
    given, count = node.attrs, node.attrs["axes"]
    axes = [axis - last for axis in (2, 3)][-count:]
    amounts = [""] * 3
    if given["coordinates"] == "tf_crop_and_resize":
        starts, ends = given["roi"][:2], given["roi"][2:]
        amounts[0] = c.constant(f"{node.output}/roi", np.array([*starts[-count:], *ends[-count:]], np.float32))
    if given["sizes"] is None:
        amounts[1] = c.constant(f"{node.output}/scales", np.array(given["scales"][-count:], np.float32))
    else:
        amounts[2] = c.constant(f"{node.output}/sizes", np.array(given["sizes"][-count:], np.int64))
    return c.add(
        "Resize",
        [x, *amounts],
        output,
        axes=axes,
        mode="cubic" if given["cubic"] else "linear",
        coordinate_transformation_mode=given["coordinates"],
        antialias=int(given["antialias"]),
        exclude_outside=int(given["exclude_outside"]),
        cubic_coeff_a=given["coefficient"],
        extrapolation_value=given["value"],
        keep_aspect_ratio_policy=given["policy"],
    )


def interpolated(graph: Graph, node: Node) -> Node:
    """The 8-bit operator of a Resize of 8-bit numbers, with no DequantizeLinear before it."""
    found = resize_attrs(graph, node)
    if found["cubic"] or found["antialias"] or found["coordinates"] == "tf_crop_and_resize":
        raise UserError(
            "Resize of 8-bit numbers by cubes, with antialiasing or tf_crop_and_resize is not supported",
            origin=node.where,
            hint="Put DequantizeLinear before it and QuantizeLinear behind.",
        )
    order = node.attrs.get("runs_in", _FIRST)
    if order not in (_FIRST, _LAST):
        raise UserError(
            f"ONNX Runtime resizes these 8-bit numbers with the axes in the order {list(order)}",
            origin=node.where,
            hint="Put DequantizeLinear before it and QuantizeLinear behind.",
        )
    return Node("resize", node.inputs[:1], node.outputs, attrs(**found, channels_last=order == _LAST), node.origin)


def _canonical(c: Canonical, node: Node) -> None:
    x = node.inputs[0]
    if node.attrs["channels_last"]:
        _onnx(c, node, c.tensor(x), node.output, last=True)
    else:
        c.from_nchw(_onnx(c, node, c.nchw(x), f"{node.output}/nchw"), node.output)


def _whole(at: np.ndarray) -> bool:
    """Are all positions multiples of 1 / ONE?"""
    steps = at.astype(np.float64) * ONE
    return bool(np.all(steps == np.rint(steps)))


def _bits(at: np.ndarray) -> int:
    """Bits behind the point of the positions, which are multiples of 1 / ONE."""
    return next(k for k in range(ONE) if np.all((at * np.float32(2**k)) % 1 == 0))


def _float_is_integer(positions: Sequence[np.ndarray]) -> bool:
    """Does float32 round nothing? Then its sums are what integers give: 8 bits times both weights fit a significand."""
    return all(map(_whole, positions)) and 8 + sum(map(_bits, positions)) <= _FLOAT_BITS


def _spatial(node: Node, before: Sequence[int], after: Sequence[int]) -> list[np.ndarray]:
    """Positions of rows and columns, NHWC."""
    return [_positions(node, axis, after[axis + 1], before[axis + 1]) for axis in (0, 1)]


def _one_axis_exactly(graph: Graph, node: Node) -> str | None:
    """Over one axis, Resize of 8-bit numbers needs factors that give weights of few bits.

    Resize by a power of two, or put DequantizeLinear before it.
    """
    if node.attrs["axes"] == 2:
        return None
    positions = _spatial(node, graph.type(node.inputs[0]).shape, graph.type(node.output).shape)
    return None if _float_is_integer(positions) else f"{node.attrs['scales'][1]:g} here"


def _lower(lowering: Lowering, node: Node) -> Step:
    """By integers where ORT does so, and where its floats round nothing."""
    x = node.inputs[0]
    before, after = lowering.type(x).shape, lowering.type(node.output).shape
    positions = _spatial(node, before, after)
    fields: dict[str, Any] = {}
    by_integers = _float_is_integer(positions)
    if node.attrs["channels_last"] and node.attrs["scales"][0] != 1:
        by_integers = True
    elif node.attrs["channels_last"] and not by_integers:
        # With a scale of 1 there, ORT takes axis 1 for the channels, and the last two for rows and columns.
        before = (before[0] * before[1], *before[2:], 1)
        after = (after[0] * after[1], *after[2:], 1)
        positions = [positions[1], np.arange(before[2], dtype=np.float32)]
    for name, at, size in zip(("row", "column"), positions, before[1:3], strict=True):
        found = _neighbours(at, size)
        fields[name] = Table(name, found["first"])
        if by_integers:
            steps = np.trunc(at * np.float32(ONE)).astype(np.int32) - ONE * found["first"]
            fields[f"{name}_weight"] = Table(f"{name}_weight", steps.astype(np.int16))
        else:
            fields |= {f"{name}_{part}": Table(f"{name}_{part}", found[part]) for part in _WEIGHTS}
    # Of unsigned numbers, truncation is the floor, of ours as well.
    fields["origin"] = lowering.type(node.output).origin
    kernel, params = ("mcugen_resize_s8", "mcugen_resize_params") if by_integers else _BY_FLOATS
    return Step(
        name=lowering.name,
        kernel=kernel,
        args=(
            ("params", Struct(params, fields)),
            ("input_dims", dims(before)),
            ("input", Buffer(x)),
            ("output_dims", dims(after)),
            ("output", Buffer(node.output)),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=PROVED if by_integers else REPLICATED,
        origin=node.origin,
    )


_WEIGHTS = ("first_weight", "second_weight")
_BY_FLOATS = ("mcugen_resize_by_floats_s8", "mcugen_resize_by_floats_params")

RESIZE = OpDef(
    name="resize",
    onnx=("Resize",),
    canonical=_canonical,
    lower=_lower,
    fit=_fit,
    layout="spatial",
    exactness=REPLICATED,
    limits=(_one_axis_exactly,),
    about="linear, in every coordinate mode but tf_crop_and_resize, of 8-bit numbers as ONNX Runtime's layout has it",
)


def _from_float(unit: FloatUnit) -> Node:
    return unit.make("float_resize", (unit.name(0),), **resize_attrs(unit.graph, unit.node))


def _canonical_float(c: Canonical, node: Node) -> None:
    c.from_nchw(_onnx(c, node, c.nchw(node.inputs[0]), f"{node.output}/nchw"), node.output)


def _cubes(node: Node, axis: int, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(the first of four inputs, their weights [count, 4]) of cubic convolution (Keys 1981), in ORT's float32 order."""
    a = np.float32(node.attrs["coefficient"])
    at, outside = _placed(node, axis, count, size)
    first = np.floor(at).astype(np.int32) - 1
    s = at - np.floor(at)
    far, near = 2 - s, 1 - s
    weights = np.stack(
        [
            ((a * (s + 1) - 5 * a) * (s + 1) + 8 * a) * (s + 1) - 4 * a,
            ((a + 2) * s - (a + 3)) * s * s + 1,
            ((a + 2) * near - (a + 3)) * near * near + 1,
            ((a * far - 5 * a) * far + 8 * a) * far - 4 * a,
        ],
        axis=1,
    )
    if node.attrs["exclude_outside"]:
        inputs = first[:, None] + np.arange(4)
        weights = np.where((inputs >= 0) & (inputs < size), weights, np.float32(0))
        weights = weights / np.sum(weights, axis=1, keepdims=True)
    return np.where(outside, _OUTSIDE, first), weights


def _filtered(node: Node, axis: int, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(the first input, weights [count, taps]) of ORT's antialiasing filter: a triangle or a cubic, as wide as a step.

    What lies outside the image counts for its border, or not at all with exclude_outside.
    """
    if count == size:
        return np.arange(size, dtype=np.int32), np.ones((size, 1), np.float32)
    scale = np.float32(1) / np.float32(node.attrs["scales"][axis])
    at, outside = _placed(node, axis, count, size)
    support = np.float32(2 if node.attrs["cubic"] else 1) * max(scale, np.float32(1))
    center = at + np.float32(0.5)
    low, high = (np.floor(center + end + np.float32(0.5)).astype(np.int64) for end in (-support, support))
    taps = int(np.max(high - low))
    inputs = low[:, None] + np.arange(taps)
    distance = (inputs.astype(np.float32) - center[:, None] + np.float32(0.5)) / max(scale, np.float32(1))
    weights = np.where(inputs < high[:, None], _kernel(node, np.abs(distance)), np.float32(0))
    inside = (inputs >= 0) & (inputs < size)
    if node.attrs["exclude_outside"]:
        weights = np.where(inside, weights, np.float32(0))
    total = np.sum(weights, axis=1, keepdims=True)
    return np.where(outside, _OUTSIDE, low), (weights / np.where(total == 0, 1, total)).astype(np.float32)


def _kernel(node: Node, x: np.ndarray) -> np.ndarray:
    """The filter at the distances x >= 0, in steps."""
    if not node.attrs["cubic"]:
        return np.maximum(1 - x, 0)
    a = np.float32(node.attrs["coefficient"])
    inner, outer = ((a + 2) * x - (a + 3)) * x * x + 1, (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, inner, np.where(x < 2, outer, np.float32(0)))


def _lower_float(lowering: Lowering, node: Node) -> Step:
    x, given = node.inputs[0], node.attrs
    before, after = lowering.type(x).shape, lowering.type(node.output).shape
    fields: dict[str, Any] = {}
    linear = not given["cubic"] and not given["antialias"]
    for axis, name in enumerate(("row", "column")):
        count, size = after[axis + 1], before[axis + 1]
        if linear:
            at, outside = _placed(node, axis, count, size)
            found = _neighbours(np.clip(at, 0, size - 1), size)
            found["first"] = np.where(outside, _OUTSIDE, found["first"]).astype(np.int32)
        else:
            first, weights = (_filtered if given["antialias"] else _cubes)(node, axis, count, size)
            found = {"first": first.astype(np.int32), "weight": weights.astype(np.float32)}
            fields[f"{name}_taps"] = weights.shape[1]
        fields |= {f"{name}_{part}": Table(f"{name}_{part}", data) for part, data in found.items()}
    fields["outside"] = np.float32(given["value"])
    # With one scale of 1, ORT may take the image's last two axes for the two it enlarges, and add up other products. It
    # filters in the order of its layout, and divides by the sum of the weights where some are excluded.
    exact = given["scales"][0] != 1 if linear else not given["antialias"] and not given["exclude_outside"]
    return Step(
        name=lowering.name,
        kernel="mcugen_f32_resize_linear" if linear else "mcugen_f32_resize",
        args=(
            ("params", Struct("mcugen_f32_resize_linear_params" if linear else "mcugen_f32_resize_params", fields)),
            ("input_dims", dims(before)),
            ("input", Buffer(x)),
            ("output_dims", dims(after)),
            ("output", Buffer(node.output)),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=REPLICATED if exact else FLOAT,
        tolerance=0.0 if exact else LINEAR_TOLERANCE if linear else FILTER_TOLERANCE,
        origin=node.origin,
    )


FLOAT_RESIZE = OpDef(
    name="float_resize",
    onnx=("Resize",),
    from_float=_from_float,
    canonical=_canonical_float,
    lower=_lower_float,
    fit=_fit,
    layout="spatial",
    exactness=REPLICATED,
    about=f"float32, linear and cubic; over one axis within {LINEAR_TOLERANCE:g} of the largest, with antialias or "
    f"exclude_outside {FILTER_TOLERANCE:g}",
)
