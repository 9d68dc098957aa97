"""The intermediate representation, on one screen. Everything is frozen; arrays are read-only.

Two dialects share it. After the front end, nodes carry ONNX operator names ("Conv") and float types, with
QuantizeLinear and DequantizeLinear between them. After `recognise_quantized`, they carry the names of
`mcugen.ops` ("conv"), and every tensor is an integer tensor that knows its scale and zero point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

Attrs = Mapping[str, Any]


@dataclass(frozen=True)
class Quant:
    """real = scale * (q - zero_point). scale f32[1|C] as ONNX Runtime holds it; zero_point i32[1|C]."""

    scale: np.ndarray
    zero_point: np.ndarray
    axis: int | None = None

    def same(self, other: Quant | None) -> bool:
        return (
            other is not None
            and self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )

    @property
    def per_tensor(self) -> tuple[np.float32, int]:
        """(scale, zero point) of a tensor that is not quantized per channel."""
        assert self.scale.size == 1 and self.zero_point.size == 1
        return np.float32(self.scale[0]), int(self.zero_point[0])


def quant(scale: Any, zero_point: Any, axis: int | None = None) -> Quant:
    """A Quant from anything array-like; shapes become f32[1|C] and i32[1|C]."""
    s = frozen(np.atleast_1d(np.asarray(scale, np.float32)).ravel())
    z = frozen(np.broadcast_to(np.atleast_1d(np.asarray(zero_point, np.int32)).ravel(), s.shape))
    return Quant(s, z, axis if s.size > 1 else None)


@dataclass(frozen=True)
class TensorType:
    dtype: str  # a NumPy dtype name
    shape: tuple[int, ...]
    quant: Quant | None = None
    # How much larger the model's own numbers are: 128 for its uint8, 32768 for its uint16, which both are signed here.
    # ORT's arithmetic runs on those, and its float roundings depend on that.
    origin: int = 0

    @property
    def count(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.count * np.dtype(self.dtype).itemsize

    @property
    def model_dtype(self) -> str:
        """The type that the model has there."""
        return f"u{self.dtype}" if self.origin else self.dtype

    def __str__(self) -> str:
        text = f"{self.dtype}[{','.join(map(str, self.shape))}]"
        if self.quant is None:
            return text
        if self.quant.scale.size > 1:
            return f"{text} per-channel axis {self.quant.axis}"
        scale, zero_point = self.quant.per_tensor
        return f"{text} scale {scale:.9g} zp {zero_point}"


@dataclass(frozen=True)
class Value:
    name: str
    type: TensorType
    data: np.ndarray | None = None  # a constant's contents


@dataclass(frozen=True)
class Node:
    op: str
    inputs: tuple[str, ...]  # "" = an optional input that is absent
    outputs: tuple[str, ...]
    attrs: Attrs = field(default_factory=lambda: MappingProxyType({}))
    origin: tuple[str, ...] = ()  # the ONNX nodes this came from, kept to the end

    @property
    def output(self) -> str:
        return self.outputs[0]

    @property
    def where(self) -> str:
        """The node as the user knows it, for messages."""
        return ", ".join(self.origin) or self.output


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order. Edited only by `replace`, which returns a new graph."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    values: Mapping[str, Value]
    nodes: tuple[Node, ...]
    apart: frozenset[str] = frozenset()  # inputs and outputs in buffers of the caller's own, outside the arena

    def replace(self, **changes: Any) -> Graph:
        return replace(self, **changes)

    def producers(self) -> dict[str, Node]:
        return {name: node for node in self.nodes for name in node.outputs}

    def consumers(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {name: [] for name in self.values}
        for node in self.nodes:
            for name in dict.fromkeys(filter(None, node.inputs)):
                found[name].append(node)
        return found

    def type(self, name: str) -> TensorType:
        return self.values[name].type

    def data(self, name: str) -> np.ndarray | None:
        return self.values[name].data if name else None


def frozen(array: np.ndarray) -> np.ndarray:
    """A read-only contiguous copy."""
    copy = np.array(array, copy=True, order="C")
    copy.flags.writeable = False
    return copy


def recoded(codes: np.ndarray, before: str, after: str) -> np.ndarray:
    """Codes of a tensor of type `before` as one of type `after` has them: integers as wide, counted from the lowest."""
    return (codes.astype(np.int32) + (np.iinfo(after).min - np.iinfo(before).min)).astype(after)


def attrs(**items: Any) -> Attrs:
    return MappingProxyType(items)


def constant(name: str, data: np.ndarray, q: Quant | None = None) -> Value:
    return Value(name, TensorType(data.dtype.name, tuple(data.shape), q), frozen(data))


def unique(base: str, taken: Iterable[str] | Mapping[str, Any]) -> str:
    """`base`, or `base` with the first free number behind it."""
    if base not in taken:
        return base
    number = 1
    while f"{base}.{number}" in taken:
        number += 1
    return f"{base}.{number}"


def live(graph: Graph) -> Graph:
    """Drop what no output needs: dead nodes, then values nothing names. Inputs always stay."""
    needed = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(filter(None, node.inputs))
    names = needed.union(graph.inputs, *(node.outputs for node in kept))
    values = {name: value for name, value in graph.values.items() if name in names}
    return graph.replace(nodes=tuple(reversed(kept)), values=MappingProxyType(values))


def check(graph: Graph) -> None:
    """Assert that the graph is well formed; the driver calls it after every pass."""
    known = {name for name, value in graph.values.items() if value.data is not None} | set(graph.inputs)
    for node in graph.nodes:
        for name in filter(None, node.inputs):
            assert name in known, f"{node.op} {node.where}: input {name!r} is not defined before it"
        for name in node.outputs:
            assert name in graph.values, f"{node.op} {node.where}: output {name!r} has no type"
            assert name not in known, f"{node.op} {node.where}: output {name!r} is defined twice"
            known.add(name)
    for name in graph.outputs:
        assert name in known, f"graph output {name!r} is never computed"
    for value in graph.values.values():
        if value.data is not None:
            assert value.data.shape == value.type.shape and value.data.dtype.name == value.type.dtype, value.name
            assert not value.data.flags.writeable, value.name


def format_graph(graph: Graph) -> str:
    """The graph as text: one line a node, for --dump-after and for the tests of the passes."""

    def show(name: str) -> str:
        if not name:
            return "-"
        value = graph.values[name]
        if value.data is None:
            return f"%{name}"
        if value.data.size == 1:
            return f"{value.data.reshape(-1)[0]}"
        return f"const {value.type}"

    def attr(item: Any) -> str:
        if isinstance(item, (list, tuple)):
            return "[" + ",".join(attr(x) for x in item) + "]"
        return f"{item:.9g}" if isinstance(item, float) else str(item)

    lines = [f"graph {graph.name}"]
    lines += [f"  input %{name}: {graph.type(name)}" for name in graph.inputs]
    for node in graph.nodes:
        shown = "".join(f" {k}={attr(v)}" for k, v in sorted(node.attrs.items()))
        outs = ", ".join(f"%{name}: {graph.type(name)}" for name in node.outputs)
        lines.append(f"  {outs} = {node.op}({', '.join(map(show, node.inputs))}){shown}")
    lines += [f"  output %{name}: {graph.type(name)}" for name in graph.outputs]
    return "\n".join(lines) + "\n"
