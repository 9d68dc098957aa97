"""Add and Mul of two activations of the same shape (a constant operand of one value is a table: see unary)."""

from __future__ import annotations

from collections.abc import Callable

from .. import requant
from ..ir import Graph, Node
from ..step import PROVED, Buffer, Step, Struct
from .base import Canonical, Lowering, OpDef, Unit, members


def _recognise(op: str) -> Callable[[Unit], Node]:
    def recognise(unit: Unit) -> Node:
        return unit.make(op, (unit.inputs[0], unit.inputs[1]), clamp=unit.clamp)

    return recognise


def _same_shape(graph: Graph, node: Node) -> str | None:
    """Both operands must have the same shape. Broadcast the smaller one before export, or fold it into a layer."""
    a, b = (graph.type(name).shape for name in node.inputs)
    return None if a == b else f"they are {list(a)} and {list(b)}"


def _canonical(onnx_op: str) -> Callable[[Canonical, Node], None]:
    def canonical(c: Canonical, node: Node) -> None:
        a, b = node.inputs
        inputs = [c.tensor(a), *c.q(a), c.tensor(b), *c.q(b), *c.q(node.output)]
        c.clamped(node, lambda output: c.add(onnx_op, inputs, output, "com.microsoft"))

    return canonical


def _lower(kind: str) -> Callable[[Lowering, Node], Step]:
    def lower(lowering: Lowering, node: Node) -> Step:
        a, b = node.inputs
        # ORT exchanges the operands of an Add whose first one is a single value.
        exchanged = kind == "add" and lowering.type(a).count == 1
        if exchanged:
            a, b = b, a
        operands = (*lowering.quant(a), *lowering.quant(b), *lowering.quant(node.output))
        solve = requant.add_params if kind == "add" else requant.mul_params
        params = solve(*operands, unsigned=lowering.graph.unsigned, activation=node.attrs["clamp"])
        return Step(
            name=lowering.name,
            kernel=f"mcugen_{kind}_s8",
            args=(
                ("params", Struct(f"mcugen_{kind}_params", members(params))),
                ("a", Buffer(a)),
                ("b", Buffer(b)),
                ("output", Buffer(node.output)),
                ("count", lowering.type(node.output).count),
            ),
            inputs=(a, b),
            outputs=(node.output,),
            exactness=PROVED,
            origin=node.origin,
            in_place=(a, b),
        )

    return lower


ADD = OpDef(
    name="add",
    onnx=("Add", "QLinearAdd"),
    recognise=_recognise("add"),
    canonical=_canonical("QLinearAdd"),
    lower=_lower("add"),
    layout="elementwise",
    exactness=PROVED,
    limits=(_same_shape,),
    about="two tensors of one shape; every pair of operand values is checked at compile time",
)

MUL = OpDef(
    name="mul",
    onnx=("Mul", "QLinearMul"),
    recognise=_recognise("mul"),
    canonical=_canonical("QLinearMul"),
    lower=_lower("mul"),
    layout="elementwise",
    exactness=PROVED,
    limits=(_same_shape,),
    about="two tensors of one shape; every pair of operand values is checked at compile time",
)
