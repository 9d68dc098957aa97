"""Arithmetic of two float32 tensors with broadcasting: one rounding an element, as in ORT.

x to the power of 2 is x * x, as in ORT; other powers are within TOLERANCE.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import UserError
from ..ir import Node
from ..step import FLOAT, PROVED, Buffer, Step, Struct
from .base import Canonical, FloatUnit, Lowering, OpDef
from .broadcast import activations, equal_ranks, few_loops, walk

_OPERATORS = ("Add", "Sum", "Sub", "Mul", "Div", "Min", "Max", "PRelu", "Pow")
TOLERANCE = 1e-6  # of Pow
_KERNELS = {"Sum": "add"}


def _from_float(unit: FloatUnit) -> Node:
    if unit.node.op == "Pow":
        exponent = unit.graph.data(unit.name(1))
        if exponent is not None and exponent.size == 1 and exponent.item() == 2:
            return unit.make("float_binary", (unit.name(0), unit.name(0)), operator="Mul")
        if unit.type(1).dtype != "float32":
            raise UserError(
                f"Pow with an exponent of type {unit.type(1).dtype} is not supported",
                origin=unit.node.where,
                hint="Export a float32 exponent.",
            )
    return unit.make("float_binary", (unit.name(0), unit.name(1)), operator=unit.node.op)


def _canonical(c: Canonical, node: Node) -> None:
    a, b = (c.tensor(name) for name in node.inputs)
    c.bounded(node, c.add(node.attrs["operator"], [a, b], f"{node.output}/real"))


def binary_step(lowering: Lowering, node: Node, kernel: str, clamp: tuple[float, float]) -> Step:
    """A proved call of mcugen_f32_<kernel> on two operands."""
    a, b = node.inputs
    fields = walk(lowering, node) | {"low": np.float32(clamp[0]), "high": np.float32(clamp[1])}
    return Step(
        name=lowering.name,
        kernel=f"mcugen_f32_{kernel}",
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


def _lower(lowering: Lowering, node: Node) -> Step:
    operator, size = node.attrs["operator"], lowering.type(node.output).count
    step = binary_step(lowering, node, _KERNELS.get(operator, operator.lower()), node.attrs["clamp"])
    step = replace(step, in_place=tuple(name for name in node.inputs if lowering.type(name).count == size))
    return replace(step, exactness=FLOAT, tolerance=TOLERANCE) if operator == "Pow" else step


FLOAT_BINARY = OpDef(
    name="float_binary",
    onnx=(*_OPERATORS, "Mean"),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    fit=equal_ranks,
    layout="elementwise",
    exactness=PROVED,
    limits=(few_loops,),
    about=f"float32, with broadcasting; Pow within {TOLERANCE:g} of the largest result",
)
