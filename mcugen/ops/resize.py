"""Resize by linear interpolation, of 8-bit images as ONNX Runtime does it without real numbers, and of float32 ones.

x[N,H,W,C] -> y[N,OH,OW,C]: y = the two nearest rows and columns of x, weighted by distance. Nearest: see `take`.

Of 8 bits, ONNX Runtime (upsample.cc) has two ways, by the layout its optimizer chose. Channels first: float32 weights
and sums, truncated. Channels last: weights of 10 bits, their products and sums integers, truncated. Where weights have
few bits, as they have for whole factors, both are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node, attrs
from ..step import FLOAT, PROVED, REPLICATED, Buffer, Step, Struct, Table
from .base import Canonical, FloatUnit, Lowering, OpDef
from .conv import dims
from .one_dimension import with_height

TOLERANCE = 1e-6
ONE = 1024  # the integer weight that stands for 1
_FIRST, _LAST = (0, 1, 2, 3), (0, 2, 3, 1)  # layouts that ORT runs in: NCHW, NHWC
_FLOAT_BITS = 24  # of a float32's significand


def resize_attrs(graph: Graph, node: Node) -> dict[str, Any]:
    """Attributes of a linear Resize [N,C,...]: coordinates, scales of the spatial axes, by_sizes; or UserError."""
    given = node.attrs
    mode = given.get("coordinate_transformation_mode", "half_pixel")
    if given.get("mode") != "linear" or mode == "tf_crop_and_resize" or given.get("antialias", 0) or "axes" in given:
        raise UserError(
            f"Resize with mode {given.get('mode')!r}, {mode!r} is not supported",
            origin=node.where,
            hint="Use nearest or linear, over all axes, without antialias.",
        )
    shape, output = graph.type(node.inputs[0]).shape, graph.type(node.output).shape
    if len(shape) not in (3, 4) or shape[:2] != output[:2]:
        raise UserError("Resize interpolates over one or two spatial axes", origin=node.where)
    named = node.inputs[2] if len(node.inputs) > 2 else ""
    by_sizes = not named or graph.type(named).count == 0
    if by_sizes:
        scales = tuple(float(np.float32(o) / np.float32(i)) for o, i in zip(output[2:], shape[2:], strict=True))
    else:
        numbers = graph.data(named)
        if numbers is None:
            raise UserError(
                "Resize takes scales computed at run time", origin=node.where, hint="Export it with constant ones."
            )
        scales = tuple(float(s) for s in numbers[2:])
    return {"coordinates": mode, "scales": scales, "by_sizes": by_sizes}


def _positions(count: int, size: int, scale: float, mode: str) -> np.ndarray:
    """Where each of `count` outputs lies between the `size` inputs, in float32 as ORT computes it."""
    at = np.arange(count, dtype=np.float32)
    scale32, half = np.float32(scale), np.float32(0.5)
    found: np.ndarray
    if scale32 == 1:
        found = at
    elif mode == "asymmetric":
        found = at / scale32
    elif mode == "align_corners":
        found = at * np.float32(size - 1) / np.float32(max(count - 1, 1))
    elif mode == "pytorch_half_pixel" and count == 1:
        found = np.zeros(1, np.float32)
    elif mode == "half_pixel_symmetric":
        adjustment = np.float32(count) / (scale32 * np.float32(size))
        offset = np.float32(size) / np.float32(2) * (np.float32(1) - adjustment)
        found = np.float64(offset) + (at + 0.5) / np.float64(scale32) - 0.5
    else:
        found = (at + half) / scale32 - half
    return np.clip(found.astype(np.float32), 0, size - 1).astype(np.float32)


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


def _both(node: Node) -> tuple[float, float]:
    scales = node.attrs["scales"]
    return (1.0, scales[0]) if len(scales) == 1 else (scales[0], scales[1])


def _onnx(c: Canonical, node: Node, x: str, output: str, last: bool = False) -> str:
    """The ONNX node on `x`, in NCHW or, if `last`, NHWC."""
    n, h, w, channels = c.graph.type(node.output).shape
    if node.attrs["by_sizes"]:
        sizes = (n, h, w, channels) if last else (n, channels, h, w)
        amounts = ["", c.constant(f"{node.output}/sizes", np.array(sizes, np.int64))]
    else:
        scales = (1.0, *_both(node), 1.0) if last else (1.0, 1.0, *_both(node))
        amounts = [c.constant(f"{node.output}/scales", np.array(scales, np.float32))]
    return c.add(
        "Resize",
        [x, "", *amounts],
        output,
        mode="linear",
        coordinate_transformation_mode=node.attrs["coordinates"],
    )


def interpolated(graph: Graph, node: Node) -> Node:
    """The 8-bit operator of a Resize of 8-bit numbers, with no DequantizeLinear before it."""
    found = resize_attrs(graph, node)
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
    return [
        _positions(after[axis], before[axis], scale, node.attrs["coordinates"])
        for axis, scale in zip((1, 2), _both(node), strict=True)
    ]


def _one_axis_exactly(graph: Graph, node: Node) -> str | None:
    """Over one axis, Resize of 8-bit numbers needs factors that give weights of few bits. Resize by a power of two, or
    put DequantizeLinear before it."""
    if len(node.attrs["scales"]) == 2:
        return None
    positions = _spatial(node, graph.type(node.inputs[0]).shape, graph.type(node.output).shape)
    return None if _float_is_integer(positions) else f"{node.attrs['scales'][0]:g} here"


def _lower(lowering: Lowering, node: Node) -> Step:
    """By integers where ORT does so, and where its floats round nothing."""
    x = node.inputs[0]
    before, after = lowering.type(x).shape, lowering.type(node.output).shape
    positions = _spatial(node, before, after)
    fields: dict[str, Any] = {}
    by_integers = _float_is_integer(positions)
    if node.attrs["channels_last"] and _both(node)[0] != 1:
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
    fields["origin"] = 128 if lowering.graph.unsigned else 0
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
    fit=with_height,
    layout="spatial",
    exactness=REPLICATED,
    limits=(_one_axis_exactly,),
    about="linear, in every coordinate mode but tf_crop_and_resize, of 8-bit numbers as ONNX Runtime's layout has it",
)


def _from_float(unit: FloatUnit) -> Node:
    return unit.make("float_resize", (unit.name(0),), **resize_attrs(unit.graph, unit.node))


def _canonical_float(c: Canonical, node: Node) -> None:
    c.from_nchw(_onnx(c, node, c.nchw(node.inputs[0]), f"{node.output}/nchw"), node.output)


def _lower_float(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    before, after = lowering.type(x).shape, lowering.type(node.output).shape
    fields: dict[str, Table] = {}
    for name, at, size in zip(("row", "column"), _spatial(node, before, after), before[1:3], strict=True):
        fields |= {f"{name}_{part}": Table(f"{name}_{part}", data) for part, data in _neighbours(at, size).items()}
    # With one scale of 1 ORT may take the image's last two axes for the two it enlarges, and add up other products.
    exact = _both(node)[0] != 1
    return Step(
        name=lowering.name,
        kernel="mcugen_f32_resize_linear",
        args=(
            ("params", Struct("mcugen_f32_resize_params", fields)),
            ("input_dims", dims(before)),
            ("input", Buffer(x)),
            ("output_dims", dims(after)),
            ("output", Buffer(node.output)),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=REPLICATED if exact else FLOAT,
        tolerance=0.0 if exact else TOLERANCE,
        origin=node.origin,
    )


FLOAT_RESIZE = OpDef(
    name="float_resize",
    onnx=("Resize",),
    from_float=_from_float,
    canonical=_canonical_float,
    lower=_lower_float,
    fit=with_height,
    layout="spatial",
    exactness=REPLICATED,
    about=f"float32, linear, one or two axes; one axis: within {TOLERANCE:g} of the largest",
)
