"""LayerNormalization and InstanceNormalization in float32: rows to mean 0 and variance 1.

x [...,size] or [N,C,...] -> y of the same shape; mean and variance in two passes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import UserError
from ..ir import Node
from ..step import FLOAT, Buffer, Step, Struct, Table
from .base import Canonical, FloatUnit, Lowering, OpDef

TOLERANCE = 1e-5
# What the pass `decompose` makes of these.
_COMPOSED = ("GroupNormalization", "RMSNormalization", "MeanVarianceNormalization")


def _rows(node: Node, shape: tuple[int, ...]) -> tuple[int, int]:
    """(rows, elements in each): what is normalized together."""
    axis = node.attrs["axis"] if node.attrs["operator"] == "LayerNormalization" else 2
    return math.prod(shape[:axis]), math.prod(shape[axis:])


def _from_float(unit: FloatUnit) -> Node:
    operator, rank = unit.node.op, len(unit.type(0).shape)
    if len(unit.node.outputs) > 1:
        raise UserError(
            "the mean and deviation of LayerNormalization are read",
            origin=unit.node.where,
            hint="Export the model for inference.",
        )
    for slot in (1, 2):
        if unit.name(slot):
            unit.constant(slot)
    if operator == "LayerNormalization" and unit.constant(1).shape != unit.type(0).shape[_axis(unit, rank) :]:
        raise UserError(
            f"scale of shape {list(unit.constant(1).shape)} is not supported",
            origin=unit.node.where,
            hint="Give it the shape of the normalized axes.",
        )
    return unit.make(
        "float_normalize",
        (unit.name(0), unit.name(1), unit.name(2)),
        operator=operator,
        axis=_axis(unit, rank),
        epsilon=float(unit.node.attrs.get("epsilon", 1e-5)),
    )


def _axis(unit: FloatUnit, rank: int) -> int:
    return int(unit.node.attrs.get("axis", -1)) % rank


def _canonical(c: Canonical, node: Node) -> None:
    operator = node.attrs["operator"]
    axis = node.attrs["axis"] if operator == "LayerNormalization" else None
    inputs = [c.tensor(name) if name else "" for name in node.inputs]
    if not inputs[-1]:
        inputs.pop()
    c.add(operator, inputs, node.output, epsilon=node.attrs["epsilon"], axis=axis)


def _lower(lowering: Lowering, node: Node) -> Step:
    x, scale, bias = node.inputs
    rows, size = _rows(node, lowering.type(x).shape)
    scales, biases = lowering.graph.data(scale), lowering.graph.data(bias)
    assert scales is not None
    fields: dict[str, Any] = {
        "rows": rows,
        "size": size,
        "channels": scales.size if node.attrs["operator"] == "InstanceNormalization" else 0,
        "epsilon": np.float32(node.attrs["epsilon"]),
        "scale": Table("scale", scales),
    }
    if biases is not None:
        fields["bias"] = Table("bias", biases)
    return Step(
        name=lowering.name,
        kernel="mcugen_f32_normalize",
        args=(
            ("params", Struct("mcugen_f32_normalize_params", fields)),
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=FLOAT,
        tolerance=TOLERANCE,
        origin=node.origin,
        in_place=(x,),
    )


FLOAT_NORMALIZE = OpDef(
    name="float_normalize",
    onnx=("LayerNormalization", "InstanceNormalization", *_COMPOSED),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    layout="fixed",
    exactness=FLOAT,
    about=f"float32; within {TOLERANCE:g} of the largest result",
)
