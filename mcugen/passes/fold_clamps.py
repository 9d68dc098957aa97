"""A table that only cuts off codes becomes the range of the operator that made them, and costs nothing.

Relu, Clip and the like between pairs of QuantizeLinear and DequantizeLinear arrive here as tables. If all entries are
clamp(code + d, low, high), d being the difference of the zero points of two tensors of one scale, the operator before
can do it last. With d = 0 that is any operator with a `clamp`; another d, or another type in the model, asks for one
that adds its zero point behind the rounding. A table that changes no byte is none: so it is between int8 and uint8 of
the same numbers.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ..ir import Graph, Node, attrs
from .rewrite import rename

_LAYERS = ("conv", "fully_connected", "conv_transpose", "matmul")
_ZERO_POINT_LAST = (*_LAYERS, *(f"{layer}_16" for layer in _LAYERS))
_RANGE_LAST = (
    *_ZERO_POINT_LAST,
    *("add", "mul", "sub", "div", "min", "max", "reduce_mean", "reduce_sum", "average_pool", "global_average_pool"),
    *("add_16", "sub_16", "mul_16", "div_16", "min_16", "max_16", "reduce_mean_16", "reduce_sum_16"),
    *("average_pool_16", "global_average_pool_16"),
)
# They move codes, or choose the largest of some.
_COPIES = ("reshape", "transpose", "take", "max_pool", "reduce_max", "reduce_min")


def fold_clamps(graph: Graph) -> Graph:
    while True:
        for table in (node for node in graph.nodes if node.op == "lut"):
            after = _folded(graph, table)
            if after is not None:
                graph = after
                break
        else:
            return graph


def _folded(graph: Graph, table: Node) -> Graph | None:
    """The graph without `table`; None if that is no clamp, or another node needs its input."""
    producers, consumers = graph.producers(), graph.consumers()
    if _changes_nothing(graph, table):
        return rename(graph, table.output, table.inputs[0])
    names: list[str] = []  # the tensors that get the table's range, and its zero point, instead
    name = table.inputs[0]
    while True:
        maker = producers.get(name)
        if maker is None or name in graph.outputs or len(consumers[name]) > 1 or len(maker.outputs) > 1:
            return None
        names.append(name)
        if maker.op not in _COPIES:
            break
        name = maker.inputs[0]
    before, after = graph.type(name), graph.type(table.output)
    if maker.op not in _RANGE_LAST or before.dtype != after.dtype or before.quant is None or after.quant is None:
        return None
    (scale, zero_point), (new_scale, new_zero_point) = before.quant.per_tensor, after.quant.per_tensor
    moved = new_zero_point - zero_point
    another_zero = moved != 0 or before.origin != after.origin
    if scale != new_scale or (another_zero and maker.op not in _ZERO_POINT_LAST):
        return None
    codes = graph.data(table.inputs[1])
    assert codes is not None
    low, high = (int(end) for end in (codes[0], codes[-1]))
    if not np.array_equal(codes, np.clip(_every_code(before.dtype) + moved, low, high)):
        return None
    first, last = maker.attrs["clamp"]
    clamp = tuple(int(np.clip(end + moved, low, high)) for end in (first, last))

    def changed(node: Node) -> Node:
        if node is maker:
            node = replace(node, attrs=attrs(**{**node.attrs, "clamp": clamp}), origin=node.origin + table.origin)
        if node.output == table.inputs[0]:  # the last before the table
            node = replace(node, outputs=table.outputs)
        return node

    values = {
        name: replace(value, type=replace(after, shape=value.type.shape)) if name in names else value
        for name, value in graph.values.items()
    }
    nodes = tuple(changed(node) for node in graph.nodes if node is not table)
    values.pop(table.inputs[0])
    return graph.replace(nodes=nodes, values=MappingProxyType(values))


def _every_code(dtype: str) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.arange(info.min, info.max + 1)


def _changes_nothing(graph: Graph, table: Node) -> bool:
    """Are the bytes behind the table those before it, for the same numbers? Casts of codes would still tell types."""
    before, after, codes = graph.type(table.inputs[0]), graph.type(table.output), graph.data(table.inputs[1])
    if before.dtype != after.dtype or before.quant is None or not before.quant.same(after.quant) or codes is None:
        return False
    cast = any(node.op == "cast" and graph.type(node.inputs[0]).dtype == before.dtype for node in graph.nodes)
    seen = cast or table.output in graph.outputs
    return not seen and np.array_equal(codes, _every_code(before.dtype))
