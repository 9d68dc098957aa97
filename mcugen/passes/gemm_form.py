"""Gemm in every form, MatMul, and MatMul + Add of a constant vector become Gemm(x, w[O,K], bias) with transB = 1."""

from __future__ import annotations

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node, TensorType, attrs
from .rewrite import DQ, Builder, qdq_params, rebuild


def gemm_form(graph: Graph) -> Graph:
    producers, consumers = graph.producers(), graph.consumers()

    def is_constant(name: str) -> bool:
        node = producers.get(name)
        return graph.data(name) is not None or (node is not None and node.op == DQ and is_constant(node.inputs[0]))

    def bias_of(matmul: Node) -> tuple[Node, str] | None:
        """The Add of a constant vector that is the only reader of a MatMul, and that vector."""
        readers = consumers[matmul.output]
        if len(readers) != 1 or readers[0].op != "Add" or matmul.output in graph.outputs:
            return None
        (other,) = [i for i in readers[0].inputs if i != matmul.output] or [matmul.output]
        outputs = graph.type(matmul.output).shape[-1]
        shape = graph.type(other).shape
        is_vector = is_constant(other) and graph.type(other).count == outputs and shape[-1:] == (outputs,)
        return (readers[0], other) if is_vector else None

    absorbed: set[str] = set()

    def change(builder: Builder, node: Node) -> bool:
        if node.output in absorbed:
            return True
        if node.op not in ("MatMul", "Gemm") or not is_constant(node.inputs[1]):
            return False
        if len(graph.type(node.inputs[1]).shape) != 2:
            return False
        for name in ("alpha", "beta"):
            if node.attrs.get(name, 1.0) != 1.0:
                raise UserError(f"{name} must be 1 (it is {node.attrs[name]:g})", origin=node.where)
        if node.attrs.get("transA", 0):
            raise UserError("transA is not supported", origin=node.where, hint="Transpose the input before it.")
        weights = node.inputs[1]
        if node.op == "MatMul" or not node.attrs.get("transB", 0):
            weights = _transposed(builder, graph, producers.get(weights), weights)
        bias, output, origin = (node.inputs[2] if len(node.inputs) > 2 else ""), node.output, node.origin
        found = bias_of(node) if not bias else None
        if found:
            add, bias = found
            absorbed.add(add.output)
            output, origin = add.output, origin + add.origin
        builder.add(Node("Gemm", (node.inputs[0], weights, bias), (output,), attrs(transB=1), origin))
        return True

    return rebuild(graph, change)


def _transposed(builder: Builder, graph: Graph, dq: Node | None, name: str) -> str:
    """The same weights as [O,K], through a DequantizeLinear of their own if they have one."""
    if dq is None:
        data = graph.data(name)
        assert data is not None
        return builder.constant(f"{name}/transposed", data.T)
    raw = graph.data(dq.inputs[0])
    assert raw is not None
    q, _ = qdq_params(graph, dq)
    inputs = (builder.constant(f"{dq.inputs[0]}/transposed", np.ascontiguousarray(raw.T)), *dq.inputs[1:])
    shape = graph.type(name).shape[::-1]
    output = builder.value(f"{name}/transposed", TensorType("float32", shape))
    axis = {} if q.axis is None else {"axis": 1 - q.axis}
    builder.add(Node(DQ, inputs, (output,), attrs(**axis), dq.origin))
    return output
