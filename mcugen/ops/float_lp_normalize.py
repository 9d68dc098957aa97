"""LpNormalization of float32 tensors along the last axis: each row divided by its norm, 0 where that is 0."""

from __future__ import annotations

import math

from ..ir import Node
from ..step import FLOAT, Buffer, Step
from .base import Canonical, FloatUnit, Lowering, OpDef
from .softmax import axis_last

TOLERANCE = 1e-6


def _from_float(unit: FloatUnit) -> Node:
    given = unit.node.attrs
    axis = int(given.get("axis", -1)) % len(unit.type(0).shape)
    return unit.make("float_lp_normalize", (unit.name(0),), axis=axis, p=int(given.get("p", 2)))


def _canonical(c: Canonical, node: Node) -> None:
    c.add("LpNormalization", [c.tensor(node.inputs[0])], node.output, axis=node.attrs["axis"], p=node.attrs["p"])


def _lower(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    shape = lowering.type(x).shape
    return Step(
        name=lowering.name,
        kernel="mcugen_f32_lp_normalize",
        args=(
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("rows", math.prod(shape[:-1])),
            ("size", shape[-1]),
            ("p", node.attrs["p"]),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=FLOAT,
        tolerance=TOLERANCE,
        origin=node.origin,
        in_place=(x,),
    )


FLOAT_LP_NORMALIZE = OpDef(
    name="float_lp_normalize",
    onnx=("LpNormalization",),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    fit=axis_last,
    layout="fixed",
    exactness=FLOAT,
    about=f"float32, any axis, p = 1 or 2; within {TOLERANCE:g} of the largest result",
)
