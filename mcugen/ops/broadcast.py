"""Two operands of different shapes: what ONNX's broadcasting means for the kernels, and for ORT's own order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..ir import Graph, Node
from ..step import Array, Buffer, Step, Struct
from .base import Fitter, Lowering

_AXES = 4  # of mcugen_broadcast, mcugen_f32_binary_params and mcugen_where_params


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


def loops(*shapes: Sequence[int]) -> list[tuple[int, ...]]:
    """(count, step in the first operand, in the second, ...) of each loop over the output, in elements.

    The innermost comes first; neighbours are merged, and loops of one turn left out.

    shapes: of one rank, each dimension equal or 1.
    """
    found: list[tuple[int, ...]] = []
    strides = [1] * len(shapes)
    for sizes in zip(*map(reversed, shapes), strict=True):
        count = max(sizes)
        if count == 1:
            continue
        steps = [stride if size > 1 else 0 for stride, size in zip(strides, sizes, strict=True)]
        strides = [stride * size for stride, size in zip(strides, sizes, strict=True)]
        inner = found[-1] if found else None
        if inner and all(step == inner[0] * before for step, before in zip(steps, inner[1:], strict=True)):
            found[-1] = (inner[0] * count, *inner[1:])
        else:
            found.append((count, *steps))
    return found


def few_loops(graph: Graph, node: Node) -> str | None:
    """The operands' shapes may differ in at most 4 groups of dimensions. Reshape, or Expand one before export."""
    shapes = [graph.type(name).shape for name in node.inputs]
    return None if len(loops(*shapes)) <= _AXES else " and ".join(str(list(shape)) for shape in shapes)


def walk(lowering: Lowering, node: Node) -> dict[str, Any]:
    """The fields `axes` (the outermost first) and `rank` of a kernel that walks over the operands a, b (and c)."""
    found = loops(*(lowering.type(name).shape for name in node.inputs))[::-1]
    axes = tuple(
        {"count": count} | {f"{operand}_step": step for operand, step in zip("abc", steps, strict=False)}
        for count, *steps in found
    )
    return ({"axes": Array(axes)} if axes else {}) | {"rank": len(axes)}


def activations(lowering: Lowering, node: Node) -> tuple[str, ...]:
    """The operands that are no constants."""
    return tuple(dict.fromkeys(name for name in node.inputs if lowering.graph.data(name) is None))


def four_loops(a: Sequence[int], b: Sequence[int]) -> Struct:
    """The loops over two operands of these shapes, the innermost first."""
    turns = [*loops(a, b), *[(1, 0, 0)] * _AXES][:_AXES]
    axes = Array(tuple({"count": n, "a_step": i, "b_step": j} for n, i, j in turns))
    return Struct("mcugen_broadcast", {"axes": axes})


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
        kernel, args = f"mcugen_{name}_broadcast_s8", (("params", params), ("shape", four_loops(*shapes)), *buffers)
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
