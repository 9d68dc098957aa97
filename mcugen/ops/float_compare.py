"""Comparisons of two float32 tensors with broadcasting: y bool, one byte each. NaN equals nothing."""

from __future__ import annotations

import numpy as np

from ..errors import UserError
from ..ir import Node, attrs
from ..step import PROVED, Buffer, Step, Struct
from .base import Canonical, FloatUnit, Lowering, OpDef
from .broadcast import activations, equal_ranks, few_loops, walk

_EXCHANGED = {"Less": "Greater", "LessOrEqual": "GreaterOrEqual"}
_OPERATORS = ("Equal", "Greater", "GreaterOrEqual", *_EXCHANGED)


def _from_float(unit: FloatUnit) -> Node:
    if unit.type(0).dtype != "float32":
        raise UserError(
            f"{unit.node.op} of {unit.type(0).dtype} numbers is not supported",
            origin=unit.node.where,
            hint="Cast them to float32 before export, or compare behind the model.",
        )
    operator, inputs = unit.node.op, unit.node.inputs
    if operator in _EXCHANGED:
        operator, inputs = _EXCHANGED[operator], inputs[::-1]
    return Node("float_compare", inputs, unit.node.outputs, attrs(operator=operator), unit.node.origin)


def _canonical(c: Canonical, node: Node) -> None:
    c.add(node.attrs["operator"], [c.tensor(name) for name in node.inputs], node.output)


def _lower(lowering: Lowering, node: Node) -> Step:
    a, b = node.inputs
    fields = walk(lowering, node) | {"low": np.float32(0), "high": np.float32(0)}
    return Step(
        name=lowering.name,
        kernel=f"mcugen_f32_{node.attrs['operator'].lower()}",
        args=(
            ("params", Struct("mcugen_f32_binary_params", fields)),
            ("a", Buffer(a)),
            ("b", Buffer(b)),
            ("output", Buffer(node.output)),
        ),
        inputs=activations(lowering, node),
        outputs=(node.output,),
        exactness=PROVED,
        origin=node.origin,
    )


FLOAT_COMPARE = OpDef(
    name="float_compare",
    onnx=_OPERATORS,
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    fit=equal_ranks,
    layout="elementwise",
    exactness=PROVED,
    limits=(few_loops,),
    makes=("bool",),
    about="float32, with broadcasting; a bool is one byte",
)
