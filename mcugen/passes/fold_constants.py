"""Compute at compile time what depends on constants only, by running ONNX Runtime on it.

DequantizeLinear of a constant stays: it is how quantized weights are written. What ONNX Runtime moves before it
(Transpose) or drops (Identity, Dropout, Cast) is done to the integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from onnx import helper, numpy_helper

from .. import oracle
from ..errors import UserError
from ..ir import Graph, Node, attrs, constant
from .rewrite import DQ, Builder, Q, qdq_params, rebuild

_NOTHING = ("Identity", "Dropout", "Cast")
_OLDER = {"coerced": 12, "before_19": 18}  # what `modern_forms` notes at a node, and the last opset that it means
_LARGE = 2**26  # values: more than the flash of any microcontroller holds


def fold_constants(graph: Graph) -> Graph:
    weights: dict[str, Node] = {}  # real value -> the DequantizeLinear of a constant that makes it

    def change(builder: Builder, node: Node) -> bool:
        values = builder.values
        if node.op == "Shape":
            data = np.array(values[node.inputs[0]].type.shape, np.int64)
            results = [data[node.attrs.get("start", 0) : node.attrs.get("end")]]
        elif not _is_constant(builder, node, weights):
            return False
        elif node.op == DQ:
            weights[node.output] = node
            return False
        elif sum(values[name].type.count for name in node.outputs) > _LARGE:
            raise UserError(
                f"{node.op} makes a constant of {values[node.output].type.count:,} values",
                origin=node.where,
                hint="Export the model without it.",
            )
        elif node.inputs and node.inputs[0] in weights and _is_moved(builder, node):
            weights[node.output] = _moved(builder, weights[node.inputs[0]], node)
            return True
        else:
            real = {name: evaluate(builder, weights[name])[0] for name in node.inputs if name in weights}
            results = evaluate(builder, node, real)
        for name, result in zip(node.outputs, results, strict=True):
            values[name] = constant(name, result)
        return True

    folded = rebuild(graph, change)
    for node in folded.nodes:
        for name in node.inputs:
            data = folded.data(name)
            if node.op not in (Q, DQ) and data is not None and data.dtype == np.float32 and np.isnan(data).any():
                raise UserError(f"the constant {name!r} holds NaN", origin=node.where, hint="Train or export it again.")
        empty = next((name for name in node.outputs if not folded.type(name).count), None)
        if empty is not None:
            raise UserError(
                f"{node.op} makes a tensor without elements (its shape is {list(folded.type(empty).shape)})",
                origin=node.where,
                hint="Export the model without it.",
            )
    return folded


def _is_constant(builder: Builder, node: Node, weights: Mapping[str, Node]) -> bool:
    known = all(name in weights or builder.values[name].data is not None for name in node.inputs if name)
    return known and "." not in node.op and not node.op.startswith("Random")


def _is_moved(builder: Builder, node: Node) -> bool:
    same_type = builder.values[node.output].type.dtype == builder.values[node.inputs[0]].type.dtype
    return node.op == "Transpose" or (node.op in _NOTHING and same_type and len(node.outputs) == 1)


def _moved(builder: Builder, dq: Node, node: Node) -> Node:
    """`node` done to the constant that `dq` dequantizes, and the DequantizeLinear behind it, added."""
    raw = builder.values[dq.inputs[0]].data
    assert raw is not None
    axis = qdq_params(builder.graph.replace(values=builder.values), dq)[0].axis
    if node.op == "Transpose":
        perm = tuple(node.attrs.get("perm", reversed(range(raw.ndim))))
        raw = np.transpose(raw, perm)
        axis = None if axis is None else perm.index(axis)
    name = builder.constant(f"{node.output}/quantized", raw)
    kept = attrs() if axis is None else attrs(axis=axis)
    moved = Node(DQ, (name, *dq.inputs[1:]), node.outputs, kept, dq.origin + node.origin)
    builder.add(moved)
    return moved


def evaluate(builder: Builder, node: Node, known: Mapping[str, np.ndarray] = MappingProxyType({})) -> list[np.ndarray]:
    """The node's outputs, from the constants of the graph and those in `known`, which come first."""
    operands: dict[str, np.ndarray] = {}
    for name in filter(None, node.inputs):
        data = known[name] if name in known else builder.values[name].data
        assert data is not None
        operands[name] = data
    proto = helper.make_node(node.op, list(node.inputs), list(node.outputs), name=node.where)
    for key, value in node.attrs.items():
        if key in _OLDER:
            continue
        proto.attribute.append(
            helper.make_attribute(key, numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value)
        )
    outputs = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(np.dtype(builder.values[name].type.dtype)),
            builder.values[name].type.shape,
        )
        for name in node.outputs
    ]
    opset = min((opset for key, opset in _OLDER.items() if node.attrs.get(key)), default=21)
    results = oracle.compute(proto, operands, outputs, opset)
    return [results[name] for name in node.outputs]
