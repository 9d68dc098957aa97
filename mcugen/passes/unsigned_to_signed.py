"""uint8 tensors become int8 by subtracting 128 from values and zero points: CMSIS-NN's kernels are signed.

graph.unsigned remembers it: ORT's roundings of sums that hold the zero point depend on the original numbers.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ..ir import Graph, Node, Value, attrs, frozen, quant


def unsigned_to_signed(graph: Graph) -> Graph:
    values = {name: _signed(value) for name, value in graph.values.items()}
    nodes = tuple(_signed_attrs(graph, node) for node in graph.nodes)
    return graph.replace(values=MappingProxyType(values), nodes=nodes)


def _signed(value: Value) -> Value:
    if value.type.dtype != "uint8":
        return value
    q = value.type.quant
    moved = None if q is None else quant(q.scale, q.zero_point - 128, q.axis)
    data = None if value.data is None else frozen((value.data.astype(np.int16) - 128).astype(np.int8))
    return Value(value.name, replace(value.type, dtype="int8", quant=moved), data)


def _signed_attrs(graph: Graph, node: Node) -> Node:
    if graph.type(node.output).dtype != "uint8":
        return node
    changed = dict(node.attrs)
    if "clamp" in changed:
        low, high = changed["clamp"]
        changed["clamp"] = (low - 128, high - 128)
    if "value" in changed:
        changed["value"] -= 128
    return replace(node, attrs=attrs(**changed))
