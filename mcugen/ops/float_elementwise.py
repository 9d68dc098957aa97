"""Arithmetic of two float32 tensors with broadcasting: one rounding an element, as in ORT.

x to the power of 2 is x * x, as in ORT; other powers are within TOLERANCE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node
from ..step import FLOAT, PROVED, Array, Buffer, Step, Struct
from .base import Canonical, Fitter, FloatUnit, Lowering, OpDef

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


def _fit(fit: Fitter, node: Node) -> bool:
    """Give the smaller operand its missing dimensions."""
    rank = len(fit.type(node.output).shape)
    shapes = [fit.type(name).shape for name in node.inputs]
    if all(len(shape) == rank for shape in shapes):
        return False
    inputs = [
        fit.view(name, (*(1,) * (rank - len(shape)), *shape)) for name, shape in zip(node.inputs, shapes, strict=True)
    ]
    fit.add(replace(node, inputs=tuple(inputs)))
    return True


def _canonical(c: Canonical, node: Node) -> None:
    a, b = (c.tensor(name) for name in node.inputs)
    c.bounded(node, c.add(node.attrs["operator"], [a, b], f"{node.output}/real"))


def loops(a: Sequence[int], b: Sequence[int]) -> list[tuple[int, int, int]]:
    """(turns, step in a, step in b) of each loop over the output, the outermost first; neighbours merged.

    a, b: shapes of one rank, each dimension equal or 1.
    """
    found: list[tuple[int, int, int]] = []
    strides = [1, 1]
    for sizes in zip(reversed(a), reversed(b), strict=True):
        turns = max(sizes)
        if turns == 1:
            continue
        steps = [stride if size > 1 else 0 for stride, size in zip(strides, sizes, strict=True)]
        strides = [stride * size for stride, size in zip(strides, sizes, strict=True)]
        inner = found[-1] if found else None
        if inner and all(step == inner[0] * before for step, before in zip(steps, inner[1:], strict=True)):
            found[-1] = (inner[0] * turns, inner[1], inner[2])
        else:
            found.append((turns, steps[0], steps[1]))
    return found[::-1]


def _lower(lowering: Lowering, node: Node) -> Step:
    a, b = node.inputs
    low, high = node.attrs["clamp"]
    axes = tuple(
        {"count": turns, "a_step": a_step, "b_step": b_step}
        for turns, a_step, b_step in loops(lowering.type(a).shape, lowering.type(b).shape)
    )
    shape = {"axes": Array(axes)} if axes else {}
    fields = shape | {"rank": len(axes), "low": np.float32(low), "high": np.float32(high)}
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
        inputs=tuple(name for name in (a, b) if lowering.graph.data(name) is None),
        outputs=(node.output,),
        exactness=FLOAT if operator == "Pow" else PROVED,
        tolerance=TOLERANCE if operator == "Pow" else 0.0,
        origin=node.origin,
        in_place=tuple(name for name in (a, b) if lowering.type(name).count == size),
    )


def _loops(graph: Graph, node: Node) -> str | None:
    """At most 4 loops can be walked. Reshape the operands to fewer dimensions before export."""
    a, b = (graph.type(name).shape for name in node.inputs)
    count = len(loops(a, b))
    return None if count <= MAX_AXES else f"{count} here"


FLOAT_BINARY = OpDef(
    name="float_binary",
    onnx=(*_OPERATORS, "Mean"),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    fit=_fit,
    layout="elementwise",
    exactness=PROVED,
    limits=(_loops,),
    about=f"float32, with broadcasting; Pow within {TOLERANCE:g} of the largest result",
)
