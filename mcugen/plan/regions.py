"""The arena in the memories of a board: whole in the first one that the user names if it fits, else in parts.

A part is an arena of its own in one region; a tensor lies in one part. An output overlaps its dying input only where
both lie in one part, so parts may need more than the whole. Regions that come last get as few bytes
as can be found; of such partitions, the one is taken that has most of the traffic in the regions that come first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations, product

from ..ir import Graph
from ..step import Step
from ..target import Memory
from .allocate import ALIGN, Part, Plan
from .lifetimes import gap, leads
from .solve import Solution, least_height, solve

_STARTS = 2  # partitions from which better ones are searched
_TRIES = 60  # partitions that are placed in search of a better one, from each
_NEIGHBOURS = 4  # tensors of one time that change their region together, at most


def place(graph: Graph, steps: Sequence[Step], plan: Plan, memories: Sequence[Memory]) -> Plan:
    """The plan with its parts. If the regions are too small, the last one holds more than it has: `Part.over`."""
    regions = [memory for memory in memories if memory.is_data]
    if plan.arena_bytes <= regions[0].size_bytes or len(regions) == 1:
        offsets = [slot.offset_bytes for slot in plan.slots]
        return _in_parts(plan, [regions[0]] * len(offsets), offsets, {regions[0]: plan.bound_bytes})
    work = _Split(graph, steps, plan, [region.size_bytes for region in regions])
    count = range(len(plan.slots))
    orders = [
        sorted(count, key=lambda i: (-work.heat[i] / work.sizes[i], i)),
        sorted(count, key=lambda i: (-work.sizes[i], i)),
        sorted(count, key=lambda i: (plan.slots[i].first_step, -work.sizes[i])),
    ]
    starts = [*map(work.fill, orders), work.spans()]
    chosen = min(map(work.improve, sorted(starts, key=work.rank)[:_STARTS]), key=work.rank)
    offsets = [0] * len(plan.slots)
    bounds = {}
    for number, region in enumerate(regions):
        inside = [i for i in count if chosen[i] == number]
        solution = work.solve(inside, quick=False)
        bounds[region] = solution.bound
        for i, offset in zip(inside, solution.offsets, strict=True):
            offsets[i] = offset
    return _in_parts(plan, [regions[number] for number in chosen], offsets, bounds)


@dataclass
class _Split:
    """Slots to regions: sizes and distances of all, worked out once."""

    graph: Graph
    steps: Sequence[Step]
    plan: Plan
    limits: Sequence[int]

    def __post_init__(self) -> None:
        stored = self.plan.storages
        places = {name: (s.root, at) for s in stored for name, at in s.parts if name != s.root}
        allowed = leads(self.graph, self.steps, places)
        self.sizes = [_aligned(storage.size_bytes) for storage in stored]
        self.gaps: list[dict[int, int]] = [{} for _ in stored]
        for i, low in enumerate(stored):
            for j, high in enumerate(stored):
                least = gap(low, high, allowed) if i != j else None
                if least is not None:
                    self.gaps[i][j] = _aligned(least)
        self.heat = self._heat()
        self.solved: dict[tuple[int, ...], int] = {}
        slots = self.plan.slots
        starts = sorted({slot.first_step for slot in slots})
        self.moments = [  # slots that live together, as bits
            sum(1 << i for i, slot in enumerate(slots) if slot.first_step <= step <= slot.last_step) for step in starts
        ]
        self.needs: dict[int, int] = {}  # bytes that such slots, or some of them, need at least

    def _heat(self) -> list[int]:
        """Bytes that the steps read and write in each slot, roughly: a multiplication reads a byte of its input."""
        holds = {name: i for i, storage in enumerate(self.plan.storages) for name, _ in storage.parts}
        order = {id(slot): i for i, slot in enumerate(self.plan.slots)}
        heat = [0] * len(self.plan.slots)
        for index, step in enumerate(self.steps):
            for name in step.inputs:
                if name in holds:
                    heat[holds[name]] += max(step.macs, self.graph.type(name).bytes)
            for name in step.outputs:
                if name in holds:
                    heat[holds[name]] += self.graph.type(name).bytes
            if index in self.plan.scratch:
                heat[order[id(self.plan.scratch[index])]] += max(step.macs, step.scratch_bytes)
        return heat

    def _instance(self, inside: Sequence[int]) -> tuple[list[int], list[dict[int, int]], list[frozenset[int]]]:
        """Sizes and distances of these slots alone, and which of them live together."""
        number = {i: k for k, i in enumerate(inside)}
        gaps = [{number[j]: least for j, least in self.gaps[i].items() if j in number} for i in inside]
        slots = self.plan.slots
        moments = {
            frozenset(number[i] for i in inside if slots[i].first_step <= step <= slots[i].last_step)
            for step in {slots[i].first_step for i in inside}
        }
        return [self.sizes[i] for i in inside], gaps, sorted(moments, key=sorted)

    def solve(self, inside: Sequence[int], *, quick: bool) -> Solution:
        """Offsets of these slots in a region of their own."""
        return solve(*self._instance(inside), quick=quick)

    def height(self, inside: Sequence[int]) -> int:
        """Bytes that a region with these slots needs, by little search."""
        key = tuple(inside)
        if key not in self.solved:
            self.solved[key] = self.solve(inside, quick=True).height
        return self.solved[key]

    def bound(self, inside: Sequence[int]) -> int:
        """No region with these slots needs less."""
        bits = sum([1 << i for i in inside])
        needs = self.needs
        for together in {moment & bits for moment in self.moments}:
            if together not in needs:
                group = frozenset(i for i in inside if together >> i & 1)
                needs[together] = least_height(group, self.sizes, self.gaps)
        return max([needs[moment & bits] for moment in self.moments], default=0)

    def rank(self, chosen: Sequence[int], measure: Callable[[Sequence[int]], int] | None = None) -> tuple[int, ...]:
        """The smaller the better; by heights, or what else measures the slots of a region."""
        regions = range(len(self.limits))
        inside = [[i for i, region in enumerate(chosen) if region == r] for r in regions]
        heights = [(measure or self.height)(slots) for slots in inside]
        over = sum(max(0, height - limit) for height, limit in zip(heights, self.limits, strict=True))
        heat = [-sum(self.heat[i] for i in slots) for slots in inside]
        return (over, *reversed(heights[1:]), *heat[:-1], heights[0])

    def spans(self) -> list[int]:
        """Each slot in the first region that would hold all that ever lives beside it: such layers run there whole."""
        slots = self.plan.slots
        needs = [
            self.bound([i for i, s in enumerate(slots) if s.first_step <= step <= s.last_step])
            for step in range(max(len(self.steps), 1))
        ]
        last = len(self.limits) - 1
        return [
            next(
                (r for r, limit in enumerate(self.limits) if max(needs[s.first_step : s.last_step + 1]) <= limit), last
            )
            for s in slots
        ]

    def improve(self, chosen: list[int]) -> list[int]:
        """Neighbours in time change their region, or two slots theirs, as long as that makes the partition better."""
        order = sorted(range(len(chosen)), key=lambda i: (self.plan.slots[i].first_step, i))
        regions = range(len(self.limits))
        runs = [order[at : at + n] for n in range(1, _NEIGHBOURS + 1) for at in range(len(order) - n + 1)]
        moves = [dict.fromkeys(run, region) for run, region in product(runs, regions)]
        moves += [{i: a, j: b} for (i, j), (a, b) in product(combinations(order, 2), permutations(regions, 2))]
        best = self.rank(chosen)
        tries, better = _TRIES, True
        while better:
            better = False
            for move in moves:
                trial = [move.get(i, region) for i, region in enumerate(chosen)]
                if tries == 0 or trial == chosen or self.rank(trial, self.bound) >= best:
                    continue
                tries -= 1
                found = self.rank(trial)
                if found < best:
                    best, chosen, better = found, trial, True
        return chosen

    def fill(self, order: Sequence[int]) -> list[int]:
        """The first region with room for each slot, in this order; the last one takes what is left."""
        inside: list[list[int]] = [[] for _ in self.limits]
        chosen = [len(self.limits) - 1] * len(order)
        for i in order:
            for region, limit in enumerate(self.limits[:-1]):
                more = [*inside[region], i]
                if self.bound(more) <= limit and self.height(more) <= limit:
                    inside[region] = more
                    chosen[i] = region
                    break
        return chosen


def _aligned(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def _in_parts(plan: Plan, regions: Sequence[Memory], offsets: Sequence[int], bounds: Mapping[Memory, int]) -> Plan:
    """The plan with each slot at its offset in its region. bounds: of all regions, in the user's order."""
    slots = [
        replace(slot, offset_bytes=offset, part=region.name)
        for slot, region, offset in zip(plan.slots, regions, offsets, strict=True)
    ]
    moved = {id(old): new for old, new in zip(plan.slots, slots, strict=True)}
    ends = {region.name: 0 for region in bounds}
    for slot in slots:
        ends[slot.part] = max(ends[slot.part], _aligned(slot.offset_bytes + slot.size_bytes))
    parts = tuple(
        Part(region.name, ends[region.name], region.size_bytes, bound)
        for region, bound in bounds.items()
        if ends[region.name]
    )
    addresses = dict(plan.addresses)
    part_of = {}
    for slot, storage in zip(slots, plan.storages, strict=True):
        addresses.update({name: slot.offset_bytes + at for name, at in storage.parts})
        part_of.update({name: slot.part for name, _ in storage.parts})
    return replace(
        plan,
        slots=tuple(slots),
        addresses=addresses,
        scratch={step: moved[id(slot)] for step, slot in plan.scratch.items()},
        arena_bytes=sum(part.size_bytes for part in parts),
        parts=parts,
        part_of=part_of,
    )
