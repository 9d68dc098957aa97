"""Offsets in the arena: first fit over many orders, measured against the lower bound of live bytes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..ir import Graph
from ..step import Step
from .lifetimes import Storage, live_bytes, storages

ALIGN = 16  # bytes: an MVE vector, and more than any kernel asks for
_TRIALS = 2000


@dataclass(frozen=True)
class Slot:
    offset_bytes: int
    size_bytes: int
    first_step: int
    last_step: int
    names: tuple[str, ...]  # the tensors it holds, or "scratch of STEP"


@dataclass(frozen=True)
class Plan:
    """slots by offset; tensor name -> its slot; step index -> scratch offset; arena and lower bound in bytes."""

    slots: tuple[Slot, ...]
    tensors: Mapping[str, Slot]
    scratch: Mapping[int, Slot]
    arena_bytes: int
    bound_bytes: int
    peak_step: int


def plan_steps(graph: Graph, steps: Sequence[Step]) -> Plan:
    """Place every tensor and scratch buffer; deterministic."""
    stored = storages(graph, steps)
    scratch = [
        Storage((f"scratch of {step.name}",), step.scratch_bytes, index, index)
        for index, step in enumerate(steps)
        if step.scratch_bytes
    ]
    everything = [*stored, *scratch]
    live = live_bytes(everything, len(steps), ALIGN)
    bound = max(live, default=0)
    offsets = _search(everything, bound)
    slots = [
        Slot(offset, s.size_bytes, s.first, s.last, s.names) for s, offset in zip(everything, offsets, strict=True)
    ]
    tensors = {name: slot for slot in slots[: len(stored)] for name in slot.names}
    scratches = {slot.first_step: slot for slot in slots[len(stored) :]}
    arena = max((_aligned(slot.offset_bytes + slot.size_bytes) for slot in slots), default=0)
    ordered = sorted(slots, key=lambda slot: (slot.offset_bytes, slot.first_step))
    return Plan(tuple(ordered), tensors, scratches, arena, bound, live.index(bound))


def _aligned(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def _search(items: Sequence[Storage], bound: int) -> list[int]:
    """The best of first fit in several natural orders, then in orders with two items exchanged."""
    indices = list(range(len(items)))
    orders = [
        sorted(indices, key=lambda i: (-items[i].size_bytes, items[i].first)),
        sorted(indices, key=lambda i: (-(items[i].last - items[i].first), -items[i].size_bytes)),
        sorted(
            indices,
            key=lambda i: (-items[i].size_bytes * (items[i].last - items[i].first + 1), items[i].first),
        ),
        sorted(indices, key=lambda i: (items[i].first, -items[i].size_bytes)),
    ]
    results = [_first_fit(items, order) for order in orders]
    best = min(range(len(orders)), key=lambda k: results[k][0])
    order, (height, offsets) = orders[best], results[best]
    chance = random.Random(0)
    for _ in range(_TRIALS if len(items) > 2 else 0):
        if height == bound:
            break
        i, j = chance.sample(indices, 2)
        trial = list(order)
        trial[i], trial[j] = trial[j], trial[i]
        found = _first_fit(items, trial)
        if found[0] <= height:
            order, (height, offsets) = trial, found
    return offsets


def _first_fit(items: Sequence[Storage], order: Sequence[int]) -> tuple[int, list[int]]:
    """(arena bytes, offset of each item): each goes to the lowest gap among those that live with it."""
    offsets = [0] * len(items)
    placed: list[int] = []
    height = 0
    for index in order:
        item = items[index]
        size = _aligned(item.size_bytes)
        neighbours = sorted(
            (offsets[k], offsets[k] + _aligned(items[k].size_bytes))
            for k in placed
            if items[k].first <= item.last and item.first <= items[k].last
        )
        offset = 0
        for start, stop in neighbours:
            if offset + size <= start:
                break
            offset = max(offset, stop)
        offsets[index] = offset
        placed.append(index)
        height = max(height, offset + size)
    return height, offsets
