"""QDQ models as converters from TensorFlow Lite write them, in the form that delegates look for.

Every operator stands between a DequantizeLinear of each operand and a QuantizeLinear of its result; the values stay the
same.
"""

from __future__ import annotations

from collections import Counter

import onnx

from .gate import infer, named

_COPIES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")
_INTEGERS = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT16, onnx.TensorProto.UINT16)


def qdq_units(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy: MatMul and Add of a bias are one Gemm, what moves quantized values stands between DQ and Q."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _join_bias(copy.graph)
    _wrap_copies(copy.graph)
    return infer(named(copy))


def _types(graph: onnx.GraphProto) -> dict[str, onnx.TypeProto.Tensor]:
    return {info.name: info.type.tensor_type for info in (*graph.input, *graph.value_info, *graph.output)}


def _join_bias(graph: onnx.GraphProto) -> None:
    """MatMul of two dimensions, then Add of an int32 bias: a Gemm, whose accumulator the bias's scale belongs to."""
    types = _types(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    readers = Counter(name for node in graph.node for name in node.input)
    kept = {info.name for info in graph.output}
    for node in list(graph.node):
        product = next((makers[n] for n in node.input if n in makers and makers[n].op_type == "MatMul"), None)
        if node.op_type != "Add" or product is None:
            continue
        between = product.output[0]
        bias = next((name for name in node.input if name != between), between)
        source = makers.get(bias)
        data = constants.get(source.input[0]) if source is not None and source.op_type == "DequantizeLinear" else None
        ranks = {len(types[name].shape.dim) for name in (*product.input, between) if name in types}
        fits = data is not None and data.data_type == onnx.TensorProto.INT32 and len(data.dims) == 1 and ranks == {2}
        if fits and readers[between] == 1 and between not in kept:
            # In place of the Add, which stands behind all that both read.
            node.CopyFrom(onnx.helper.make_node("Gemm", [*product.input, bias], node.output, product.name))
            graph.node.remove(product)


def _wrap_copies(graph: onnx.GraphProto) -> None:
    """A Reshape or Transpose of integers says nothing of their scale: DQ before it, Q behind it do."""
    types = _types(graph)
    copies = [node for node in graph.node if node.op_type in _COPIES and _is_integer(types.get(node.input[0]))]
    found = {node.name: _parameters(node, graph) for node in copies}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        scale = found.get(node.name)
        if scale is None:
            nodes.append(node)
            continue
        source, result = node.input[0], node.output[0]
        real = [f"{result}_real_source", f"{result}_real"]
        node.input[0], node.output[0] = real
        nodes.append(onnx.helper.make_node("DequantizeLinear", [source, *scale], real[:1], f"{node.name}_dequantize"))
        nodes.append(node)
        nodes.append(onnx.helper.make_node("QuantizeLinear", [real[1], *scale], [result], f"{node.name}_quantize"))
    del graph.node[:]
    graph.node.extend(nodes)


def _is_integer(type: onnx.TypeProto.Tensor | None) -> bool:
    return type is not None and type.elem_type in _INTEGERS


def _parameters(node: onnx.NodeProto, graph: onnx.GraphProto) -> list[str] | None:
    """Names of the scale and zero point of what `node` moves: of the Q before it, or of the DQ behind it."""
    makers = {name: other for other in graph.node for name in other.output}
    readers = {name: other for other in graph.node for name in other.input}
    before, behind = makers.get(node.input[0]), readers.get(node.output[0])
    while before is not None and before.op_type in _COPIES:
        before = makers.get(before.input[0])
    while behind is not None and behind.op_type in _COPIES:
        behind = readers.get(behind.output[0])
    scalars = {tensor.name for tensor in graph.initializer if not tensor.dims or list(tensor.dims) == [1]}
    for end, op in ((before, "QuantizeLinear"), (behind, "DequantizeLinear")):
        if end is not None and end.op_type == op and len(end.input) == 3 and scalars.issuperset(end.input[1:]):
            return list(end.input[1:])
    return None
