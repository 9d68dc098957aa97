"""Bring QuantizeLinear and DequantizeLinear next to the operators that compute.

Operators that only move values (Reshape, Transpose, MaxPool, Concat, ...) give the same bytes on integers as between
DequantizeLinear and QuantizeLinear. So QuantizeLinear goes up through them, DequantizeLinear down, equal pairs vanish,
and what is left of the float graph is arithmetic. DequantizeLinear goes down through TopK too: codes have the order of
their numbers.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node, Quant, TensorType, attrs
from ..ops.gather import GATHERS, SCATTERS
from .rewrite import DQ, NARROW, Builder, Q, dequantized, qdq_params, rebuild, rename

VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout")
COPIES = (
    *VIEWS,
    "Transpose",
    "Take",
    "MaxPool",
    "ReduceMax",
    "ReduceMin",
    "Concat",
    "Pad",
    "Where",
    *GATHERS,
    *SCATTERS,
)


def move_quantize(graph: Graph) -> Graph:
    while True:
        for change in (_merge_equal, _cancel_pair, _raise_quantize, _lower_dequantize):
            after = change(graph)
            if after is not graph:
                graph = after
                break
        else:
            return graph


def moved_slots(node: Node) -> range:
    """The inputs whose values a copying operator moves."""
    if node.op in SCATTERS:
        return range(0, 3, 2)  # data and updates
    first = 1 if node.op == "Where" else 0
    return range(first, len(node.inputs) if node.op in ("Concat", "Where") else 1)


def _is_copy(node: Node | None) -> bool:
    if node is None or node.op not in COPIES or len(node.outputs) != 1:
        return False
    return node.op != "Pad" or node.attrs.get("mode", "constant") == "constant"


def _is_moved(graph: Graph, node: Node, dq: Node) -> bool:
    """Are the integers behind `dq` moved at run time? So are a constant's that indices pick from."""
    type = graph.type(dq.inputs[0])
    return graph.data(dq.inputs[0]) is None or (node.op in (*GATHERS, *SCATTERS) and type.dtype not in NARROW)


def _key(graph: Graph, node: Node) -> tuple[object, ...]:
    q, dtype = qdq_params(graph, node)
    return node.op, node.inputs[0], dtype, q.scale.tobytes(), q.zero_point.tobytes(), q.axis


def _merge_equal(graph: Graph) -> Graph:
    """Two Q (or DQ) nodes that say the same of the same value are one."""
    seen: dict[tuple[object, ...], Node] = {}
    for node in graph.nodes:
        if node.op not in (Q, DQ) or graph.data(node.inputs[0]) is not None:
            continue
        first = seen.setdefault(_key(graph, node), node)
        if first is not node and node.output not in graph.outputs:
            return rename(graph, node.output, first.output)
    return graph


def _cancel_pair(graph: Graph) -> Graph:
    """Q(DQ(x)) with the same parameters is x."""
    producers = graph.producers()
    for node in graph.nodes:
        before = producers.get(node.inputs[0]) if node.op == Q else None
        if before is not None and before.op == DQ:
            (a, a_dtype), (b, b_dtype) = qdq_params(graph, before), qdq_params(graph, node)
            if a.same(b) and a_dtype == b_dtype:
                return rename(_noted(graph, before.inputs[0], a), node.output, before.inputs[0])
    return graph


def _noted(graph: Graph, name: str, q: Quant) -> Graph:
    """`name` remembers its parameters, which no Q or DQ node may say any more."""
    value = graph.values[name]
    noted = replace(value, type=replace(value.type, quant=q))
    return graph.replace(values=MappingProxyType({**graph.values, name: noted}))


def _raise_quantize(graph: Graph) -> Graph:
    producers = graph.producers()
    target = next((n for n in graph.nodes if n.op == Q and _is_copy(producers.get(n.inputs[0]))), None)
    if target is None:
        return graph
    copy = producers[target.inputs[0]]
    q, dtype = qdq_params(graph, target)

    def change(builder: Builder, node: Node) -> bool:
        if node is not target:
            return False
        inputs = list(copy.inputs)
        for slot in moved_slots(copy):
            name = copy.inputs[slot]
            data = graph.data(name)
            if data is not None:
                inputs[slot] = builder.constant(f"{name}/quantized", quantize(data, q, dtype))
                continue
            inputs[slot] = builder.value(f"{name}/quantized", TensorType(dtype, graph.type(name).shape))
            builder.add(Node(Q, (name, *target.inputs[1:]), (inputs[slot],), target.attrs, target.origin))
        builder.add(Node(copy.op, _padded(builder, copy, inputs, q, dtype), target.outputs, copy.attrs, copy.origin))
        return True

    return rebuild(graph, change)


def _lower_dequantize(graph: Graph) -> Graph:
    producers = graph.producers()

    def same_dequantize(node: Node) -> Node | None:
        found = [producers.get(node.inputs[slot]) for slot in moved_slots(node)]
        if not all(f is not None and f.op == DQ and _is_moved(graph, node, f) for f in found):
            return None
        kept = [f for f in found if f is not None]
        first, dtype = qdq_params(graph, kept[0])
        if node.op == "TopK" and dtype not in ("int8", "uint8"):  # ORT has none of 16 bits
            return None
        same = all(first.same(q) and dtype == d for q, d in (qdq_params(graph, f) for f in kept[1:]))
        return kept[0] if same and first.scale.size == 1 else None

    for target in graph.nodes:
        dq = same_dequantize(target) if _is_copy(target) or target.op == "TopK" else None
        if dq is not None:
            break
    else:
        return graph
    q, dtype = qdq_params(graph, dq)

    def change(builder: Builder, node: Node) -> bool:
        if node is not target:
            return False
        inputs = list(target.inputs)
        for slot in moved_slots(target):
            inputs[slot] = producers[target.inputs[slot]].inputs[0]
        integer = builder.value(f"{target.output}/integer", TensorType(dtype, graph.type(target.output).shape))
        builder.add(
            Node(
                target.op,
                _padded(builder, target, inputs, q, dtype),
                (integer, *target.outputs[1:]),
                target.attrs,
                target.origin,
            )
        )
        # The axis attribute of a per-tensor DequantizeLinear means nothing and may not fit the new rank.
        builder.add(Node(DQ, (integer, *dq.inputs[1:]), target.outputs[:1], attrs(), dq.origin))
        return True

    return rebuild(graph, change)


def _padded(builder: Builder, node: Node, inputs: list[str], q: Quant, dtype: str) -> tuple[str, ...]:
    """The inputs of an integer Pad: its value quantized; others as they are."""
    if node.op != "Pad":
        return tuple(inputs)
    value = _pad_value(builder.graph, node)
    inputs = [*inputs[:2], builder.constant(f"{node.output}/value", quantize(value.reshape(()), q, dtype))]
    return (*inputs, *node.inputs[3:])


def _pad_value(graph: Graph, pad: Node) -> np.ndarray:
    """In real numbers; quantizers may have put a DequantizeLinear behind it."""
    name = pad.inputs[2] if len(pad.inputs) > 2 else ""
    if not name:
        return np.zeros((), np.float32)
    source = graph.producers().get(name)
    if source is not None and source.op == DQ and graph.data(source.inputs[0]) is not None:
        return dequantized(graph, source)
    value = graph.data(name)
    if value is None:
        raise UserError("the value of Pad is computed at run time", origin=pad.where, hint="Export a constant one.")
    return value


def quantize(real: np.ndarray, q: Quant, dtype: str) -> np.ndarray:
    """QuantizeLinear: fl(x / s), half to even, + zero point, saturated."""
    info = np.iinfo(dtype)
    scale, zero_point = q.per_tensor
    return np.clip(np.rint(real.astype(np.float32) / scale) + zero_point, info.min, info.max).astype(dtype)
