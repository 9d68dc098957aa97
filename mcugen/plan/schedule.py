"""The order of the steps: the one with the smallest peak, never worse than the model's own."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import Graph
from ..step import Step
from .allocate import allocate

_STATES = 20_000  # sets of finished steps that are looked at; of a graph with more, only the best of each size


def schedule(graph: Graph, steps: Sequence[Step]) -> tuple[Step, ...]:
    """The order with the least peak of live bytes: of all orders, or in large graphs of many. Deterministic.

    It is taken if the arena gets smaller by it.
    """
    best = _best_order(graph, steps)
    if best is None:
        best = _best_order(graph, steps, max(16, _STATES // len(steps)))
    if best is None or best == list(range(len(steps))):
        return tuple(steps)
    reordered = tuple(steps[index] for index in best)
    before, after = (allocate(graph, order, {}, quick=True).arena_bytes for order in (steps, reordered))
    return reordered if after < before else tuple(steps)


def _best_order(graph: Graph, steps: Sequence[Step], width: int | None = None) -> list[int] | None:
    """Dynamic programming over sets of finished steps, level by level; None if there are too many.

    width: how many sets of each level are kept, those of the least peak and then of the fewest live bytes.
    """
    views = {node.output: node.inputs[0] for node in graph.nodes if node.op == "reshape"}

    def root(name: str) -> str:
        while name in views:
            name = views[name]
        return name

    reads = [frozenset(root(name) for name in step.inputs if graph.data(root(name)) is None) for step in steps]
    writes = [frozenset(map(root, step.outputs)) for step in steps]
    makers: dict[str, set[int]] = {}
    readers: dict[str, set[int]] = {}
    for index in range(len(steps)):
        for name in writes[index]:
            makers.setdefault(name, set()).add(index)
        for name in reads[index]:
            readers.setdefault(name, set()).add(index)
    before = [{j for name in reads[i] for j in makers.get(name, ()) if j != i} for i in range(len(steps))]
    apart = {root(name) for name in graph.apart}
    kept = {root(name) for name in graph.outputs} | apart
    names = {*makers, *readers, *map(root, graph.inputs)}
    sizes = {name: 0 if name in apart else graph.type(name).bytes for name in names}

    # done -> (peak so far, live tensors, order); the tensors alive depend on the set alone.
    level: dict[frozenset[int], tuple[int, frozenset[str], tuple[int, ...]]] = {
        frozenset(): (0, frozenset(map(root, graph.inputs)), ())
    }
    seen = 0
    for _ in steps:
        following: dict[frozenset[int], tuple[int, frozenset[str], tuple[int, ...]]] = {}
        for done, (peak, live, order) in level.items():
            for index, step in enumerate(steps):
                if index in done or not before[index] <= done:
                    continue
                now = done | {index}
                held = live | writes[index]
                dying = {n for n in reads[index] | writes[index] if readers.get(n, now) <= now and n not in kept}
                need = sum(sizes[name] for name in held) + step.scratch_bytes
                need -= _saved(graph, step, {name for name in step.inputs if root(name) in dying})
                found = (max(peak, need), held - dying, (*order, index))
                if now not in following or (found[0], found[2]) < (following[now][0], following[now][2]):
                    following[now] = found
        seen += len(following)
        if width is None and seen > _STATES:
            return None
        if width is not None and len(following) > width:
            states = sorted(
                following.items(), key=lambda item: (item[1][0], sum(sizes[n] for n in item[1][1]), item[1][2])
            )
            following = dict(states[:width])
        level = following
    (result,) = level.values()
    return list(result[2])


def _saved(graph: Graph, step: Step, dying: set[str]) -> int:
    """Bytes of the output that may lie in an input that dies."""
    size = graph.type(step.outputs[0]).bytes
    saved = [min(size - lead, graph.type(name).bytes) for name, lead in step.leads if name in dying]
    return max([0, *saved])
