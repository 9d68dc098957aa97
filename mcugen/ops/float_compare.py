"""Comparisons of two float32 tensors with broadcasting: y bool, one byte each. NaN equals nothing."""

from __future__ import annotations

from ..errors import UserError
from ..ir import Node, attrs
from ..step import PROVED, Step
from .base import Canonical, FloatUnit, Lowering, OpDef
from .broadcast import equal_ranks, few_loops
from .float_elementwise import binary_step

_EXCHANGED = {"Less": "Greater", "LessOrEqual": "GreaterOrEqual"}
COMPARISONS = ("Equal", "Greater", "GreaterOrEqual")
ALL_COMPARISONS = (*COMPARISONS, *_EXCHANGED)


def _from_float(unit: FloatUnit) -> Node:
    if unit.type(0).dtype != "float32":
        raise UserError(
            f"{unit.node.op} of {unit.type(0).dtype} numbers is not supported",
            origin=unit.node.where,
            hint="Cast them to float32 before export, or compare behind the model.",
        )
    return comparison(unit, "float_compare")


def comparison(unit: FloatUnit, name: str) -> Node:
    """The node `name` with one of COMPARISONS: less is greater with its operands exchanged."""
    operator, inputs = unit.node.op, unit.node.inputs
    if operator in _EXCHANGED:
        operator, inputs = _EXCHANGED[operator], inputs[::-1]
    return Node(name, inputs, unit.node.outputs, attrs(operator=operator), unit.node.origin)


def _canonical(c: Canonical, node: Node) -> None:
    c.add(node.attrs["operator"], [c.tensor(name) for name in node.inputs], node.output)


def _lower(lowering: Lowering, node: Node) -> Step:
    return binary_step(lowering, node, node.attrs["operator"].lower(), clamp=(0.0, 0.0))


FLOAT_COMPARE = OpDef(
    name="float_compare",
    onnx=ALL_COMPARISONS,
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
