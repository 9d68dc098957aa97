"""Relu and Clip of a float32 tensor, where no operator before them could take the bounds."""

from __future__ import annotations

import math

import numpy as np

from ..ir import Node, attrs
from ..step import PROVED, Buffer, Step
from .base import Canonical, FloatUnit, Lowering, OpDef


def _from_float(unit: FloatUnit) -> Node:
    ends = [0.0, math.inf] if unit.node.op == "Relu" else [-math.inf, math.inf]
    if unit.node.op == "Clip":
        for end, slot in enumerate((1, 2)):
            if unit.name(slot):
                ends[end] = float(unit.constant(slot).reshape(-1)[0])
    # As in ORT, the upper bound wins where the two cross.
    clamp = (min(ends), ends[1])
    return Node("float_clip", unit.node.inputs[:1], unit.node.outputs, attrs(clamp=clamp), unit.node.origin)


def _canonical(c: Canonical, node: Node) -> None:
    c.bounded(node, c.tensor(node.inputs[0]))


def _lower(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    low, high = node.attrs["clamp"]
    return Step(
        name=lowering.name,
        kernel="mcugen_f32_clip",
        args=(
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("count", lowering.type(x).count),
            ("low", np.float32(low)),
            ("high", np.float32(high)),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=PROVED,
        origin=node.origin,
        in_place=(x,),
    )


FLOAT_CLIP = OpDef(
    name="float_clip",
    onnx=("Relu", "Clip"),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    layout="elementwise",
    exactness=PROVED,
    about="float32; part of the operator before where it can be",
)
