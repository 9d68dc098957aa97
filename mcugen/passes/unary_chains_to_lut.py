"""DequantizeLinear -> f -> g -> QuantizeLinear, for any element-wise f, g, becomes one table that ORT fills.

Also a lone Q(DQ(x)) with different parameters (a requantization), x * Sigmoid(x) and other expressions of one tensor,
with or without QuantizeLinear and DequantizeLinear between their parts; and BatchNormalization and PRelu, which are one
function a channel.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .. import oracle, pieces
from ..ir import Graph, Node, attrs
from ..ops.unary import UNARY, WITH_SCALAR
from .rewrite import DQ, Builder, Q, qdq_params, rebuild
from .unsigned_to_signed import signed

_LONGEST = 64  # nodes, behind which an expression is not followed through another QuantizeLinear
_WIDE = ("int16", "uint16")
_LARGEST = 32768  # bytes of flash for one function of 16-bit values


def unary_chains_to_lut(graph: Graph) -> Graph:
    producers, consumers = graph.producers(), graph.consumers()
    positions = {node.output: number for number, node in enumerate(graph.nodes)}
    chains: dict[str, tuple[str, list[Node]]] = {}
    absorbed: set[str] = set()
    for node in reversed(graph.nodes):
        if node.op == Q and node.output not in absorbed:
            chain = _chain(graph, producers, consumers, positions, node)
            if chain is not None:
                chains[node.output] = chain
                absorbed |= {inner.output for inner in chain[1] if inner.op == Q}

    def change(builder: Builder, node: Node) -> bool:
        if node.output not in chains:
            return False  # an absorbed node has no reader any more
        source, nodes = chains[node.output]
        computing = [n for n in nodes if n.op not in (Q, DQ)] or [node]
        origin = tuple(dict.fromkeys(name for n in computing for name in n.origin))
        per_channel = any(_per_channel(graph, producers, n) for n in nodes)
        wide = graph.type(source).dtype in _WIDE
        if per_channel and (wide or graph.type(node.output).dtype in _WIDE):
            return False
        shape = graph.type(source).shape
        table = _table(graph, producers, source, [*nodes, node], shape if per_channel else None)
        operands = [source, builder.constant(f"{node.output}/table", table)]
        if wide:
            real = _steps(graph, node, _table(graph, producers, source, nodes, None))
            found = pieces.fit(signed(table), real)
            if found is None or found.bytes > _LARGEST:  # no smooth function: computed in float then
                return False
            operands.append(builder.constant(f"{node.output}/real", real))
        # The Q and DQ nodes that say so go away; the model's ports must still know their scales.
        first = next(n for n in nodes if n.op == DQ and n.inputs[0] == source)
        for integer, params in ((source, first), (node.output, node)):
            value = builder.values[integer]
            builder.values[integer] = replace(value, type=replace(value.type, quant=qdq_params(graph, params)[0]))
        op, extra = ("channel_lut", {"axis": 1}) if per_channel else ("lut", {})
        builder.add(Node(op, tuple(operands), node.outputs, attrs(**extra), origin))
        return True

    return rebuild(graph, change)


def _per_channel(graph: Graph, producers: dict[str, Node], node: Node) -> bool:
    """Is `node` another function of its first input in each channel (axis 1)?"""
    if node.op == "BatchNormalization":
        training = bool(node.attrs.get("training_mode", 0))  # then it depends on all values at once
        return not training and all(_constant(graph, producers, name) for name in node.inputs[1:])
    if node.op != "PRelu" or not _constant(graph, producers, node.inputs[1]):
        return False
    shape, slope = graph.type(node.inputs[0]).shape, graph.type(node.inputs[1]).shape
    aligned = (*(1,) * (len(shape) - len(slope)), *slope)
    return len(shape) > 2 and shape[1] > 1 and aligned == tuple(n if k == 1 else 1 for k, n in enumerate(shape))


def _operands(graph: Graph, producers: dict[str, Node], node: Node) -> list[str] | None:
    """What an element-wise node is a function of; None if it is not element-wise."""
    if _per_channel(graph, producers, node):
        return [node.inputs[0]]
    if node.op in UNARY or node.op in WITH_SCALAR:
        return [name for name in node.inputs if name and not _one_value(graph, producers, name)]
    return None


def _chain(
    graph: Graph,
    producers: dict[str, Node],
    consumers: dict[str, list[Node]],
    positions: dict[str, int],
    end: Node,
) -> tuple[str, list[Node]] | None:
    """(a quantized tensor, the nodes between in order) if `end` quantizes an element-wise function of it alone.

    The function reaches back through quantized tensors that nothing else reads; not to one of 16 bits, whose roundings
    between would make the function hard to store.
    """
    if not _per_tensor(graph, end):
        return None  # recognition refuses activations that are quantized per channel
    region = sorted(_region(graph, producers, end), key=lambda node: positions[node.output])
    kept: set[str] = set()  # quantized tensors that others read too
    while True:
        roots: dict[str, str | None] = {}  # value -> the quantized tensor that it is a function of
        for node in region:
            if node.op == DQ:
                roots[node.output] = roots.get(node.inputs[0]) or node.inputs[0]
            elif node.op == Q:
                roots[node.output] = None if node.output in kept else roots.get(node.inputs[0])
            else:
                found = {roots.get(name) for name in _operands(graph, producers, node) or ()}
                roots[node.output] = found.pop() if len(found) == 1 else None
        source = roots.get(end.inputs[0])
        if source is None:
            return None
        used = _between(producers, end, source, set(roots))
        nodes = [node for node in region if node.output in used]
        inside = used | {end.output}
        read = {
            node.output
            for node in nodes
            if node.op == Q
            and (
                graph.type(source).dtype in _WIDE
                or node.output in graph.outputs
                or any(r.output not in inside for r in _readers(consumers, node))
            )
        }
        if not read:
            return source, nodes
        kept |= read


def _readers(consumers: dict[str, list[Node]], quantize: Node) -> list[Node]:
    """What reads a quantized tensor, and what reads it as real numbers."""
    first = consumers[quantize.output]
    return [*first, *(reader for node in first if node.op == DQ for reader in consumers[node.output])]


def _region(graph: Graph, producers: dict[str, Node], end: Node) -> list[Node]:
    """Element-wise nodes, Q and DQ that `end` depends on through others of them."""
    found: dict[str, Node] = {}
    stack = [end.inputs[0]]
    while stack:
        node = producers.get(stack.pop())
        if node is None or node.output in found:
            continue
        if node.op in (Q, DQ):
            if graph.data(node.inputs[0]) is not None or not _per_tensor(graph, node):
                continue
            before = producers.get(node.inputs[0])
            if node.op == Q or (before is not None and before.op == Q and len(found) < _LONGEST):
                stack.append(node.inputs[0])
        else:
            operands = _operands(graph, producers, node)
            if operands is None:
                continue
            stack += operands
        found[node.output] = node
    return list(found.values())


def _between(producers: dict[str, Node], end: Node, source: str, known: set[str]) -> set[str]:
    """Outputs of the known nodes from `source`, which is not among them, to `end`."""
    used: set[str] = set()
    stack = [end.inputs[0]]
    while stack:
        name = stack.pop()
        if name not in used and name != source and name in known:
            used.add(name)
            stack += producers[name].inputs
    return used


def _steps(graph: Graph, end: Node, real: np.ndarray) -> np.ndarray:
    """float64: the real numbers that `end` quantizes, in steps of the signed type its output will have."""
    q, dtype = qdq_params(graph, end)
    scale, zero_point = q.per_tensor
    origin = np.iinfo(dtype).min - np.iinfo(dtype.removeprefix("u")).min  # of an unsigned type
    return real.astype(np.float64) / float(scale) + (zero_point - origin)


def _constant(graph: Graph, producers: dict[str, Node], name: str) -> bool:
    node = producers.get(name)
    return graph.data(name) is not None or (
        node is not None and node.op == DQ and graph.data(node.inputs[0]) is not None
    )


def _one_value(graph: Graph, producers: dict[str, Node], name: str) -> bool:
    return _constant(graph, producers, name) and graph.type(name).count == 1


def _table(
    graph: Graph, producers: dict[str, Node], source: str, nodes: list[Node], shape: tuple[int, ...] | None
) -> np.ndarray:
    """256 or 65,536 outputs of the last node, lowest `source` first.

    With `shape` (N,C,...) one row a channel: [C,256].
    """
    end = nodes[-1]
    dtype = graph.type(source).dtype
    info = np.iinfo(dtype)
    codes = np.arange(info.min, info.max + 1).astype(dtype)
    size = [codes.size] if shape is None else [1, shape[1], 256, *(1,) * (len(shape) - 3)]
    made = {node.output for node in nodes}
    protos: list[onnx.NodeProto] = []
    initializers: dict[str, onnx.TensorProto] = {}

    def operand(name: str) -> None:
        data = graph.data(name) if name else None
        if data is not None:
            # One-value operands may have any rank; a scalar broadcasts against the table's own shape.
            flat = data.reshape(()) if data.size == 1 and shape is None else data
            initializers[name] = numpy_helper.from_array(flat, name)
        elif name in producers and name != source and name not in made:
            made.add(name)  # several nodes may read it
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

    for node in nodes:
        emit(node)
    to_onnx = helper.np_dtype_to_tensor_dtype
    model = oracle.make_model(
        protos,
        [helper.make_tensor_value_info(source, to_onnx(np.dtype(dtype)), size)],
        [helper.make_tensor_value_info(end.output, to_onnx(np.dtype(graph.type(end.output).dtype)), size)],
        list(initializers.values()),
        opset=24 if any(node.op == "Swish" for node in nodes) else 21,
    )
    if shape is not None:
        codes = np.broadcast_to(codes.reshape([256 if axis == 2 else 1 for axis in range(len(size))]), size)
    result = oracle.run(oracle.pinned_session(model), {source: np.ascontiguousarray(codes)})[end.output]
    return result if shape is None else result.reshape(shape[1], 256)


def _per_tensor(graph: Graph, node: Node) -> bool:
    return qdq_params(graph, node)[0].scale.size == 1
