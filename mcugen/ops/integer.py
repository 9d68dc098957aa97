"""Arithmetic and comparisons of int32 and int64 tensors, with broadcasting: positions, class numbers, counts.

Sums and products wrap around, as ORT's do. A division by 0 ends ORT's whole process, so divisors must be constants.
"""

from __future__ import annotations

import numpy as np

from ..errors import UserError
from ..ir import Node, attrs
from ..step import PROVED, Buffer, Step
from .base import Canonical, FloatUnit, Lowering, OpDef
from .broadcast import activations, equal_ranks, few_loops, four_loops

_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Mod", "Min", "Max")  # in the order of MCUGEN_INTEGER_*
_COMPARISONS = ("Equal", "Greater", "GreaterOrEqual")
_EXCHANGED = {"Less": "Greater", "LessOrEqual": "GreaterOrEqual"}


def _arithmetic(unit: FloatUnit) -> Node:
    op = unit.node.op
    if op in ("Div", "Mod"):
        divisor = unit.graph.data(unit.name(1))
        if divisor is None or np.any(divisor <= 0):
            raise UserError(
                f"{op} of integers takes constant divisors above 0 only",
                origin=unit.node.where,
                hint="Export the model with a constant divisor, or cast to float32 before.",
            )
    if unit.node.attrs.get("fmod", 0):
        raise UserError(
            "Mod with fmod = 1 is not supported", origin=unit.node.where, hint="Use fmod = 0, or Sub, Div and Mul."
        )
    return Node("integer_arithmetic", unit.node.inputs, unit.node.outputs, attrs(operator=op), unit.node.origin)


def _comparison(unit: FloatUnit) -> Node:
    operator, inputs = unit.node.op, unit.node.inputs
    if operator in _EXCHANGED:
        operator, inputs = _EXCHANGED[operator], inputs[::-1]
    return Node("integer_compare", inputs, unit.node.outputs, attrs(operator=operator), unit.node.origin)


def _canonical(c: Canonical, node: Node) -> None:
    c.add(node.attrs["operator"], [c.tensor(name) for name in node.inputs], node.output)


def _lower(lowering: Lowering, node: Node) -> Step:
    a, b = (lowering.type(name) for name in node.inputs)
    operators = _ARITHMETIC if node.op == "integer_arithmetic" else _COMPARISONS
    size = lowering.type(node.output).count
    whole = tuple(name for name in activations(lowering, node) if lowering.type(name).count == size)
    return Step(
        name=lowering.name,
        kernel=f"mcugen_{node.op.removeprefix('integer_')}_{'s32' if a.dtype == 'int32' else 's64'}",
        args=(
            ("shape", four_loops(a.shape, b.shape)),
            ("operation", operators.index(node.attrs["operator"])),
            ("a", Buffer(node.inputs[0])),
            ("b", Buffer(node.inputs[1])),
            ("output", Buffer(node.output)),
        ),
        inputs=activations(lowering, node),
        outputs=(node.output,),
        exactness=PROVED,
        origin=node.origin,
        in_place=whole if node.op == "integer_arithmetic" else (),
    )


INTEGER_ARITHMETIC = OpDef(
    name="integer_arithmetic",
    onnx=_ARITHMETIC,
    from_float=_arithmetic,
    canonical=_canonical,
    lower=_lower,
    fit=equal_ranks,
    layout="elementwise",
    exactness=PROVED,
    limits=(few_loops,),
    takes=("int32", "int64"),
    makes=("int32", "int64"),
    about="int32 or int64, with broadcasting; constant divisors above 0",
)

INTEGER_COMPARE = OpDef(
    name="integer_compare",
    onnx=("Equal", "Greater", "GreaterOrEqual", *_EXCHANGED),
    from_float=_comparison,
    canonical=_canonical,
    lower=_lower,
    fit=equal_ranks,
    layout="elementwise",
    exactness=PROVED,
    limits=(few_loops,),
    takes=("int32", "int64"),
    makes=("bool",),
    about="int32 or int64, with broadcasting; a bool is one byte",
)
