"""Gemm in every form, MatMul, and MatMul + Add of a constant vector become Gemm(x, w[O,K], bias) with transB = 1.

A Gemm whose matrices are both activations, or whose bias is no constant vector, becomes a MatMul and an Add.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

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
        if node.op == "Gemm" and not (is_constant(node.inputs[1]) and _has_vector(graph, node, is_constant)):
            _product_and_sum(builder, node)
            return True
        if node.op not in ("MatMul", "Gemm") or not is_constant(node.inputs[1]):
            return False
        if len(graph.type(node.inputs[1]).shape) != 2:
            return False
        x, weights, bias = (*node.inputs, "")[:3]
        if node.attrs.get("transA", 0):
            x = _turned(builder, node, x)
        turn = node.op == "MatMul" or not node.attrs.get("transB", 0)
        alpha, beta = (float(node.attrs.get(name, 1.0)) for name in ("alpha", "beta"))
        if turn or alpha != 1:
            weights = _weights(builder, graph, producers.get(weights), weights, turn, alpha, node)
        output, origin = node.output, node.origin
        if bias:
            bias = _bias(builder, graph, producers.get(bias), bias, graph.type(output).shape[1], beta)
        elif found := bias_of(node):
            add, bias = found
            absorbed.add(add.output)
            output, origin = add.output, origin + add.origin
        scaled = {} if alpha == beta == 1 else {"scaled": 1}
        form = {key: node.attrs[key] for key in ("integer_form",) if key in node.attrs}
        builder.add(Node("Gemm", (x, weights, bias), (output,), attrs(transB=1, **scaled, **form), origin))
        return True

    return rebuild(graph, change)


def _has_vector(graph: Graph, gemm: Node, is_constant: Callable[[str], bool]) -> bool:
    """Is the bias absent, or a constant that is the same in all rows?"""
    if len(gemm.inputs) < 3 or not gemm.inputs[2]:
        return True
    shape = graph.type(gemm.inputs[2]).shape
    return is_constant(gemm.inputs[2]) and (len(shape) < 2 or shape[0] == 1)


def _product_and_sum(builder: Builder, node: Node) -> None:
    """alpha * a b + beta * c as nodes of their own."""

    def real(op: str, *inputs: str, of: str) -> str:
        output = builder.value(f"{node.output}/{op}", builder.values[of].type)
        builder.add(Node(op, inputs, (output,), attrs(), node.origin))
        return output

    def scaled(name: str, factor: str) -> str:
        value = float(node.attrs.get(factor, 1.0))
        if value == 1:
            return name
        return real("Mul", name, builder.constant(f"{node.output}/{factor}", np.array(value, np.float32)), of=name)

    a, b, c = (*node.inputs, "")[:3]
    a = _turned(builder, node, a) if node.attrs.get("transA", 0) else a
    b = _turned(builder, node, b) if node.attrs.get("transB", 0) else b
    parts = [scaled(real("MatMul", a, b, of=node.output), "alpha")]
    parts += [scaled(c, "beta")] if c else []
    builder.add(Node("Add" if c else "Identity", tuple(parts), node.outputs, attrs(), node.origin))


def _turned(builder: Builder, node: Node, name: str) -> str:
    type = builder.values[name].type
    output = builder.value(f"{name}/turned", replace(type, shape=type.shape[::-1]))
    builder.add(Node("Transpose", (name,), (output,), attrs(perm=(1, 0)), node.origin))
    return output


def _weights(builder: Builder, graph: Graph, dq: Node | None, name: str, turn: bool, alpha: float, gemm: Node) -> str:
    """alpha times the weights as [O,K], through a DequantizeLinear of their own if they have one."""
    data = graph.data(name if dq is None else dq.inputs[0])
    assert data is not None
    data = data.T if turn else data
    if dq is None:
        return builder.constant(f"{name}/transposed", (data * np.float32(alpha)).astype(data.dtype))
    if abs(np.frexp(alpha)[0]) != 0.5 or alpha < 0:  # no other factor leaves ONNX Runtime's roundings as they are
        raise UserError(
            f"alpha of a quantized Gemm must be a power of two (it is {alpha:g})",
            origin=gemm.where,
            hint="Multiply the weights by it before quantizing.",
        )
    q, _ = qdq_params(graph, dq)
    scale = graph.data(dq.inputs[1])
    assert scale is not None
    scales = dq.inputs[1] if alpha == 1 else builder.constant(f"{dq.inputs[1]}/scaled", scale * np.float32(alpha))
    raw = builder.constant(f"{dq.inputs[0]}/transposed", np.ascontiguousarray(data))
    output = builder.value(f"{name}/transposed", TensorType("float32", data.shape))
    axis = {} if q.axis is None else {"axis": 1 - q.axis if turn else q.axis}
    builder.add(Node(DQ, (raw, scales, *dq.inputs[2:]), (output,), attrs(**axis), dq.origin))
    return output


def _bias(builder: Builder, graph: Graph, dq: Node | None, name: str, outputs: int, beta: float) -> str:
    """beta times the bias, one value an output; float where it was quantized and is no more what it was."""
    if graph.type(name).shape == (outputs,) and beta == 1:
        return name
    data = graph.data(name if dq is None else dq.inputs[0])
    assert data is not None
    if dq is not None:
        q, _ = qdq_params(graph, dq)
        data = (data.reshape(-1) - q.zero_point).astype(np.float32) * q.scale
    real = np.broadcast_to(data.reshape(-1) * np.float32(beta), (outputs,)).astype(np.float32)
    return builder.constant(f"{name}/vector", real)
