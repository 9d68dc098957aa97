"""Compute at compile time what depends on constants only, by running ONNX Runtime on it.

DequantizeLinear of a constant stays: it is how quantized weights are written.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .. import oracle
from ..errors import UserError
from ..ir import Graph, Node, constant
from .rewrite import DQ, Builder, rebuild


def fold_constants(graph: Graph) -> Graph:
    return rebuild(graph, _fold)


def _fold(builder: Builder, node: Node) -> bool:
    values = builder.values
    if node.op == "Shape":
        data = np.array(values[node.inputs[0]].type.shape, np.int64)
        results = [data[node.attrs.get("start", 0) : node.attrs.get("end")]]
    elif node.op == DQ or "." in node.op or not all(values[i].data is not None for i in node.inputs if i):
        return False
    else:
        results = evaluate(builder, node)
    for name, result in zip(node.outputs, results, strict=True):
        values[name] = constant(name, result)
    return True


def evaluate(builder: Builder, node: Node) -> list[np.ndarray]:
    names = [i for i in node.inputs if i]
    arrays = {name: builder.values[name].data for name in names}
    proto = helper.make_node(node.op, list(node.inputs), list(node.outputs))
    for key, value in node.attrs.items():
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
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    model: onnx.ModelProto = oracle.make_model([proto], [], outputs, initializers)
    try:
        results = oracle.run(oracle.plain_session(model), {})
    except Exception as error:  # ORT raises its own types for each failure; all mean the same here
        raise UserError(f"{node.op} of constants cannot be computed: {error}", origin=node.where) from None
    return [results[name] for name in node.outputs]
