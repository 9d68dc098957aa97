"""Which tensors share bytes, and from which step to which their bytes must stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..ir import Graph
from ..step import Step


@dataclass(frozen=True)
class Storage:
    """Bytes that live from `first` to `last` (step indices, both included); `names` are the tensors in them."""

    names: tuple[str, ...]
    size_bytes: int
    first: int
    last: int


def storages(graph: Graph, steps: Sequence[Step]) -> list[Storage]:
    """Views share their source's bytes; a step that may work in place takes over an operand that dies in it."""
    roots: dict[str, str] = {}
    views = {node.output: node.inputs[0] for node in graph.nodes if node.op == "reshape"}

    def root(name: str) -> str:
        while name in roots or name in views:
            name = roots.get(name) or views[name]
        return name

    end = len(steps) - 1
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    size: dict[str, int] = {}

    def touch(name: str, step: int) -> None:
        first[name] = min(first.get(name, step), step)
        last[name] = max(last.get(name, step), step)
        size[name] = max(size.get(name, 0), graph.type(name).bytes)

    def is_constant(name: str) -> bool:
        return graph.data(name) is not None

    uses = _last_uses(graph, steps, root)
    for name in graph.inputs:
        touch(root(name), 0)
    for index, step in enumerate(steps):
        for name in step.inputs:
            if not is_constant(root(name)):
                touch(root(name), index)
        for name in step.outputs:
            if name in first:
                touch(root(name), index)
                continue
            for operand in step.in_place:
                base = root(operand)
                same_size = graph.type(name).bytes == size.get(base, -1)
                if not is_constant(base) and uses.get(base) == index and same_size:
                    roots[name] = base
                    uses[base] = uses.get(name, index)
                    break
            touch(root(name), index)
    for name in graph.outputs:
        if not is_constant(root(name)):
            touch(root(name), max(end, 0))
    members: dict[str, list[str]] = {}
    for name in graph.values:
        if root(name) in first:
            members.setdefault(root(name), []).append(name)
    return [
        Storage(tuple(members[base]), size[base], first[base], last[base])
        for base in sorted(first, key=first.get)  # type: ignore[arg-type]
    ]


def _last_uses(graph: Graph, steps: Sequence[Step], root: Callable[[str], str]) -> dict[str, int]:
    """Value root -> index of the last step that reads it; outputs are read after the end."""
    found: dict[str, int] = {}
    for index, step in enumerate(steps):
        for name in step.inputs:
            found[root(name)] = index
    for name in graph.outputs:
        found[root(name)] = len(steps)
    return found


def live_bytes(stored: Sequence[Storage], steps: int, align: int) -> list[int]:
    """Bytes that must be there at each step: their maximum is a lower bound of any arena."""
    return [
        sum(-(-s.size_bytes // align) * align for s in stored if s.first <= step <= s.last)
        for step in range(max(steps, 1))
    ]
