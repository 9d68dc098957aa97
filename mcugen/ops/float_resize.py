"""Resize of float32 images by linear interpolation, in every coordinate mode but tf_crop_and_resize.

x float32[N,H,W,C] -> y float32[N,OH,OW,C]: y = the two nearest rows and columns of x, weighted by distance.
"""

from __future__ import annotations

import numpy as np

from ..errors import UserError
from ..ir import Node
from ..step import FLOAT, REPLICATED, Buffer, Step, Struct, Table
from .base import Canonical, FloatUnit, Lowering, OpDef
from .conv import dims
from .one_dimension import with_height

TOLERANCE = 1e-6


def _from_float(unit: FloatUnit) -> Node:
    node, given = unit.node, unit.node.attrs
    mode = given.get("coordinate_transformation_mode", "half_pixel")
    if given.get("mode") != "linear" or mode == "tf_crop_and_resize" or given.get("antialias", 0) or "axes" in given:
        raise UserError(
            f"Resize with mode {given.get('mode')!r}, {mode!r} is not supported",
            origin=node.where,
            hint="Use nearest or linear, over all axes, without antialias.",
        )
    shape, output = unit.type(0).shape, unit.graph.type(node.output).shape
    if len(shape) not in (3, 4) or shape[:2] != output[:2]:
        raise UserError("Resize interpolates over one or two spatial axes", origin=node.where)
    scales = tuple(o / i for o, i in zip(output[2:], shape[2:], strict=True))
    if unit.name(2) and unit.graph.type(unit.name(2)).count:
        scales = tuple(float(s) for s in unit.constant(2)[2:])
    return unit.make("float_resize", (unit.name(0),), coordinates=mode, scales=scales)


def _positions(count: int, size: int, scale: float, mode: str) -> np.ndarray:
    """Where each of `count` outputs lies between the `size` inputs, in float32 as ORT computes it."""
    at = np.arange(count, dtype=np.float32)
    scale32 = np.float32(scale)
    if scale32 == 1:
        found = at
    elif mode == "asymmetric":
        found = at / scale32
    elif mode == "align_corners":
        found = at * np.float32(size - 1) / np.float32(max(count - 1, 1))
    elif mode == "pytorch_half_pixel" and count == 1:
        found = np.zeros(1, np.float32)
    else:
        found = (at + np.float32(0.5)) / scale32
        if mode == "half_pixel_symmetric":
            adjustment = np.float32(count) / (scale32 * np.float32(size))
            found = np.float32(size) / np.float32(2) * (np.float32(1) - adjustment) + found
        found = found - np.float32(0.5)
    return np.clip(found, 0, size - 1).astype(np.float32)


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


def _canonical(c: Canonical, node: Node) -> None:
    """By sizes, scales: the float sizes of a 1-D resize that became 2-D are 1."""
    scales = (1.0, 1.0, *_both(node))
    y = c.add(
        "Resize",
        [c.nchw(node.inputs[0]), "", c.constant(f"{node.output}/scales", np.array(scales, np.float32))],
        f"{node.output}/nchw",
        mode="linear",
        coordinate_transformation_mode=node.attrs["coordinates"],
    )
    c.from_nchw(y, node.output)


def _both(node: Node) -> tuple[float, float]:
    scales = node.attrs["scales"]
    return (1.0, scales[0]) if len(scales) == 1 else (scales[0], scales[1])


def _lower(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    before, after = lowering.type(x).shape, lowering.type(node.output).shape
    fields: dict[str, Table] = {}
    for axis, name, scale in zip((1, 2), ("row", "column"), _both(node), strict=True):
        found = _neighbours(_positions(after[axis], before[axis], scale, node.attrs["coordinates"]), before[axis])
        fields |= {f"{name}_{part}": Table(f"{name}_{part}", data) for part, data in found.items()}
    # With one scale of 1 ORT may take the image's last two axes for the two it enlarges, and add up other products.
    exact = _both(node)[0] != 1 and node.attrs["coordinates"] != "half_pixel_symmetric"
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
    canonical=_canonical,
    lower=_lower,
    fit=with_height,
    layout="spatial",
    exactness=REPLICATED,
    about=f"float32, linear, one or two axes; one axis, or half_pixel_symmetric: within {TOLERANCE:g} of the largest",
)
