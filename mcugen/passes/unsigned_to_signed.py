"""uint8 and uint16 tensors become int8 and int16: half their range is subtracted from values and zero points.

The kernels are signed. TensorType.origin remembers it, tensor by tensor: ORT's roundings of sums that hold the zero
point depend on the original numbers.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ..ir import Graph, Node, Value, attrs, frozen, quant, recoded

_SIGNED = {"uint8": ("int8", 128), "uint16": ("int16", 32768)}  # what a type becomes, and what is subtracted


def unsigned_to_signed(graph: Graph) -> Graph:
    values = {name: _signed(value) for name, value in graph.values.items()}
    nodes = tuple(_signed_attrs(graph, node) for node in graph.nodes)
    return graph.replace(values=MappingProxyType(values), nodes=nodes)


def _signed(value: Value) -> Value:
    if value.type.dtype not in _SIGNED:
        return value
    dtype, origin = _SIGNED[value.type.dtype]
    q = value.type.quant
    moved = None if q is None else quant(q.scale, q.zero_point - origin, q.axis)
    data = None if value.data is None else frozen(signed(value.data))
    return Value(value.name, replace(value.type, dtype=dtype, quant=moved, origin=origin), data)


def signed(array: np.ndarray) -> np.ndarray:
    """What becomes of an array of unsigned integers; of a signed one, nothing."""
    dtype = array.dtype.name
    return recoded(array, dtype, _SIGNED[dtype][0]) if dtype in _SIGNED else array


def _signed_attrs(graph: Graph, node: Node) -> Node:
    dtype = graph.type(node.output).dtype
    if dtype not in _SIGNED:
        return node
    origin = _SIGNED[dtype][1]
    changed = dict(node.attrs)
    if "clamp" in changed:
        low, high = changed["clamp"]
        changed["clamp"] = (low - origin, high - origin)
    if "value" in changed:
        changed["value"] -= origin
    return replace(node, attrs=attrs(**changed))
