"""Arithmetic, comparisons and reductions of int32 and int64 tensors: positions, class numbers, counts.

Sums and products of two wrap around, as ORT's do. A division by 0 ends ORT's whole process, so divisors must be
constants. ReduceSum adds up in double in ORT, and saturates: all orders are exact up to 2^53, beyond which a sum of
int64 ends the run with NAME_ERR_KERNEL; int32 numbers do not get there.
"""

from __future__ import annotations

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node, attrs
from ..step import PROVED, Buffer, Step
from .base import Canonical, FloatUnit, Lowering, OpDef
from .broadcast import activations, equal_ranks, few_loops, four_loops
from .float_compare import ALL_COMPARISONS, COMPARISONS, comparison
from .reduce import axes_of, neighbours, parts_of

_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Mod", "Min", "Max")  # in the order of MCUGEN_INTEGER_*
_REDUCTIONS = {"ReduceSum": "Add", "ReduceMin": "Min", "ReduceMax": "Max"}


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
    return comparison(unit, "integer_compare")


def _canonical(c: Canonical, node: Node) -> None:
    c.add(node.attrs["operator"], [c.tensor(name) for name in node.inputs], node.output)


def _lower(lowering: Lowering, node: Node) -> Step:
    a, b = (lowering.type(name) for name in node.inputs)
    operators = _ARITHMETIC if node.op == "integer_arithmetic" else COMPARISONS
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


def _reduction(unit: FloatUnit) -> Node:
    axes = axes_of(unit.graph, unit.node, len(unit.type(0).shape))
    chosen = attrs(operator=unit.node.op, axes=axes)
    return Node("integer_reduce", (unit.name(0),), unit.node.outputs, chosen, unit.node.origin)


def _canonical_reduce(c: Canonical, node: Node) -> None:
    axes = c.constant(f"{node.output}/axes", np.array(node.attrs["axes"], np.int64))
    c.add(node.attrs["operator"], [c.tensor(node.inputs[0]), axes], node.output, keepdims=1)


def _lower_reduce(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    outer, reduced, inner = parts_of(lowering.graph, node)
    is_long = lowering.type(x).dtype == "int64"
    return Step(
        name=lowering.name,
        kernel=f"mcugen_reduce_{'s64' if is_long else 's32'}",
        args=(
            ("operation", _ARITHMETIC.index(_REDUCTIONS[node.attrs["operator"]])),
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("outer", outer),
            ("reduced", reduced),
            ("inner", inner),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=PROVED,
        origin=node.origin,
        returns_status=is_long,
    )


def _exact_sum(graph: Graph, node: Node) -> str | None:
    """An integer sum takes at most 2,097,152 values, so that a double holds it. Reduce in two steps."""
    count = parts_of(graph, node)[1]
    return None if count <= 2**21 else f"{count} here"


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
    onnx=ALL_COMPARISONS,
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

INTEGER_REDUCE = OpDef(
    name="integer_reduce",
    onnx=tuple(_REDUCTIONS),
    from_float=_reduction,
    canonical=_canonical_reduce,
    lower=_lower_reduce,
    fit=neighbours,
    layout="axes",
    exactness=PROVED,
    limits=(_exact_sum,),
    takes=("int32", "int64"),
    makes=("int32", "int64"),
    about="int32 or int64, over any axes; a sum of int64 beyond 2^53 ends the run with NAME_ERR_KERNEL",
)
