"""DequantizeLinear -> f -> g -> QuantizeLinear, for any element-wise f, g, becomes one table that ORT fills.

Also a lone Q(DQ(x)) with different parameters (a requantization), x * Sigmoid(x) and other expressions of one tensor,
and BatchNormalization, which is one function a channel.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .. import oracle
from ..ir import Graph, Node, attrs
from ..ops.unary import UNARY, WITH_SCALAR
from .rewrite import DQ, Builder, Q, qdq_params, rebuild


def unary_chains_to_lut(graph: Graph) -> Graph:
    producers = graph.producers()

    def change(builder: Builder, node: Node) -> bool:
        chain = _chain(graph, producers, node) if node.op == Q else None
        if chain is None:
            return False
        source, nodes = chain
        origin = tuple(dict.fromkeys(name for n in (nodes or [node]) for name in n.origin))
        per_channel = any(n.op == _PER_CHANNEL for n in nodes)
        shape = graph.type(source.inputs[0]).shape if per_channel else None
        name = builder.constant(f"{node.output}/table", _table(graph, producers, source, nodes, node, shape))
        # The Q and DQ nodes that say so go away; the model's ports must still know their scales.
        for integer, params in ((source.inputs[0], source), (node.output, node)):
            value = builder.values[integer]
            builder.values[integer] = replace(value, type=replace(value.type, quant=qdq_params(graph, params)[0]))
        op, extra = ("channel_lut", {"axis": 1}) if per_channel else ("lut", {})
        builder.add(Node(op, (source.inputs[0], name), node.outputs, attrs(**extra), origin))
        return True

    return rebuild(graph, change)


_PER_CHANNEL = "BatchNormalization"


def _chain(graph: Graph, producers: dict[str, Node], end: Node) -> tuple[Node, list[Node]] | None:
    """(the DequantizeLinear it starts from, its nodes in order) if `end` quantizes a function of one tensor."""
    source: Node | None = None
    found: dict[str, Node] = {}
    stack = [end.inputs[0]]
    while stack:
        name = stack.pop()
        node = producers.get(name)
        if node is None:
            return None
        if node.op == DQ:
            if source not in (None, node):
                return None
            source = node
            continue
        if node.output in found:
            continue
        if node.op == _PER_CHANNEL:
            training = bool(node.attrs.get("training_mode", 0))  # then it depends on all values at once
            if training or not all(_constant(graph, producers, i) for i in node.inputs[1:]):
                return None
            operands = [node.inputs[0]]
        elif node.op in UNARY or node.op in WITH_SCALAR:
            operands = [i for i in node.inputs if i and not _one_value(graph, producers, i)]
        else:
            return None
        found[node.output] = node
        stack += operands
    if source is None or graph.data(source.inputs[0]) is not None:
        return None
    if not _per_tensor(graph, source) or not _per_tensor(graph, end):
        return None  # recognition refuses activations that are quantized per channel
    order = [n for n in graph.nodes if n.output in found]
    return source, order


def _constant(graph: Graph, producers: dict[str, Node], name: str) -> bool:
    node = producers.get(name)
    return graph.data(name) is not None or (
        node is not None and node.op == DQ and graph.data(node.inputs[0]) is not None
    )


def _one_value(graph: Graph, producers: dict[str, Node], name: str) -> bool:
    return _constant(graph, producers, name) and graph.type(name).count == 1


def _table(
    graph: Graph,
    producers: dict[str, Node],
    source: Node,
    nodes: list[Node],
    end: Node,
    shape: tuple[int, ...] | None,
) -> np.ndarray:
    """256 outputs, lowest input first; with `shape` (N,C,...) one row a channel: [C,256]."""
    dtype = graph.type(source.inputs[0]).dtype
    size = [256] if shape is None else [1, shape[1], 256, *(1,) * (len(shape) - 3)]
    elements = [source, *nodes, end]
    protos: list[onnx.NodeProto] = []
    initializers: dict[str, onnx.TensorProto] = {}

    def operand(name: str) -> None:
        data = graph.data(name) if name else None
        if data is not None:
            # One-value operands may have any rank; a scalar broadcasts against the table's own shape.
            flat = data.reshape(()) if data.size == 1 and shape is None else data
            initializers[name] = numpy_helper.from_array(flat, name)
        elif name in producers and producers[name] not in elements:
            emit(producers[name])

    def emit(node: Node) -> None:
        for name in node.inputs:
            operand(name)
        kept = {} if node.op in (Q, DQ) and _per_tensor(graph, node) else dict(node.attrs)
        clamp = kept.pop("clamp", None)  # of a Relu or Clip that fuse_activation put into the node
        if clamp is None:
            protos.append(helper.make_node(node.op, list(node.inputs), list(node.outputs), **kept))
            return
        ends = [f"{node.output}/{end}" for end in ("low", "high")]
        for name, value in zip(ends, clamp, strict=True):
            initializers[name] = numpy_helper.from_array(np.array(value, np.float32), name)
        open_ended = f"{node.output}/unclamped"
        protos.append(helper.make_node(node.op, list(node.inputs), [open_ended], **kept))
        protos.append(helper.make_node("Clip", [open_ended, *ends], list(node.outputs)))

    for element in elements:
        if element is source:
            for name in source.inputs[1:]:
                operand(name)
            protos.append(helper.make_node(DQ, list(source.inputs), list(source.outputs)))
        else:
            emit(element)
    to_onnx = helper.np_dtype_to_tensor_dtype
    model = oracle.make_model(
        protos,
        [helper.make_tensor_value_info(source.inputs[0], to_onnx(np.dtype(dtype)), size)],
        [helper.make_tensor_value_info(end.output, to_onnx(np.dtype(graph.type(end.output).dtype)), size)],
        list(initializers.values()),
        opset=24 if any(node.op == "Swish" for node in nodes) else 21,
    )
    info = np.iinfo(dtype)
    codes = np.arange(info.min, info.max + 1).astype(dtype)
    if shape is not None:
        codes = np.broadcast_to(codes.reshape([256 if axis == 2 else 1 for axis in range(len(size))]), size)
    result = oracle.run(oracle.pinned_session(model), {source.inputs[0]: np.ascontiguousarray(codes)})[end.output]
    return result if shape is None else result.reshape(shape[1], 256)


def _per_tensor(graph: Graph, node: Node) -> bool:
    return qdq_params(graph, node)[0].scale.size == 1
