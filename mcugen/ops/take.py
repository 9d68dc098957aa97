"""Take: y[i, j, ...] = x[positions[0][i], positions[1][j], ...]: what slices, splits, repeats and enlarges.

The pass `plain_copies` makes it. positions: one tuple per axis, None = the whole axis as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir import Graph, Node
from ..step import COPY, Array, Buffer, Step, Struct, Table
from .base import Canonical, Lowering, OpDef

MAX_AXES = 6  # of mcugen_take_params


@dataclass(frozen=True)
class Axis:
    """One loop: `count` turns, the source moving by `step` elements each, or to offsets[i] (elements)."""

    count: int
    step: int
    offsets: tuple[int, ...] | None = None


def walk(axes: Sequence[Axis]) -> tuple[tuple[Axis, ...], int]:
    """The same walk over the source in as few loops as possible, and the elements that lie together inside them."""
    merged: list[Axis] = []
    for axis in reversed([a for a in axes if a.count != 1]):  # innermost first
        inner = merged[-1] if merged else None
        if inner and not inner.offsets and not axis.offsets and axis.step == inner.count * inner.step:
            merged[-1] = Axis(inner.count * axis.count, inner.step)
        else:
            merged.append(axis)
    block = 1
    if merged and not merged[0].offsets and merged[0].step == 1:
        block = merged.pop(0).count
    return tuple(reversed(merged)), block


def picked(shape: Sequence[int], positions: Sequence[tuple[int, ...] | None]) -> tuple[list[Axis], int]:
    """(the loops over the output, the source's first element); evenly spaced positions need no table."""
    axes, start, stride = [], 0, 1
    for size, chosen in reversed(list(zip(shape, positions, strict=True))):
        index = np.arange(size) if chosen is None else np.array(chosen)
        steps = np.unique(np.diff(index))
        if steps.size <= 1:
            start += int(index[0]) * stride
            axes.append(Axis(len(index), int(steps[0]) * stride if steps.size else 0))
        else:
            axes.append(Axis(len(index), 0, tuple(int(i) * stride for i in index)))
        stride *= size
    return axes[::-1], start


def in_bytes(axis: Axis, width: int) -> Axis:
    """The loop over elements of `width` bytes, counted in bytes."""
    offsets = None if axis.offsets is None else tuple(offset * width for offset in axis.offsets)
    return Axis(axis.count, axis.step * width, offsets)


def take_step(lowering: Lowering, node: Node, axes: Sequence[Axis], start: int) -> Step:
    loops, block = walk(axes)
    is_float = lowering.type(node.output).dtype == "float32"
    width = 1 if is_float else np.dtype(lowering.type(node.output).dtype).itemsize
    loops = tuple(in_bytes(axis, width) for axis in loops)
    fields: list[Any] = []
    for k, axis in enumerate(loops):
        table = {"offsets": Table(f"offsets_{k}", np.array(axis.offsets, np.int32))} if axis.offsets else {}
        fields.append({"count": axis.count, "step": axis.step} | table)
    shape = {"axes": Array(tuple(fields)), "rank": len(loops), "start": start * width, "block": block * width}
    if not fields:
        del shape["axes"]
    return Step(
        name=lowering.name,
        kernel="mcugen_f32_take" if is_float else "mcugen_take_s8",
        args=(
            ("params", Struct("mcugen_take_params", shape)),
            ("input", Buffer(node.inputs[0], as_bytes=width > 1)),
            ("output", Buffer(node.output, as_bytes=width > 1)),
        ),
        inputs=node.inputs[:1],
        outputs=(node.output,),
        exactness=COPY,
        origin=node.origin,
    )


def _canonical(c: Canonical, node: Node) -> None:
    """One Gather an axis."""
    value = c.tensor(node.inputs[0])
    chosen = [(axis, p) for axis, p in enumerate(node.attrs["positions"]) if p is not None]
    for number, (axis, positions) in enumerate(chosen, 1):
        index = c.constant(f"{node.output}/positions{axis}", np.array(positions, np.int64))
        output = node.output if number == len(chosen) else f"{node.output}/axis{axis}"
        value = c.add("Gather", [value, index], output, axis=axis)


def _lower(lowering: Lowering, node: Node) -> Step:
    return take_step(lowering, node, *picked(lowering.type(node.inputs[0]).shape, node.attrs["positions"]))


def _loops(graph: Graph, node: Node) -> str | None:
    """At most 6 loops can be walked. Split the operator before export."""
    axes, _ = picked(graph.type(node.inputs[0]).shape, node.attrs["positions"])
    count = len(walk(axes)[0])
    return None if count <= MAX_AXES else f"{count} here"


TAKE = OpDef(
    name="take",
    onnx=("Slice", "Split", "Gather", "Expand", "Tile", "Resize", "DepthToSpace", "SpaceToDepth"),
    canonical=_canonical,
    lower=_lower,
    layout="axis",
    exactness=COPY,
    limits=(_loops,),
    bits=(8, 16),
    about="constant positions and sizes; Resize nearest in every coordinate mode",
)
