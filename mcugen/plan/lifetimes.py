"""Which bytes hold what, from which step to which, and how close two storages may lie in the arena.

A storage is what has one address: a tensor with its views, the window of rows that a banded tensor keeps, or a step's
scratch. Its pieces are byte ranges with lifetimes of their own: a tensor that is made or read in bands of rows is born
or dies band by band, and another one may follow into the bytes that are free already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..ir import Graph
from ..step import MOVE, Step

Places = Mapping[str, tuple[str, int]]  # a tensor that is part of another storage -> (storage, byte offset in it)


@dataclass(frozen=True)
class Piece:
    """Bytes [start, stop) of a storage are needed from step `first` to step `last`, both included.

    -1 is before the first step (inputs), the number of steps is behind the last one (outputs).
    """

    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class Storage:
    """`parts` are the tensors in it, with their byte offsets; pieces are sorted by address and cover it."""

    root: str
    parts: tuple[tuple[str, int], ...]
    size_bytes: int
    pieces: tuple[Piece, ...]
    port: str = ""  # the input or output in whose buffer, the caller's, it lies

    @property
    def first(self) -> int:
        return min(piece.first for piece in self.pieces)

    @property
    def last(self) -> int:
        return max(piece.last for piece in self.pieces)


def storages(graph: Graph, steps: Sequence[Step], places: Places) -> list[Storage]:
    """Every storage that the steps touch, ordered by first use."""
    find = finder(graph, places)
    touched: dict[str, list[Piece]] = {}
    parts: dict[str, dict[str, int]] = {}

    def touch(name: str, step: int) -> None:
        root, offset = find(name)
        if root not in graph.values or graph.data(root) is None:
            touched.setdefault(root, []).append(Piece(offset, offset + graph.type(name).bytes, step, step))
            parts.setdefault(root, {})[name] = offset

    for name in graph.inputs:
        touch(name, -1)
    for index, step in enumerate(steps):
        for name in (*step.inputs, *step.outputs):
            touch(name, index)
    for name in graph.outputs:
        touch(name, len(steps))
    scratch = [
        Storage(f"scratch of {step.name}", (), step.scratch_bytes, (Piece(0, step.scratch_bytes, index, index),))
        for index, step in enumerate(steps)
        if step.scratch_bytes
    ]
    found = []
    for root, uses in touched.items():
        pieces = _pieces(uses)
        port = next((name for name in parts[root] if name in graph.apart), "")
        found.append(Storage(root, tuple(parts[root].items()), max(p.stop for p in pieces), pieces, port))
    return sorted([*found, *scratch], key=lambda storage: storage.first)


def in_place(graph: Graph, steps: Sequence[Step], places: Places) -> dict[str, tuple[str, int]]:
    """Outputs that take over exactly the bytes of an operand that dies (Step.in_place, where no lead says more).

    Not where an operand whose bytes they may not take is a view of it, as a scatter's updates can be of its data.

    What a step adds to (Step.adds_to) must be such an operand.
    """
    found = dict(places)
    last: dict[str, int] = {}
    find = finder(graph, found)
    for index, step in enumerate(steps):
        last.update({find(name)[0]: index for name in step.inputs})
    last.update({find(name)[0]: len(steps) for name in graph.outputs})
    for index, step in enumerate(steps):
        output = step.outputs[0]
        for name in step.in_place:
            root, offset = find(name)
            whole = (
                root in graph.values and graph.data(root) is None and graph.type(root).bytes == graph.type(output).bytes
            )
            foreign = root in graph.apart and root in graph.inputs  # the caller's; a run only reads it
            shared = any(find(other)[0] == root for other in step.inputs if other not in step.in_place)
            done = name in dict(step.leads) or output in found
            if done or not whole or foreign or shared or offset or last[root] != index:
                continue
            last[root] = last.get(output, index)
            found[output] = (root, 0)
            find = finder(graph, found)
        assert step.adds_to is None or find(output) == find(step.adds_to), step.name
    return found


def finder(graph: Graph, places: Places) -> Callable[[str], tuple[str, int]]:
    """Tensor -> (its storage, byte offset in it)."""
    views: dict[str, tuple[str, int]] = {n.output: (n.inputs[0], 0) for n in graph.nodes if n.op == "reshape"}
    views.update(places)

    def find(name: str) -> tuple[str, int]:
        offset = 0
        while name in views:
            name, more = views[name]
            offset += more
        return name, offset

    return find


def _pieces(uses: Sequence[Piece]) -> tuple[Piece, ...]:
    """Cut where a use begins or ends; each range lives from its first use to its last."""
    cuts = sorted({edge for use in uses for edge in (use.start, use.stop)})
    found: list[Piece] = []
    for start, stop in pairwise(cuts):
        within = [use for use in uses if use.start <= start and stop <= use.stop]
        if not within:
            continue
        first, last = min(use.first for use in within), max(use.last for use in within)
        if found and found[-1].stop == start and (found[-1].first, found[-1].last) == (first, last):
            found[-1] = Piece(found[-1].start, stop, first, last)
        else:
            found.append(Piece(start, stop, first, last))
    return tuple(found)


Leads = Mapping[tuple[int, str, str], int]


def leads(graph: Graph, steps: Sequence[Step], places: Places) -> dict[tuple[int, str, str], int]:
    """(step, storage it writes, storage it reads) -> bytes by which the first must start before the second,

    where the step's kernel allows them to overlap (Step.leads).
    """
    find = finder(graph, places)
    found: dict[tuple[int, str, str], int] = {}
    for index, step in enumerate(steps):
        target, at = find(step.outputs[0])
        allowed = dict(step.leads)
        for source in {find(name)[0] for name in step.inputs}:
            readers = [name for name in step.inputs if find(name)[0] == source]
            if source != target and len(step.outputs) == 1 and all(name in allowed for name in readers):
                found[index, target, source] = max(at - find(name)[1] + allowed[name] for name in readers)
                if step.kernel == MOVE:
                    found[index, source, target] = 0
    return found


def gap(low: Storage, high: Storage, leads: Leads) -> int | None:
    """Least bytes between the start of `low` and the start of `high`, if `low` lies first; None = no matter.

    Every larger distance is safe too.
    """
    least: int | None = None
    for a in low.pieces:
        for b in high.pieces:
            if a.first > b.last or b.first > a.last:
                continue
            need = a.stop - b.start
            # One of them is made by the step that is the other's last reader.
            meet = b.first < b.last == a.first or a.first < a.last == b.first
            lead = leads.get((max(a.first, b.first), low.root, high.root)) if meet else None
            if lead is not None:
                need = min(need, lead)
            least = max(0, need) if least is None else max(least, need)
    return least
