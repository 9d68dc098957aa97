"""Add and Mul of two activations, in ORT's own fixed arithmetic (a constant operand of one value is a table: unary)."""

from __future__ import annotations

from collections.abc import Callable

from .. import requant
from ..ir import Node
from ..step import PROVED, Step, Struct
from .base import Canonical, Lowering, OpDef, Unit, members
from .broadcast import binary_step, equal_ranks, few_loops, repeats_inside


def _recognise(op: str) -> Callable[[Unit], Node]:
    def recognise(unit: Unit) -> Node:
        if not unit.one_type:
            return unit.make("sub", unit.inputs, clamp=unit.clamp, sign=1)  # as real numbers
        # ORT exchanges the operands of an Add whose first one is a single value, in all or in each run of the second.
        exchanged = op == "add" and repeats_inside(unit.type(0).shape, unit.type(1).shape)
        return unit.make(op, (unit.inputs[0], unit.inputs[1]), clamp=unit.clamp, exchanged=exchanged)

    return recognise


def _canonical(onnx_op: str) -> Callable[[Canonical, Node], None]:
    def canonical(c: Canonical, node: Node) -> None:
        a, b = reversed(node.inputs) if node.attrs["exchanged"] else node.inputs
        shape = c.graph.type(node.output).shape

        def full(name: str) -> str:
            """As large as the output: then ORT exchanges nothing by itself."""
            if c.graph.type(name).shape == shape:
                return c.tensor(name)
            return c.expanded(name, shape, node.output)

        inputs = [full(a), *c.q(a), full(b), *c.q(b), *c.q(node.output)]
        c.clamped(node, lambda output: c.add(onnx_op, inputs, output, "com.microsoft"))

    return canonical


def _lower(kind: str) -> Callable[[Lowering, Node], Step]:
    def lower(lowering: Lowering, node: Node) -> Step:
        exchanged = node.attrs["exchanged"]
        a, b = reversed(node.inputs) if exchanged else node.inputs
        operands = (*lowering.quant(a), *lowering.quant(b), *lowering.quant(node.output))
        solve = requant.add_params if kind == "add" else requant.mul_params
        params = solve(*operands, unsigned=lowering.type(node.output).origin > 0, activation=node.attrs["clamp"])
        return binary_step(lowering, node, kind, Struct(f"mcugen_{kind}_params", members(params)), PROVED, exchanged)

    return lower


ADD = OpDef(
    name="add",
    onnx=("Add", "QLinearAdd"),
    recognise=_recognise("add"),
    canonical=_canonical("QLinearAdd"),
    lower=_lower("add"),
    fit=equal_ranks,
    layout="elementwise",
    exactness=PROVED,
    limits=(few_loops,),
    about="with broadcasting; every pair of operand values is checked at compile time",
)

MUL = OpDef(
    name="mul",
    onnx=("Mul", "QLinearMul"),
    recognise=_recognise("mul"),
    canonical=_canonical("QLinearMul"),
    lower=_lower("mul"),
    fit=equal_ranks,
    layout="elementwise",
    exactness=PROVED,
    limits=(few_loops,),
    about="with broadcasting; every pair of operand values is checked at compile time",
)
