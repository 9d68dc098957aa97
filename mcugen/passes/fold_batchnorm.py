"""Conv -> BatchNormalization, with nothing in between, becomes one Conv.

The factor gamma / sqrt(var + eps) goes into the weights' scale (float weights: into the weights), so int8 weights
stay as they are; a negative factor flips their sign. Where ORT would run Conv and BatchNormalization in float, this is
the integer form of the pair.
"""

from __future__ import annotations

import numpy as np

from ..ir import Graph, Node, attrs
from ..ops.float_batch_norm import normalizing_factor
from .rewrite import DQ, Builder, qdq_params, rebuild


def fold_batchnorm(graph: Graph) -> Graph:
    producers, consumers = graph.producers(), graph.consumers()

    def change(builder: Builder, node: Node) -> bool:
        if node.op != "BatchNormalization" or node.attrs.get("training_mode", 0):
            return False
        conv = producers.get(node.inputs[0])
        if conv is None or conv.op != "Conv" or len(consumers[conv.output]) > 1 or conv.output in graph.outputs:
            return False
        gamma, beta, mean, var = (_real(graph, producers, name) for name in node.inputs[1:5])
        weight_node = producers.get(conv.inputs[1])
        weights = graph.data(conv.inputs[1])
        if gamma is None or beta is None or mean is None or var is None:
            return False
        if weights is None and (weight_node is None or weight_node.op != DQ):
            return False
        factor = normalizing_factor(node, gamma, var).astype(np.float32)
        bias = _real(graph, producers, conv.inputs[2]) if len(conv.inputs) > 2 and conv.inputs[2] else 0.0
        if bias is None or np.any(factor == 0):
            return False
        new_bias = (beta + (bias - mean) * factor.astype(np.float64)).astype(np.float32)
        column = (-1, *(1,) * (len(graph.type(conv.inputs[1]).shape) - 1))
        if weights is not None:
            new_weights = builder.constant(f"{conv.output}/weights", weights * factor.reshape(column))
        else:
            assert weight_node is not None
            new_weights = _rescaled(builder, graph, weight_node, factor, column)
        inputs = (conv.inputs[0], new_weights, builder.constant(f"{conv.output}/bias", new_bias))
        builder.nodes.remove(conv)
        builder.add(Node("Conv", inputs, node.outputs, conv.attrs, conv.origin + node.origin))
        return True

    return rebuild(graph, change)


def _real(graph: Graph, producers: dict[str, Node], name: str) -> np.ndarray | None:
    """The real values of a constant, float or behind a DequantizeLinear, as float64."""
    data = graph.data(name)
    if data is not None:
        return data.astype(np.float64)
    node = producers.get(name)
    raw = graph.data(node.inputs[0]) if node is not None and node.op == DQ else None
    if node is None or raw is None:
        return None
    q, _ = qdq_params(graph, node)
    return (raw.astype(np.float64) - q.zero_point) * q.scale.astype(np.float64)


def _rescaled(builder: Builder, graph: Graph, dq: Node, factor: np.ndarray, column: tuple[int, ...]) -> str:
    """DequantizeLinear of the same int8 weights with |factor| in the scale and the sign in the weights."""
    q, _ = qdq_params(graph, dq)
    raw = graph.data(dq.inputs[0])
    assert raw is not None
    signed = raw.astype(np.int32) - q.zero_point.reshape(-1 if q.zero_point.size == 1 else column)
    flipped = np.where(factor.reshape(column) < 0, -signed, signed)
    scale = np.broadcast_to(q.scale, factor.shape) * np.abs(factor)
    # -128 has no int8 opposite: such a weight keeps one code less, which only a flipped channel can meet.
    weights = builder.constant(f"{dq.output}/folded", np.clip(flipped, -128, 127).astype(np.int8))
    names = (
        weights,
        builder.constant(f"{dq.output}/scale", scale.astype(np.float32)),
        builder.constant(f"{dq.output}/zero_point", np.zeros(len(factor), np.int8)),
    )
    output = builder.value(f"{dq.output}/folded_real", graph.type(dq.output))
    builder.add(Node(DQ, names, (output,), attrs(axis=0), dq.origin))
    return output
