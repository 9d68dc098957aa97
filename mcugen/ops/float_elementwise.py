"""Arithmetic of two float32 tensors with broadcasting: one rounding an element, as in ORT.

x to the power of 2 is x * x, as in ORT; other powers are within TOLERANCE.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node
from ..step import FLOAT, PROVED, Array, Buffer, Step, Struct
from .base import Canonical, FloatUnit, Lowering, OpDef
from .broadcast import equal_ranks

_OPERATORS = ("Add", "Sum", "Sub", "Mul", "Div", "Min", "Max", "PRelu", "Pow")
TOLERANCE = 1e-6  # of Pow
_KERNELS = {"Sum": "add"}
MAX_AXES = 4  # of mcugen_f32_binary_params


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


def loops(*shapes: Sequence[int]) -> list[tuple[int, ...]]:
    """(turns, step in the first operand, in the second, ...) of each loop over the output, the outermost first;
    neighbours merged.

    shapes: of one rank, each dimension equal or 1.
    """
    found: list[tuple[int, ...]] = []
    strides = [1] * len(shapes)
    for sizes in zip(*map(reversed, shapes), strict=True):
        turns = max(sizes)
        if turns == 1:
            continue
        steps = [stride if size > 1 else 0 for stride, size in zip(strides, sizes, strict=True)]
        strides = [stride * size for stride, size in zip(strides, sizes, strict=True)]
        inner = found[-1] if found else None
        if inner and all(step == inner[0] * before for step, before in zip(steps, inner[1:], strict=True)):
            found[-1] = (inner[0] * turns, *inner[1:])
        else:
            found.append((turns, *steps))
    return found[::-1]


def walk(lowering: Lowering, node: Node) -> dict[str, Any]:
    """The fields `axes` and `rank` of a kernel that walks over the operands a, b (and c) of `node`."""
    found = loops(*(lowering.type(name).shape for name in node.inputs))
    axes = tuple(
        {"count": turns} | {f"{operand}_step": step for operand, step in zip("abc", steps, strict=False)}
        for turns, *steps in found
    )
    return ({"axes": Array(axes)} if axes else {}) | {"rank": len(axes)}


def activations(lowering: Lowering, node: Node) -> tuple[str, ...]:
    """The operands that are no constants."""
    return tuple(dict.fromkeys(name for name in node.inputs if lowering.graph.data(name) is None))


def _lower(lowering: Lowering, node: Node) -> Step:
    a, b = node.inputs
    low, high = node.attrs["clamp"]
    fields = walk(lowering, node) | {"low": np.float32(low), "high": np.float32(high)}
    size, operator = lowering.type(node.output).count, node.attrs["operator"]
    return Step(
        name=lowering.name,
        kernel=f"mcugen_f32_{_KERNELS.get(operator, operator.lower())}",
        args=(
            ("params", Struct("mcugen_f32_binary_params", fields)),
            ("a", Buffer(a)),
            ("b", Buffer(b)),
            ("output", Buffer(node.output)),
        ),
        inputs=activations(lowering, node),
        outputs=(node.output,),
        exactness=FLOAT if operator == "Pow" else PROVED,
        tolerance=TOLERANCE if operator == "Pow" else 0.0,
        origin=node.origin,
        in_place=tuple(name for name in (a, b) if lowering.type(name).count == size),
    )


def few_loops(graph: Graph, node: Node) -> str | None:
    """At most 4 loops can be walked. Reshape the operands to fewer dimensions before export."""
    count = len(loops(*(graph.type(name).shape for name in node.inputs)))
    return None if count <= MAX_AXES else f"{count} here"


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
