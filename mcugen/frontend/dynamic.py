"""com.microsoft's fused forms of dynamic quantization -> the standard nodes they stand for.

DynamicQuantizeMatMul = DynamicQuantizeLinear, then MatMulIntegerToFloat;
MatMulIntegerToFloat  = MatMulInteger, Cast, Mul(a_scale * b_scale), Add(bias).
ORT computes the fused forms with these very roundings.

DynamicQuantizeLSTM stays: it quantizes its state at every step. It gets a definition for shape inference alone.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
from onnx import NodeProto, TensorProto, helper, numpy_helper

from ..ir import unique

_FUSED = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")

_LSTM_SHAPES = """
<domain: "com.microsoft", opset_import: ["" : 14]>
DynamicQuantizeLSTM <direction, hidden_size>
(x, w, r, b, lengths, h, c, p, w_scale, w_zero, r_scale, r_zero) => (y, y_h, y_c)
{
    w_real = Cast <to: int = 1> (w)
    r_real = Cast <to: int = 1> (r)
    w_rows = Transpose <perm: ints = [0, 2, 1]> (w_real)
    r_rows = Transpose <perm: ints = [0, 2, 1]> (r_real)
    y, y_h, y_c = LSTM <direction: string = @direction, hidden_size: int = @hidden_size> (x, w_rows, r_rows)
}
"""


def to_standard(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without the fused forms; other nodes and their order stay."""
    ours = {node.op_type for node in model.graph.node if node.domain == "com.microsoft"}
    if not ours & {*_FUSED, "DynamicQuantizeLSTM"}:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    taken |= {initializer.name for initializer in model.graph.initializer}
    del copy.graph.node[:]
    for node in model.graph.node:
        if node.op_type in _FUSED and node.domain == "com.microsoft":
            copy.graph.node.extend(_expanded(node, copy.graph, taken))
        else:
            copy.graph.node.append(node)
    if "DynamicQuantizeLSTM" in ours:
        copy.functions.append(onnx.parser.parse_function(_LSTM_SHAPES))
    return copy


def _expanded(node: NodeProto, graph: onnx.GraphProto, taken: set[str]) -> list[NodeProto]:
    nodes: list[NodeProto] = []

    def name(what: str) -> str:
        made = unique(f"{node.output[0]}/{what}", taken)
        taken.add(made)
        return made

    def add(op: str, inputs: list[str], *outputs: str, **attributes: int) -> list[str]:
        made = helper.make_node(op, inputs, list(outputs), name=node.name)
        made.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        nodes.append(made)
        return list(outputs)

    def given(slot: int) -> str:
        return node.input[slot] if slot < len(node.input) else ""

    if node.op_type == "DynamicQuantizeMatMul":
        b, b_scale, b_zero, bias = (given(slot) for slot in (1, 2, 3, 4))
        a, a_scale, a_zero = add("DynamicQuantizeLinear", [given(0)], name("a"), name("a_scale"), name("a_zero"))
    else:
        a, b, a_scale, b_scale, a_zero, b_zero, bias = (given(slot) for slot in range(7))
    if b_zero and not a_zero:
        a_zero = name("a_zero")
        graph.initializer.append(numpy_helper.from_array(np.zeros((), np.uint8), a_zero))
    zeros = [zero for zero in (a_zero, b_zero) if zero]
    real = add("Cast", add("MatMulInteger", [a, b, *zeros], name("sums")), name("real"), to=TensorProto.FLOAT)
    scale = add("Mul", [a_scale, b_scale], name("scale"))
    if bias:
        add("Add", [*add("Mul", real + scale, name("product")), bias], node.output[0])
    else:
        add("Mul", real + scale, node.output[0])
    return nodes
