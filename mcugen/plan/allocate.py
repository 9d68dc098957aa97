"""The arena: an offset for every storage, with a proof of how small it can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ..ir import Graph
from ..step import Step
from .lifetimes import Places, Storage, gap, in_place, leads, storages
from .solve import least_height, solve

ALIGN = 16  # bytes: an MVE vector, and more than any kernel asks for


@dataclass(frozen=True)
class Slot:
    offset_bytes: int
    size_bytes: int
    first_step: int
    last_step: int
    names: tuple[str, ...]  # the tensors it holds, or "scratch of STEP"
    part: str = ""  # of an arena in parts


@dataclass(frozen=True)
class Part:
    """A part of the arena, in a memory region of its own."""

    name: str
    size_bytes: int
    limit_bytes: int  # that the region has
    bound_bytes: int  # no placement of its slots is smaller

    @property
    def over(self) -> int:
        return max(0, self.size_bytes - self.limit_bytes)


@dataclass(frozen=True)
class Plan:
    """Slots by offset. Those that live together may overlap as far as the kernels between them allow.

    addresses: tensor -> byte offset in the arena, or in the caller's buffer of the port that `callers` names;
    scratch: step index -> slot;
    bound_bytes: no plan of these steps is smaller; peak_step: the step that needs most.
    """

    slots: tuple[Slot, ...]
    storages: tuple[Storage, ...]  # one a slot
    addresses: Mapping[str, int]
    callers: Mapping[str, str]
    scratch: Mapping[int, Slot]
    arena_bytes: int
    bound_bytes: int
    peak_step: int
    peak_bytes: int  # that its tensors need at least, wherever they lie
    parts: tuple[Part, ...] = ()  # where the user names memory regions: those that hold some of the arena
    part_of: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # tensor -> part


def allocate(graph: Graph, steps: Sequence[Step], places: Places, *, align: int = ALIGN, quick: bool = False) -> Plan:
    """Place every tensor and scratch buffer; deterministic. quick: with little search, to compare alternatives."""

    def aligned(size: int) -> int:
        return -(-size // align) * align

    places = in_place(graph, steps, places)
    touched = storages(graph, steps, places)
    stored = [storage for storage in touched if not storage.port]
    allowed = leads(graph, steps, places)
    gaps: list[dict[int, int]] = [{} for _ in stored]
    for i, j in _meeting(stored):
        least = gap(stored[i], stored[j], allowed)
        if least is not None:
            gaps[i][j] = aligned(least)
    sizes = [aligned(storage.size_bytes) for storage in stored]
    alive: list[list[int]] = [[] for _ in range(max(len(steps), 1))]
    for i, storage in enumerate(stored):
        for step in range(max(storage.first, 0), min(storage.last + 1, len(alive))):
            alive[step].append(i)
    moments = [frozenset(items) for items in alive]
    solution = solve(sizes, gaps, list(dict.fromkeys(moments)), quick=quick)
    heights = {moment: least_height(moment, sizes, gaps) for moment in dict.fromkeys(moments)}
    needs = [heights[moment] for moment in moments]
    callers = {name: storage.port for storage in touched if storage.port for name, _ in storage.parts}
    addresses = {name: at for storage in touched if storage.port for name, at in storage.parts}
    slots, scratch = [], {}
    for storage, offset in zip(stored, solution.offsets, strict=True):
        names = tuple(name for name, _ in storage.parts if name in (storage.root, *graph.outputs)) or (storage.root,)
        last = max(0, min(storage.last, len(steps) - 1))
        slot = Slot(offset, storage.size_bytes, max(storage.first, 0), last, names)
        slots.append(slot)
        addresses.update({name: offset + at for name, at in storage.parts})
        if not storage.parts:
            scratch[storage.first] = slot
    order = sorted(range(len(slots)), key=lambda i: (slots[i].offset_bytes, slots[i].first_step))
    return Plan(
        slots=tuple(slots[i] for i in order),
        storages=tuple(stored[i] for i in order),
        addresses=addresses,
        callers=callers,
        scratch=scratch,
        arena_bytes=solution.height,
        bound_bytes=solution.bound,
        peak_step=needs.index(max(needs)),
        peak_bytes=max(needs),
    )


def _meeting(stored: Sequence[Storage]) -> Iterator[tuple[int, int]]:
    """Pairs of storages that live at the same time, both ways; `stored` is sorted by first use."""
    alive: list[int] = []
    for i, storage in enumerate(stored):
        alive = [j for j in alive if stored[j].last >= storage.first]
        for j in alive:
            yield i, j
            yield j, i
        alive.append(i)
