"""Two operands of different shapes: what ONNX's broadcasting means for the kernels, and for ORT's own order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..ir import Graph, Node
from ..step import Array, Buffer, Step, Struct
from .base import Fitter, Lowering

_AXES = 4  # of mcugen_broadcast


def equal_ranks(fit: Fitter, node: Node) -> bool:
    """Give operands their missing leading dimensions; True if one had any missing."""
    rank = len(fit.type(node.output).shape)
    shapes = [fit.type(name).shape for name in node.inputs]
    if all(len(shape) == rank for shape in shapes):
        return False
    views = [fit.view(n, (*(1,) * (rank - len(s)), *s)) for n, s in zip(node.inputs, shapes, strict=True)]
    fit.add(replace(node, inputs=tuple(views)))
    return True


def repeats_inside(a: Sequence[int], b: Sequence[int]) -> bool:
    """Does one value of a meet a run of b? ORT then takes a as a scalar, run by run. ONNX shapes, before layouts."""
    rank = max(len(a), len(b))
    pairs = zip((*(1,) * (rank - len(a)), *a), (*(1,) * (rank - len(b)), *b), strict=True)
    inner = next(((x, y) for x, y in reversed(list(pairs)) if (x, y) != (1, 1)), (1, 1))
    return inner[0] == 1


def loops(a: Sequence[int], b: Sequence[int]) -> list[tuple[int, int, int]]:
    """(count, step of a, step of b) in elements, innermost first, of a walk over the broadcast shape."""
    found: list[tuple[int, int, int]] = []
    a_stride = b_stride = 1
    for x, y in zip(reversed(a), reversed(b), strict=True):
        count, a_step, b_step = max(x, y), a_stride * (x > 1), b_stride * (y > 1)
        a_stride, b_stride = a_stride * x, b_stride * y
        if count == 1:
            continue
        if found:
            inner, a_inner, b_inner = found[-1]
            if (a_step, b_step) == (inner * a_inner, inner * b_inner):
                found[-1] = (inner * count, a_inner, b_inner)
                continue
        found.append((count, a_step, b_step))
    return found or [(1, 0, 0)]


def few_axes(graph: Graph, node: Node) -> str | None:
    """The operands' shapes may differ in at most 4 groups of dimensions. Reshape, or Expand one before export."""
    a, b = (graph.type(name).shape for name in node.inputs[:2])
    count = len(loops(a, b))
    return None if count <= _AXES else f"{list(a)} and {list(b)}"


def binary_step(lowering: Lowering, node: Node, name: str, params: Struct, exactness: str, exchanged: bool) -> Step:
    """A call of mcugen_<name>_s8, or of mcugen_<name>_broadcast_s8 if the operands' shapes differ."""
    a, b = reversed(node.inputs) if exchanged else node.inputs
    shapes = [lowering.type(x).shape for x in (a, b)]
    count = lowering.type(node.output).count
    buffers: list[tuple[str, Any]] = [("a", Buffer(a)), ("b", Buffer(b)), ("output", Buffer(node.output))]
    args: tuple[tuple[str, Any], ...]
    if shapes[0] == shapes[1]:
        kernel, args = f"mcugen_{name}_s8", (("params", params), *buffers, ("count", count))
    else:
        walk = [*loops(*shapes), *[(1, 0, 0)] * _AXES][:_AXES]
        axes = Array(tuple({"count": n, "a_step": i, "b_step": j} for n, i, j in walk))
        shape = Struct("mcugen_broadcast", {"axes": axes})
        kernel, args = f"mcugen_{name}_broadcast_s8", (("params", params), ("shape", shape), *buffers)
    return Step(
        name=lowering.name,
        kernel=kernel,
        args=args,
        inputs=(a, b),
        outputs=(node.output,),
        exactness=exactness,
        origin=node.origin,
        in_place=tuple(x for x in (a, b) if lowering.type(x).count == count),
    )
