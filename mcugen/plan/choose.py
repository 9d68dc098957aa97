"""From steps to a plan: their order, moves against drift, and bands of rows where the budget asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..errors import UserError
from ..ir import Graph
from ..step import FEED, MOVE, Step
from .allocate import Plan, allocate
from .bands import Banded, Group, LowerBand, band, closing, divisible, rows, unlowered
from .costs import Costs
from .drift import against_drift
from .fuse import Merge, fuse
from .schedule import schedule

_TURNS = (2, 4, 8, 16, 32, 64)
_SHARES = (1, 2, 4, 8, 16, 32)  # rows of an input that come in before layers run
_WORK = 40_000  # steps placed in search of bands: half a minute; large networks have more choices than that

# Bands that nobody asked for, if they take no instruction more:
_WORTH = 16 << 10  # bytes of an arena from which on it is worth the search: boards of these cores have that much
_FREE_WORK = 4_000  # steps placed in search of them: seconds
_FINISHED = 8  # plans that are finished in a turn of it: it knows nothing of their moves against drift
_FLASH_SHARE = 0.5  # bytes of flash for a byte of RAM: microcontrollers have at least twice as much


Lean = Callable[[Step], Step | None]
"""A step -> the same with a kernel that takes less scratch and more time, if there is one."""


WHOLE = "whole layers"


@dataclass(frozen=True)
class Planned:
    graph: Graph  # knows the types of the bands, too
    steps: tuple[Step, ...]
    plan: Plan
    reason: str = f"{WHOLE}: the budget, if any, asks for no bands, and none were found that are free"  # KIND: WHY


@dataclass(frozen=True)
class Lowered:
    """How the steps are lowered otherwise."""

    band: LowerBand
    lean: Lean
    merge: Merge
    costs: Costs  # of the core's instruction set


def plan_steps(
    graph: Graph, steps: Sequence[Step], lowered: Lowered, ram: int | None = None, *, free: bool = False
) -> Planned:
    """The smallest arena of whole steps. If it exceeds `ram` bytes: bands, then kernels with less scratch.

    The cheapest that fits, or the smallest. free: bands without need, where they take no instruction more.
    """
    ordered = schedule(graph, steps)
    if any(step.kernel == FEED for step in steps):
        return replace(_fed(graph, ordered, lowered, ram), reason="bands: the input comes in as rows")
    best = _finish(graph, ordered, (), lowered)
    if ram is None or best.plan.arena_bytes <= ram:
        return _free(graph, ordered, lowered, best) if free and best.plan.arena_bytes >= _WORTH else best
    fitted = _fitted(graph, ordered, lowered, best, ram)
    less = best.plan.arena_bytes - fitted.plan.arena_bytes
    if not less:
        return replace(best, reason=f"{WHOLE}: the budget asks for less, but nothing makes the arena smaller")
    moved = sum(fitted.graph.type(step.outputs[0]).bytes for step in fitted.steps if step.kernel == MOVE)
    cost = f"{less:,} bytes of RAM less, {moved:,} bytes are moved, no row is computed twice"
    return replace(fitted, reason=f"bands, or less scratch: the budget asks for it; {cost}")


def _free(graph: Graph, ordered: Sequence[Step], lowered: Lowered, whole: Planned) -> Planned:
    """The smallest plan in bands that takes no more instructions than the whole one, and little flash; or that one."""
    most = _instructions(whole, lowered.costs)
    best, work = whole, 0
    groups: tuple[Group, ...] = ()
    while True:
        tried = []
        for option in _options(graph, ordered, groups, _measure(graph, ordered, groups, lowered.costs).peak):
            if work > _FREE_WORK:
                break
            measured = _measure(graph, ordered, option, lowered.costs)
            work += measured.steps
            if measured.arena < best.plan.arena_bytes and measured.cost <= most:
                tried.append((measured, option))
        tried.sort(key=lambda item: (item[0].arena, item[0].cost))
        finished = ((_finish(graph, ordered, option, lowered), option) for _, option in tried[:_FINISHED])
        found = next((item for item in finished if _is_free(item[0], whole, best, lowered.costs)), None)
        if found is None:
            break
        best, groups = found
    if best is whole:
        return whole
    ram = whole.plan.arena_bytes - best.plan.arena_bytes
    less, code = most - _instructions(best, lowered.costs), lowered.costs.code_bytes(best.steps, whole.steps)
    return replace(
        best,
        reason=f"bands: {ram:,} bytes of RAM less, at least {less:,} instructions less, "
        f"at most {max(code, 0):,} bytes of code more",
    )


def _is_free(banded: Planned, whole: Planned, best: Planned, costs: Costs) -> bool:
    """Is the plan smaller than the best one so far, and no slower than the whole one?"""
    ram = whole.plan.arena_bytes - banded.plan.arena_bytes
    code = costs.code_bytes(banded.steps, whole.steps)
    if banded.plan.arena_bytes >= best.plan.arena_bytes or code > _FLASH_SHARE * ram:
        return False
    joined, before = ({step.name for step in plan.steps if step.adds_to} for plan in (banded, whole))
    # What a joined layer takes at most is not known, only at least.
    return joined <= before and _instructions(banded, costs) <= _instructions(whole, costs)


def _instructions(planned: Planned, costs: Costs) -> int:
    return costs.instructions(planned.graph, planned.steps, planned.plan.addresses)


def _fitted(graph: Graph, ordered: Sequence[Step], lowered: Lowered, best: Planned, ram: int) -> Planned:
    groups = _groups(graph, ordered, ram, lowered.costs)
    banded = _finish(graph, ordered, groups, lowered)
    if banded.plan.arena_bytes < best.plan.arena_bytes:
        best = banded
    else:
        groups = ()
    return _leaner(graph, ordered, groups, lowered, best, ram)


def _fed(graph: Graph, steps: Sequence[Step], lowered: Lowered, ram: int | None) -> Planned:
    """The first layers in bands, as rows of the input come in; the others too, if `ram` asks for it."""
    groups: tuple[Group, ...] = _feeding(graph, steps, 0 if ram is None else ram, lowered.costs)
    if ram is None:
        return _finish(graph, steps, groups, lowered)
    groups = _groups(graph, steps, ram, lowered.costs, groups)
    return _leaner(graph, steps, groups, lowered, _finish(graph, steps, groups, lowered), ram)


def _feeding(graph: Graph, steps: Sequence[Step], ram: int, costs: Costs) -> tuple[Group]:
    """The layers that run while the input comes in, and in how many turns: the cheapest that fit, or the smallest."""
    nodes = graph.producers()
    first = next(index for index, step in enumerate(steps) if step.kernel == FEED)
    height = graph.type(steps[first].outputs[0]).shape[1]
    last = first
    while last + 1 < len(steps) and divisible(graph, nodes.get(steps[last + 1].outputs[0]), steps[last + 1]):
        last += 1
    if last + 1 < len(steps) and closing(graph, nodes.get(steps[last + 1].outputs[0]), steps[last + 1]):
        last += 1
    ends = range(first + 1, last + 1)
    options = [Group(first, end, -(-height // share), fed=True) for end in ends for share in _SHARES]
    if not options:
        raise UserError("--feed rows: the first layer needs the whole image", hint="Build it without --feed.")
    tried = [(_measure(graph, steps, (group,), costs), group) for group in options if group.turns > 1]
    fitting = [item for item in tried if item[0].arena <= ram]
    if fitting:
        return (min(fitting, key=lambda item: (item[0].cost, item[0].arena))[1],)
    return (min(tried, key=lambda item: (item[0].arena, item[0].cost))[1],)


def _finish(graph: Graph, steps: Sequence[Step], groups: tuple[Group, ...], lowered: Lowered) -> Planned:
    """The steps in bands, with their layers and Adds merged if that makes the arena smaller."""
    apart = band(graph, steps, groups, lowered.band)
    merged = fuse(apart, lowered.merge)
    if len(merged.steps) == len(apart.steps):
        return _place(apart)
    return _smallest([_place(apart), _place(merged)])


def _smallest(plans: Sequence[Planned]) -> Planned:
    """The first of the smallest ones."""
    return min(plans, key=lambda planned: planned.plan.arena_bytes)


def _place(banded: Banded) -> Planned:
    graph, steps = against_drift(banded.graph, banded.steps, banded.places)
    return Planned(graph, steps, allocate(graph, steps, banded.places))


def _leaner(
    graph: Graph,
    steps: Sequence[Step],
    groups: tuple[Group, ...],
    lowered: Lowered,
    best: Planned,
    ram: int,
) -> Planned:
    """Exchange the kernel of the step that needs most for one with less scratch, as long as there is one."""
    current, changed = best, list(steps)
    names = [step.name for step in steps]
    while best.plan.arena_bytes > ram:
        peak = current.steps[current.plan.peak_step].name
        index = names.index(peak) if peak in names else None
        exchanged = lowered.lean(changed[index]) if index is not None else None
        if index is None or exchanged is None:
            break
        changed[index] = exchanged
        current = _finish(graph, changed, groups, lowered)
        if current.plan.arena_bytes < best.plan.arena_bytes:
            best = current
    return best


def _groups(
    graph: Graph, steps: Sequence[Step], ram: int, costs: Costs, groups: tuple[Group, ...] = ()
) -> tuple[Group, ...]:
    """One group more after the other, around the step that needs most, until the plan fits or nothing helps."""
    best = _measure(graph, steps, groups, costs)
    work = 0
    while best.arena > ram:
        tried = []
        for option in _options(graph, steps, groups, best.peak):
            if work > _WORK:
                break
            measured = _measure(graph, steps, option, costs)
            work += measured.steps
            tried.append((measured, option))
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
    steps: int  # how many there are
    cost: int  # instructions, beside those of the layers' own work
    peak: int  # which of the whole steps needs most


def _measure(graph: Graph, steps: Sequence[Step], groups: tuple[Group, ...], costs: Costs) -> _Measure:
    banded = band(graph, steps, groups, unlowered)
    plan = allocate(banded.graph, banded.steps, banded.places, quick=True)
    cost = costs.instructions(banded.graph, banded.steps, plan.addresses)
    return _Measure(plan.arena_bytes, len(banded.steps), cost, banded.origin[plan.peak_step])


def _options(graph: Graph, steps: Sequence[Step], groups: tuple[Group, ...], peak: int) -> Iterator[tuple[Group, ...]]:
    """The groups, and one more that contains the step `peak` and replaces those it meets; the shortest first."""
    nodes = graph.producers()
    possible = [divisible(graph, nodes.get(step.outputs[0]), step) for step in steps]
    ends = [may or closing(graph, nodes.get(step.outputs[0]), step) for may, step in zip(possible, steps, strict=True)]
    if not ends[peak]:
        return
    low = high = peak
    while low > 0 and possible[low - 1]:
        low -= 1
    while high + 1 < len(steps) and possible[high] and ends[high + 1]:
        high += 1
    spans = [(first, last) for first in range(low, peak + 1) for last in range(peak, high + 1) if possible[first]]
    for first, last in sorted(spans, key=lambda span: span[1] - span[0]):
        height = rows(graph, nodes, steps[last])
        rest = tuple(g for g in groups if g.last < first or last < g.first)
        if any(g.fed and g not in rest for g in groups):
            continue  # the input comes in as it does
        for turns in sorted({*(t for t in _TURNS if t < height), height} - {1}):
            yield (*rest, Group(first, last, turns))
