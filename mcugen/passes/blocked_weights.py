"""MatMul or Gemm with weights of 4 bits, quantized in blocks, becomes one operator that keeps them packed."""

from __future__ import annotations

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node, attrs
from .rewrite import DQ, Builder, rebuild

_NARROW = ("int4", "uint4")


def blocked_weights(graph: Graph) -> Graph:
    producers = graph.producers()

    def change(builder: Builder, node: Node) -> bool:
        dq = producers.get(node.inputs[1]) if node.op in ("MatMul", "Gemm") else None
        if dq is None or dq.op != DQ or not dq.attrs.get("block_size", 0):
            return False
        bias = node.inputs[2] if len(node.inputs) > 2 else ""
        transposed = bool(node.attrs.get("transB", 0))
        if node.op == "Gemm" and (
            node.attrs.get("transA", 0) or {node.attrs.get(name, 1.0) for name in ("alpha", "beta")} != {1.0}
        ):
            return False
        weights, scale, zero = (_blocks(graph, dq, slot, transposed) for slot in range(3))
        blocks, block = scale.shape[1], int(dq.attrs["block_size"])
        if blocks != -(-weights.shape[1] // block) or zero.shape != scale.shape:
            raise UserError(
                f"weights of shape {list(weights.shape)} do not divide into blocks of {block} as their scales do",
                origin=dq.where,
                hint="Quantize in blocks along the dimension that is summed over.",
            )
        if graph.data(bias) is None and bias:
            raise UserError(
                "the bias is computed at run time", origin=node.where, hint="Export it as a constant, or add it behind."
            )
        unsigned = graph.type(dq.inputs[0]).dtype == "uint4"
        constants = [
            builder.constant(f"{node.output}/weights", (weights - 8 * unsigned).astype(np.int8)),
            builder.constant(f"{node.output}/scales", scale.astype(np.float32)),
            builder.constant(f"{node.output}/zero points", (zero - 8 * unsigned).astype(np.int8)),
        ]
        made = ("float_matmul_4", (node.inputs[0], *constants, bias), node.outputs, attrs(block=block))
        builder.add(Node(*made, node.origin))
        return True

    return rebuild(graph, change)


def _blocks(graph: Graph, dq: Node, slot: int, transposed: bool) -> np.ndarray:
    """[O, K] or [O, blocks]: weights, scales or zero points with the outputs first."""
    name = dq.inputs[slot] if slot < len(dq.inputs) else ""
    data = graph.data(name)
    if slot == 2 and not name:
        scale = _blocks(graph, dq, 1, transposed)
        return np.zeros(scale.shape, np.int16)
    narrow = graph.type(dq.inputs[0]).dtype in _NARROW
    axis = int(dq.attrs.get("axis", 1)) % 2
    if data is None or data.ndim != 2 or not narrow or axis != int(transposed):
        raise UserError(
            "quantization in blocks is supported for constant weights of 4 bits of a MatMul or Gemm, along the "
            "dimension that is summed over",
            origin=dq.where,
            hint="Quantize per channel.",
        )
    if slot == 1:
        if data.dtype != np.float32 or not np.all(np.isfinite(data)):
            raise UserError(
                "the scales of a block must be finite float32", origin=dq.where, hint="Quantize the model again."
            )
        return data if transposed else data.T
    return (data if transposed else data.T).astype(np.int16)
