"""What the passes share: a builder for the next graph, and the parameters of Q/DQ nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MappingProxyType

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node, Quant, TensorType, Value, constant, live, quant, unique

Q, DQ = "QuantizeLinear", "DequantizeLinear"
_LARGEST_SCALE = 2.0**96  # times any int32, it is a float32
NARROW = ("int4", "uint4")


class Builder:
    """Collects the nodes and values of the graph that comes out of a pass."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values: dict[str, Value] = dict(graph.values)
        self.nodes: list[Node] = []

    def value(self, base: str, type: TensorType) -> str:
        """A new activation called `base`, or `base` with a number."""
        name = unique(base, self.values)
        self.values[name] = Value(name, type)
        return name

    def constant(self, base: str, data: np.ndarray, q: Quant | None = None) -> str:
        name = unique(base, self.values)
        self.values[name] = constant(name, data, q)
        return name

    def add(self, node: Node) -> None:
        self.nodes.append(node)

    def graph_out(self) -> Graph:
        """The next graph, nodes sorted so that every value is made before it is read, dead ones gone."""
        after = self.graph.replace(values=MappingProxyType(self.values), nodes=tuple(_sorted(self.nodes)))
        return live(after)


def _sorted(nodes: Iterable[Node]) -> list[Node]:
    """Topological order that keeps the given order wherever it can (depth first over producers, no recursion)."""
    producers = {name: node for node in nodes for name in node.outputs}
    done: set[str] = set()
    ordered: list[Node] = []
    for root in producers.values():
        stack = [root]
        while stack:
            node = stack[-1]
            waiting = [
                producers[name] for name in node.inputs if name in producers and producers[name].output not in done
            ]
            if node.output in done:
                stack.pop()
            elif waiting:
                stack += reversed(waiting)
            else:
                ordered.append(node)
                done.add(node.output)
                stack.pop()
    return ordered


def rebuild(graph: Graph, change: Callable[[Builder, Node], bool]) -> Graph:
    """Run `change` on every node; where it returns False the node is kept as it is."""
    builder = Builder(graph)
    for node in graph.nodes:
        if not change(builder, node):
            builder.add(node)
    return builder.graph_out()


def rename(graph: Graph, old: str, new: str) -> Graph:
    """Let everything that read `old` read `new`. A graph output keeps its name, so a view is put before it."""
    nodes = [
        Node(n.op, tuple(new if i == old else i for i in n.inputs), n.outputs, n.attrs, n.origin)
        for n in graph.nodes
        if old not in n.outputs
    ]
    if old in graph.outputs:
        nodes.append(Node("Identity", (new,), (old,), MappingProxyType({}), ()))
    return live(graph.replace(nodes=tuple(nodes)))


def qdq_params(graph: Graph, node: Node) -> tuple[Quant, str]:
    """(Quant, integer dtype) of a QuantizeLinear or DequantizeLinear node; UserError if they are not constants."""
    if node.attrs.get("block_size", 0):
        raise UserError("blocked quantization is not supported", origin=node.where, hint="Quantize per channel.")
    scale = graph.data(node.inputs[1])
    zero_name = node.inputs[2] if len(node.inputs) > 2 else ""
    zero = graph.data(zero_name)
    if scale is None or (zero_name and zero is None):
        raise UserError(
            "scale and zero point are computed at run time",
            origin=node.where,
            hint="Use static quantization.",
        )
    if not np.all(np.isfinite(scale)) or not np.all(scale > 0):
        raise UserError("a scale is not a positive number", origin=node.where, hint="Quantize the model again.")
    if np.any(scale > _LARGEST_SCALE):
        raise UserError("a scale takes its tensor beyond float32", origin=node.where, hint="Quantize the model again.")
    if scale.dtype != np.float32:
        raise UserError(
            f"scales must be float32 (these are {scale.dtype})",
            origin=node.where,
            hint="Quantize the model in float32.",
        )
    integer = node.outputs[0] if node.op == Q else node.inputs[0]
    if graph.type(integer).dtype in NARROW and graph.data(integer) is None:
        raise UserError(
            "activations of 4 bits are not supported",
            origin=node.where,
            hint="Quantize activations to 8 or 16 bits; weights may have 4.",
        )
    axis, shape = int(node.attrs.get("axis", 1)), graph.type(integer).shape
    channels = shape[axis] if -len(shape) <= axis < len(shape) else 0
    for what, array in (("scale", scale), ("zero point", zero)):
        if array is not None and array.size != 1 and (array.shape != (channels,) or scale.size == 1):
            raise UserError(
                f"a {what} of shape {list(array.shape)} does not fit a tensor of shape {list(shape)} along axis {axis}",
                origin=node.where,
                hint="Quantize the model again.",
            )
    return (
        quant(scale, 0 if zero is None else zero, axis % len(shape) if shape else None),
        graph.type(integer).dtype,
    )


def dequantized(graph: Graph, node: Node) -> np.ndarray:
    """The real values that a DequantizeLinear makes of a constant."""
    raw = graph.data(node.inputs[0])
    assert raw is not None
    q, _ = qdq_params(graph, node)
    shape = [-1 if axis == q.axis else 1 for axis in range(raw.ndim)]
    scale, zero_point = (part.reshape(shape if q.axis is not None else ()) for part in (q.scale, q.zero_point))
    return np.asarray((raw.astype(np.int32) - zero_point).astype(np.float32) * scale)
