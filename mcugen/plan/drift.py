"""Moves against drift.

Where every output follows its input at lower addresses, a chain of layers drifts downwards through the arena and needs
room for the whole way. Moving a tensor back up, between two layers, gives that room back for about an instruction a
byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from ..ir import Graph, Value
from ..step import Buffer, Step
from .allocate import allocate
from .bands import move
from .lifetimes import Places

_MACS_PER_BYTE = 50  # a moved byte must be outweighed by that many multiplications of the model
_MOVED_PER_SAVED = 64  # and one saved byte is worth that many moved ones


def against_drift(graph: Graph, steps: Sequence[Step], places: Places) -> tuple[Graph, tuple[Step, ...]]:
    """The steps, with the moves that make the arena smallest if any do."""
    budget = sum(step.macs for step in steps) // _MACS_PER_BYTE
    plan = allocate(graph, steps, places, quick=True)
    start = best = plan.arena_bytes
    if best == plan.peak_bytes:  # moves would not change that
        return graph, tuple(steps)
    chosen: tuple[str, ...] = ()
    for moved in _alternatives(graph, steps):
        moved_bytes = sum(graph.type(name).bytes for name in moved)
        if moved_bytes <= budget:
            arena = _arena(graph, steps, places, moved)
            if arena < best and moved_bytes <= _MOVED_PER_SAVED * (start - arena):
                best, chosen = arena, moved
    for name in chosen:
        fewer = tuple(other for other in chosen if other != name)
        if _arena(graph, steps, places, fewer) <= best:
            chosen = fewer
    return with_moves(graph, steps, chosen)


def _arena(graph: Graph, steps: Sequence[Step], places: Places, moved: tuple[str, ...]) -> int:
    changed, result = with_moves(graph, steps, moved)
    return allocate(changed, result, places, quick=True).arena_bytes


def _alternatives(graph: Graph, steps: Sequence[Step]) -> list[tuple[str, ...]]:
    """Which tensors to move so that no chain drifts further than a limit, for every limit that matters."""
    viewed = {name for node in graph.nodes if node.op == "reshape" for name in node.inputs}
    fixed = {*viewed, *graph.outputs, *graph.inputs}
    leads = [dict(step.leads).get(step.inputs[0]) if step.inputs else None for step in steps]
    sums = {sum(part) for i in range(len(leads)) for part in _runs(leads[i:])}
    found: dict[tuple[str, ...], None] = {}
    for limit in sorted(sums, reverse=True):
        drift: dict[str, int] = {}
        moved: list[str] = []
        for step, lead in zip(steps, leads, strict=True):
            if lead is None or lead >= graph.type(step.outputs[0]).bytes:
                continue
            source = step.inputs[0]
            total = drift.get(source, 0) + lead
            if total > limit and source in drift and source not in fixed:
                moved.append(source)
                total = lead
            drift[step.outputs[0]] = total
        found[tuple(moved)] = None
    return [moved for moved in found if moved]


def _runs(leads: Sequence[int | None]) -> list[list[int]]:
    """The beginnings of the list up to its first None."""
    end = next((i for i, lead in enumerate(leads) if lead is None), len(leads))
    return [[lead for lead in leads[: i + 1] if lead is not None] for i in range(end)]


def with_moves(graph: Graph, steps: Sequence[Step], moved: Sequence[str]) -> tuple[Graph, tuple[Step, ...]]:
    """Each tensor of `moved` is moved right behind the step that makes it, and read at its new place."""
    values = dict(graph.values)
    names: dict[str, str] = {}
    result: list[Step] = []
    for step in steps:
        result.append(_reading(step, names))
        for name in step.outputs:
            if name in moved:
                names[name] = f"{name} (moved)"
                values[names[name]] = Value(names[name], graph.type(name))
                result.append(move(step, name, names[name], graph.type(name).bytes))
    return graph.replace(values=MappingProxyType(values)), tuple(result)


def _reading(step: Step, names: Mapping[str, str]) -> Step:
    """The step with its inputs renamed."""
    if not any(name in names for name in step.inputs):
        return step
    args = tuple(
        (role, replace(arg, value=names.get(arg.value, arg.value)) if isinstance(arg, Buffer) else arg)
        for role, arg in step.args
    )
    return replace(
        step,
        args=args,
        inputs=tuple(names.get(name, name) for name in step.inputs),
        in_place=tuple(names.get(name, name) for name in step.in_place),
        adds_to=step.adds_to and names.get(step.adds_to, step.adds_to),
        leads=tuple((names.get(name, name), lead) for name, lead in step.leads),
    )
