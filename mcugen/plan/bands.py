"""Run neighbouring steps band by band of rows, so that the tensors between them never exist as a whole.

A group is a range of steps whose operators make each output row from a few input rows (windows, and element by
element). It runs in turns: in turn k its last tensors get the k-th part of their rows, and every tensor before them the
rows that are still missing for that. Nothing is computed twice: a tensor inside the group keeps, in a small window, the
rows that later turns read again, and they are moved to the window's start between turns. The kernels are the same; each
call sees a tensor of fewer rows, with padding only where the whole tensor has it. A global average pool may close the
group: it sums up the rows as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from ..ir import Graph, Node, TensorType, Value, attrs
from ..ops.pool import average_sums, sum_rows
from ..step import COPY, MOVE, Buffer, Rows, Step
from .lifetimes import Places

LowerBand = Callable[[Graph, Node, Step], Step]
"""(graph with the bands' types, node of one band, the whole step) -> the step of this band."""


@dataclass(frozen=True)
class Group:
    """Steps first..last, both included, in `turns` turns.

    fed: the first step gets a share of its rows in every turn, and every other runs as far as its inputs reach.
    """

    first: int
    last: int
    turns: int
    fed: bool = False


@dataclass(frozen=True)
class Banded:
    """Steps with bands; the graph knows the types of the parts, `places` where they lie in their tensors."""

    graph: Graph
    steps: tuple[Step, ...]
    places: Places
    origin: tuple[int, ...]  # the step each came from


def unlowered(graph: Graph, node: Node, step: Step) -> Step:
    """Enough of a band's step for planning; its arguments are still the whole step's."""
    inputs = tuple(name for name in node.inputs if name in graph.values and graph.data(name) is None)
    return replace(step, inputs=inputs, outputs=node.outputs, leads=(), in_place=())


def divisible(graph: Graph, node: Node | None, step: Step) -> bool:
    """Can the step run row by row? One image, int8, and an operator whose rows are known."""
    if node is None or step.outputs != node.outputs or step.inputs != node.inputs[: len(step.inputs)]:
        return False
    types = [graph.type(name) for name in (*step.inputs, *step.outputs)]
    if any(len(t.shape) != 4 or t.shape[0] != 1 or t.dtype != "int8" for t in types):
        return False
    if any(graph.data(name) is not None for name in step.inputs):
        return False
    if _is_window(node) or node.op == "feed":
        return len(step.inputs) == 1
    if node.op == "transpose":
        return _from_planes(node) and node.inputs[0] in graph.inputs
    return bool(step.in_place) and all(t.shape == types[-1].shape for t in types)


def closing(graph: Graph, node: Node | None, step: Step) -> bool:
    """Can the step end a group though its output has no rows?"""
    if node is None or node.op != "global_average_pool" or step.outputs != node.outputs:
        return False
    return graph.type(node.inputs[0]).shape[0] == 1 and graph.data(node.inputs[0]) is None


def rows(graph: Graph, nodes: Mapping[str, Node], step: Step) -> int:
    """How many rows the step, last of a group, makes or sums up: the most turns of the group."""
    node = nodes[step.outputs[0]]
    return graph.type(node.inputs[0] if closing(graph, node, step) else node.output).shape[1]


def _from_planes(node: Node) -> bool:
    return node.op == "transpose" and tuple(node.attrs["perm"]) == (0, 2, 3, 1)  # NCHW to NHWC


def _is_window(node: Node) -> bool:
    return node.op in ("conv", "max_pool", "average_pool")


def _window(graph: Graph, node: Node) -> tuple[int, int, int]:
    """(extent of the window, stride, padding before), in rows; element by element is a window of 1."""
    if not _is_window(node):
        return 1, 1, 0
    height = graph.type(node.inputs[1]).shape[1] if node.op == "conv" else node.attrs["kernel"][0]
    dilation = node.attrs.get("dilations", (1, 1))[0]
    return (height - 1) * dilation + 1, node.attrs["strides"][0], node.attrs["pads"][0]


def _needs(graph: Graph, node: Node, first: int, last: int) -> tuple[int, int]:
    """Input rows [a, b) from which output rows [first, last) are made."""
    extent, stride, padding = _window(graph, node)
    height = graph.type(node.inputs[0]).shape[2 if _from_planes(node) else 1]
    low = min(max(first * stride - padding, 0), height - 1)
    return low, max(low + 1, min((last - 1) * stride - padding + extent, height))


def _reach(graph: Graph, node: Node, available: int) -> int:
    """Output rows that can be made from the first `available` input rows."""
    rows = graph.type(node.output).shape[1]
    while rows and _needs(graph, node, 0, rows)[1] > available:
        rows -= 1
    return rows


def band(graph: Graph, steps: Sequence[Step], groups: Sequence[Group], lower: LowerBand = unlowered) -> Banded:
    """The steps with every group in bands; the groups' steps are divisible."""
    work = _Work(graph, steps, lower)
    at = 0
    for group in sorted(groups, key=lambda g: g.first):
        for index in range(at, group.first):
            work.keep(index)
        work.run(group)
        at = group.last + 1
    for index in range(at, len(steps)):
        work.keep(index)
    known = graph.replace(values=MappingProxyType(dict(graph.values) | work.values))
    return Banded(known, tuple(work.steps), work.places, tuple(work.origin))


class _Work:
    def __init__(self, graph: Graph, whole: Sequence[Step], lower: LowerBand) -> None:
        self.graph, self.whole, self.lower = graph, whole, lower
        self.nodes = graph.producers()
        self.values: dict[str, Value] = {}
        self.places: dict[str, tuple[str, int]] = {}
        self.steps: list[Step] = []
        self.origin: list[int] = []

    def keep(self, index: int) -> None:
        self.steps.append(self.whole[index])
        self.origin.append(index)

    def run(self, group: Group) -> None:
        inside = range(group.first, group.last + 1)
        closes = group.last if closing(self.graph, self._node(group.last), self.whole[group.last]) else None
        self._run(group, inside if closes is None else inside[:-1], closes)
        if closes is not None:
            self.steps.append(average_sums(self.whole[closes], self._sums(closes)))
            self.origin.append(closes)

    def _node(self, index: int) -> Node:
        return self.nodes[self.whole[index].outputs[0]]

    def _run(self, group: Group, inside: range, closes: int | None) -> None:
        """The steps `inside`, and the sums of the last one's rows for the step `closes`."""
        nodes = [self._node(index) for index in inside]
        inputs = [self.whole[index].inputs for index in inside]
        made = {node.output for node in nodes}
        readers = {name: [n for n, names in zip(nodes, inputs, strict=True) if name in names] for name in made}
        known = inside if closes is None else range(inside.start, closes + 1)
        leaving = {name for name in made if self._is_read_outside(name, known)}
        heights = {name: self.graph.type(name).shape[1] for name in made}
        done = dict.fromkeys(made, 0)
        start = dict.fromkeys(made - leaving, 0)  # first row in the window
        for turn in range(1, group.turns + 1):
            if group.fed:
                target = self._reached(nodes, turn, group.turns)
            else:
                target = self._wanted(nodes, readers, done, turn, group.turns)
            for index, node, names in zip(inside, nodes, inputs, strict=True):
                if target[node.output] > done[node.output]:
                    self._band(index, node, names, done[node.output], target[node.output], start)
                    if closes is not None and node.output in self.whole[closes].inputs:
                        self._sum(closes, node.output, done[node.output], target[node.output], start)
                    done[node.output] = target[node.output]
            for name in sorted(start):
                wanted_from = [
                    _needs(self.graph, r, done[r.output], done[r.output] + 1)[0]
                    for r in readers[name]
                    if done[r.output] < heights[r.output]
                ]
                self._carry(name, start, min(wanted_from, default=done[name]), done[name], inside)

    def _sums(self, closes: int) -> str:
        """The sums of the channels that the step `closes` averages."""
        name = f"{self.whole[closes].outputs[0]} (sums)"
        shape = self.graph.type(self.whole[closes].outputs[0]).shape
        self.values[name] = Value(name, TensorType("int32", shape))
        return name

    def _sum(self, closes: int, name: str, first: int, last: int, start: dict[str, int]) -> None:
        """Adds rows [first, last) of a tensor to its sums."""
        part = self._part(name, first, last, start)
        pixels = (last - first) * self.graph.type(name).shape[2]
        self.steps.append(sum_rows(self.whole[closes], part, self._sums(closes), pixels, first=first == 0))
        self.origin.append(closes)

    def _wanted(
        self, nodes: Sequence[Node], readers: Mapping[str, list[Node]], done: Mapping[str, int], turn: int, turns: int
    ) -> dict[str, int]:
        """How many rows of each node a turn makes: a share of the last ones, and what those need of the others."""
        target: dict[str, int] = {}
        for node in reversed(nodes):
            wanted = [_needs(self.graph, r, 0, target[r.output])[1] for r in readers[node.output]]
            share = self._share(node, turn, turns) if turn == turns or not wanted else 0
            target[node.output] = max([done[node.output], share, *wanted])
        return target

    def _reached(self, nodes: Sequence[Node], turn: int, turns: int) -> dict[str, int]:
        """How many rows of each node a turn makes: of the first one as many as in every turn, and what they allow."""
        target: dict[str, int] = {}
        for node in nodes:
            within = [_reach(self.graph, node, target[name]) for name in node.inputs if name in target]
            height = self.graph.type(node.output).shape[1]
            target[node.output] = min(within, default=min(height, turn * -(-height // turns)))
        return target

    def _share(self, node: Node, turn: int, turns: int) -> int:
        return -(-self.graph.type(node.output).shape[1] * turn // turns)

    def _is_read_outside(self, name: str, inside: range) -> bool:
        views = any(name in node.inputs for node in self.graph.nodes if node.op == "reshape")
        later = any(name in step.inputs for i, step in enumerate(self.whole) if i not in inside)
        return views or later or name in self.graph.outputs

    def _band(
        self, index: int, node: Node, inputs: tuple[str, ...], first: int, last: int, start: dict[str, int]
    ) -> None:
        """Rows [first, last) of the node's output."""
        low, high = _needs(self.graph, node, first, last)
        changed = dict(node.attrs)
        if _is_window(node):
            extent, stride, padding = _window(self.graph, node)
            pads = node.attrs["pads"]
            top = low - (first * stride - padding)
            bottom = max(0, (last - 1) * stride - padding + extent - high)
            changed["pads"] = (top, pads[1], bottom, pads[3])
        output = self._part(node.output, first, last, start)
        if _from_planes(node):
            names = self._planes(node.inputs[0], low, high)
            _, _, height, width = self.graph.type(node.inputs[0]).shape
            changed["plane_bytes"] = height * width
        else:
            parts = {name: self._part(name, low, high, start) for name in inputs}
            names = tuple(parts.get(name, name) for name in node.inputs)
        part = Node(node.op, names, (output,), attrs(**changed), node.origin)
        graph = self.graph.replace(values=MappingProxyType(dict(self.graph.values) | self.values))
        step = self.lower(graph, part, self.whole[index])
        self.steps.append(replace(step, rows=Rows(node.output, first)))
        self.origin.append(index)

    def _part(self, name: str, first: int, last: int, start: dict[str, int]) -> str:
        """A name for rows [first, last) where they lie now."""
        type = self.graph.type(name)
        row_bytes = type.bytes // type.shape[1]
        if name in start:
            root, at = f"{name} (window)", first - start[name]
        else:
            root, at = name, first
        part = f"{root}[{first}:{last}]@{at}"
        if part not in self.values:
            shape = (type.shape[0], last - first, *type.shape[2:])
            self.values[part] = Value(part, replace(type, shape=shape))
            self.places[part] = (root, at * row_bytes)
        return part

    def _planes(self, name: str, first: int, last: int) -> tuple[str, ...]:
        """Rows [first, last) of every channel of an NCHW tensor."""
        type = self.graph.type(name)
        _, channels, height, width = type.shape
        names = tuple(f"{name}[{first}:{last}] of channel {channel}" for channel in range(channels))
        for channel, part in enumerate(names):
            self.values[part] = Value(part, replace(type, shape=(1, 1, last - first, width)))
            self.places[part] = (name, (channel * height + first) * width)
        return names

    def _carry(self, name: str, start: dict[str, int], first: int, last: int, inside: range) -> None:
        """Move the rows that are read again, [first, last), to the start of the window."""
        if first == start[name]:
            return
        if first < last:
            source = self._part(name, first, last, start)
            start[name] = first
            target = self._part(name, first, last, start)
            maker = next(i for i in inside if name in self.whole[i].outputs)
            self.steps.append(move(self.whole[maker], source, target, self.values[source].type.bytes))
            self.origin.append(maker)
        start[name] = min(first, last)


def move(maker: Step, source: str, target: str, size: int) -> Step:
    """Moves a tensor that `maker` made, or rows of one."""
    return Step(
        name=f"{maker.name}_move",
        kernel=MOVE,
        args=(("input", Buffer(source)), ("output", Buffer(target)), ("count", size)),
        inputs=(source,),
        outputs=(target,),
        exactness=COPY,
        origin=maker.origin,
        leads=((source, 0),),
    )
