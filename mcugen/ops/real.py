"""Sub, Div, Min and Max of two activations, Add of int8 and uint8. ORT runs them in float32, element by element.

Min and Max need no float: quantizing is monotone, so they are the larger of two bytes behind a table each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import requant
from ..ir import Node
from ..step import PROVED, REPLICATED, TABLE, Step, Struct, Table
from .base import Canonical, Lowering, OpDef, Unit, activation, members
from .broadcast import binary_step, equal_ranks, few_loops


def recognise(op: str) -> Callable[[Unit], Node]:
    """The node of the operator `op`, with its operands in ONNX's order."""

    def made(unit: Unit) -> Node:
        return unit.make(op, unit.inputs, clamp=unit.clamp)

    return made


def canonical(onnx_op: str) -> Callable[[Canonical, Node], None]:
    """The float operator between DequantizeLinear and QuantizeLinear."""

    def meaning(c: Canonical, node: Node) -> None:
        real = [c.real(name, node.output) for name in node.inputs]
        value = c.add("Add" if node.attrs.get("sign") == 1 else onnx_op, real, f"{node.output}/real")
        c.clamped(node, lambda output: c.add("QuantizeLinear", [value, *c.q(node.output)], output))

    return meaning


def div_fields(lowering: Lowering, node: Node) -> dict[str, Any]:
    """The members of mcugen_div_params."""
    (a_scale, a_zero), (b_scale, b_zero), (y_scale, y_zero) = (
        lowering.quant(name) for name in (*node.inputs, node.output)
    )
    return {
        "a_scale": a_scale,
        "b_scale": b_scale,
        "output_scale": y_scale,
        "a_zero_point": a_zero,
        "b_zero_point": b_zero,
        "output_zero_point": y_zero,
        "activation": activation(node.attrs["clamp"]),
    }


def _lower_arithmetic(kind: str) -> Callable[[Lowering, Node], Step]:
    def lower(lowering: Lowering, node: Node) -> Step:
        if kind == "sub":
            operands = [lowering.quant(name) for name in (*node.inputs, node.output)]
            flat, sign = (*operands[0], *operands[1], *operands[2]), node.attrs.get("sign", -1)
            params = requant.sub_params(*flat, sign=sign, activation=node.attrs["clamp"])
            return binary_step(lowering, node, kind, Struct("mcugen_sub_params", members(params)), PROVED, False)
        return binary_step(
            lowering, node, kind, Struct("mcugen_div_params", div_fields(lowering, node)), REPLICATED, False
        )

    return lower


def _lower_choice(kind: str) -> Callable[[Lowering, Node], Step]:
    def lower(lowering: Lowering, node: Node) -> Step:
        y = lowering.quant(node.output)
        tables = [
            requant.requantize_table(*lowering.quant(name), *y, activation=node.attrs["clamp"]) for name in node.inputs
        ]
        fields = {"a_table": Table("a_table", tables[0]), "b_table": Table("b_table", tables[1])}
        return binary_step(lowering, node, kind, Struct("mcugen_choice_params", fields), TABLE, False)

    return lower


def _definition(onnx_op: str, exactness: str, lower: Callable[[Lowering, Node], Step], about: str) -> OpDef:
    return OpDef(
        name=onnx_op.lower(),
        onnx=(onnx_op,),
        recognise=recognise(onnx_op.lower()),
        canonical=canonical(onnx_op),
        lower=lower,
        fit=equal_ranks,
        layout="elementwise",
        exactness=exactness,
        limits=(few_loops,),
        in_float=True,
        about=about,
    )


_FLOAT = "with broadcasting; ONNX Runtime's float32 operations in its order"
_CHOICE = "of two tensors or more, with broadcasting; each passes a table"
SUB = _definition("Sub", PROVED, _lower_arithmetic("sub"), _FLOAT)
DIV = _definition("Div", REPLICATED, _lower_arithmetic("div"), _FLOAT)
MIN = _definition("Min", TABLE, _lower_choice("min"), _CHOICE)
MAX = _definition("Max", TABLE, _lower_choice("max"), _CHOICE)
