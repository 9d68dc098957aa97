"""Relu and Clip behind an operator become its `clamp` attribute, in real numbers.

Rounding is monotone, so quantizing a clamped value and clamping the quantized value are the same thing.
"""

from __future__ import annotations

import math

from ..ir import Graph, Node, attrs
from .rewrite import Builder, rebuild

_TAKES_CLAMP = (
    "Conv ConvTranspose Gemm MatMul Add Sub Mul Div Min Max AveragePool GlobalAveragePool ReduceMean ReduceSum"
).split()


def fuse_activation(graph: Graph) -> Graph:
    consumers = graph.consumers()
    latest: dict[str, Node] = {}  # real output -> the operator that makes it now

    def change(builder: Builder, node: Node) -> bool:
        if node.op in _TAKES_CLAMP:
            latest[node.output] = node
            return False
        ends = bounds(graph, node)
        operator = latest.get(node.inputs[0]) if ends and node.inputs else None
        if operator is None or ends is None:
            return False
        if len(consumers[operator.output]) > 1 or operator.output in graph.outputs:
            return False
        low, high = operator.attrs.get("clamp", (-math.inf, math.inf))
        clamp = (max(low, ends[0]), max(max(low, ends[0]), min(high, ends[1])))
        fused = Node(
            operator.op,
            operator.inputs,
            node.outputs,
            attrs(**{**operator.attrs, "clamp": clamp}),
            operator.origin + node.origin,
        )
        builder.nodes.remove(operator)
        builder.add(fused)
        latest[fused.output] = fused
        return True

    return rebuild(graph, change)


def bounds(graph: Graph, node: Node) -> tuple[float, float] | None:
    """(low, high) in real numbers of a Relu, or of a Clip with constant ends."""
    if node.op == "Relu":
        return 0.0, math.inf
    if node.op != "Clip":
        return None
    ends = []
    for slot, default in ((1, -math.inf), (2, math.inf)):
        name = node.inputs[slot] if slot < len(node.inputs) else ""
        data = graph.data(name)
        if name and data is None:
            return None
        ends.append(default if data is None else float(data.reshape(-1)[0]))
    return (ends[0], ends[1]) if ends[0] <= ends[1] else None
