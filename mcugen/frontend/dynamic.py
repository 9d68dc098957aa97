"""com.microsoft's fused forms of dynamic quantization -> the standard nodes they stand for.

DynamicQuantizeMatMul = DynamicQuantizeLinear, then MatMulIntegerToFloat;
MatMulIntegerToFloat  = MatMulInteger, Cast, Mul(a_scale * b_scale), Add(bias).
ORT computes the fused forms with these very roundings.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from ..ir import unique

_FUSED = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")


def to_standard(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without the fused forms; other nodes and their order stay."""
    if not any(node.op_type in _FUSED and node.domain == "com.microsoft" for node in model.graph.node):
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
    return copy


def _expanded(node: NodeProto, graph: onnx.GraphProto, taken: set[str]) -> list[NodeProto]:
    nodes: list[NodeProto] = []

    def name(what: str) -> str:
        made = unique(f"{node.output[0]}/{what}", taken)
        taken.add(made)
        return made

    def add(op: str, inputs: list[str], outputs: list[str], **attributes: object) -> list[str]:
        nodes.append(helper.make_node(op, inputs, outputs, name=node.name, **attributes))
        return outputs

    def given(slot: int) -> str:
        return node.input[slot] if slot < len(node.input) else ""

    if node.op_type == "DynamicQuantizeMatMul":
        a, a_scale, a_zero = add("DynamicQuantizeLinear", [given(0)], [name("a"), name("a_scale"), name("a_zero")])
        b, b_scale, b_zero, bias = (given(slot) for slot in (1, 2, 3, 4))
    else:
        a, b, a_scale, b_scale, a_zero, b_zero, bias = (given(slot) for slot in range(7))
    zeros = [a_zero, b_zero] if b_zero else [a_zero]
    sums = add("MatMulInteger", [a, b, *zeros] if a_zero else [a, b, *_zero_before(b_zero, graph, name)], [name("sums")])
    real = add("Cast", sums, [name("real")], to=TensorProto.FLOAT)
    scale = add("Mul", [a_scale, b_scale], [name("scale")])
    if bias:
        product = add("Mul", real + scale, [name("product")])
        add("Add", [*product, bias], [node.output[0]])
    else:
        add("Mul", real + scale, [node.output[0]])
    return nodes


def _zero_before(b_zero: str, graph: onnx.GraphProto, name: object) -> list[str]:
    """Both zero points of a MatMulInteger whose first one is absent: 0."""
    if not b_zero:
        return []
    assert callable(name)
    made = name("a_zero")
    graph.initializer.append(numpy_helper.from_array(np.zeros((), np.uint8), made))
    return [made, b_zero]
