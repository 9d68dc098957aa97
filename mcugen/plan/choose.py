"""From steps to a plan: their order, moves against drift, and bands of rows where the budget asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..ir import Graph
from ..step import Step
from .allocate import Plan, allocate
from .bands import Banded, Group, LowerBand, band, divisible, unlowered
from .drift import against_drift
from .schedule import schedule

_TURNS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_CALL = 60  # instructions of one more call, and of its loops' beginnings


@dataclass(frozen=True)
class Planned:
    graph: Graph  # knows the types of the bands, too
    steps: tuple[Step, ...]
    plan: Plan


def plan_steps(graph: Graph, steps: Sequence[Step], lower: LowerBand, ram: int | None = None) -> Planned:
    """The smallest arena of whole steps; if it exceeds `ram` bytes, bands: the cheapest that fit, or the smallest."""
    ordered = schedule(graph, steps)
    planned = _finish(Banded(graph, tuple(ordered), {}, (), 0))
    if ram is None or planned.plan.arena_bytes <= ram:
        return planned
    groups = _groups(graph, ordered, ram)
    if not groups:
        return planned
    banded = _finish(band(graph, ordered, groups, lower))
    return banded if banded.plan.arena_bytes < planned.plan.arena_bytes else planned


def _finish(banded: Banded) -> Planned:
    graph, steps = against_drift(banded.graph, banded.steps, banded.places)
    return Planned(graph, steps, allocate(graph, steps, banded.places))


def _groups(graph: Graph, steps: Sequence[Step], ram: int) -> tuple[Group, ...]:
    """One group after the other around the step that needs most, until the plan fits or nothing helps."""
    groups: tuple[Group, ...] = ()
    best = _measure(graph, steps, groups)
    while best.arena > ram:
        tried = [(_measure(graph, steps, option), option) for option in _options(graph, steps, groups, best.peak)]
        if not tried:
            break
        fitting = [item for item in tried if item[0].arena <= ram]
        found, option = (
            min(fitting, key=lambda item: (item[0].cost, item[0].arena))
            if fitting
            else min(tried, key=lambda item: (item[0].arena, item[0].cost))
        )
        if found.arena >= best.arena:
            break
        best, groups = found, option
    return groups


@dataclass(frozen=True)
class _Measure:
    arena: int
    cost: int  # instructions, roughly, beyond those of the whole steps
    peak: int  # which of the whole steps needs most


def _measure(graph: Graph, steps: Sequence[Step], groups: tuple[Group, ...]) -> _Measure:
    banded = band(graph, steps, groups, unlowered)
    plan = allocate(banded.graph, banded.steps, banded.places, quick=True)
    cost = banded.moved_bytes + _CALL * (len(banded.steps) - len(steps))
    return _Measure(plan.arena_bytes, cost, banded.origin[plan.peak_step])


def _options(graph: Graph, steps: Sequence[Step], groups: tuple[Group, ...], peak: int) -> Iterator[tuple[Group, ...]]:
    """The groups, and one more that contains the step `peak` and replaces those it meets."""
    nodes = graph.producers()
    possible = [divisible(graph, nodes.get(step.outputs[0]), step) for step in steps]
    if not possible[peak]:
        return
    low = high = peak
    while low > 0 and possible[low - 1]:
        low -= 1
    while high + 1 < len(steps) and possible[high + 1]:
        high += 1
    for first in range(low, peak + 1):
        for last in range(peak, high + 1):
            height = graph.type(steps[last].outputs[0]).shape[1]
            rest = tuple(g for g in groups if g.last < first or last < g.first)
            for turns in sorted({*(t for t in _TURNS if t < height), height} - {1}):
                yield (*rest, Group(first, last, turns))
