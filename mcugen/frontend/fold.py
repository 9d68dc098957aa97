"""Sizes and positions that exporters compute from shapes (Shape, Gather, Mul, Concat, ...) become initializers.

The firmware's shapes are fixed, so all of it is known at compile time; shape inference follows initializers only.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .. import oracle

# What such arithmetic is made of. It is pure, and its results are small.
_ARITHMETIC = frozenset(
    (
        "Add And Cast Ceil Concat ConstantOfShape Div Equal Expand Floor Gather Greater Identity Less Max Min Mod Mul "
        "Neg Not Or Range ReduceMax ReduceMin ReduceProd ReduceSum Reshape Shape Size Slice Split Sqrt Squeeze Sub "
        "Transpose Unsqueeze Where"
    ).split()
)
_ELEMENTS = 256  # of any result: larger ones are data


def fold_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every `_ARITHMETIC` of known shapes and small constants is an initializer; other nodes stay.

    The dimensions of the inputs must be fixed. UserError where ONNX Runtime cannot compute a node.
    """
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    while _fold_once(folded):
        pass
    _drop_unread(folded.graph, {i.name for i in model.graph.initializer})
    return folded


def _drop_unread(graph: onnx.GraphProto, given: set[str]) -> None:
    """Take out what only folded nodes read: new initializers and Constant nodes."""
    read = read_names(graph) | given
    initializers = [i for i in graph.initializer if i.name in read]
    nodes = [n for n in graph.node if n.op_type != "Constant" or n.output[0] in read]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(initializers)
    graph.node.extend(nodes)


def read_names(graph: onnx.GraphProto) -> set[str]:
    """What the nodes read, and the outputs; in branches and loop bodies too."""
    inner = [g for node in graph.node for a in node.attribute for g in (a.g, *a.graphs)]
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    return read.union(*map(read_names, inner))


def _fold_once(model: onnx.ModelProto) -> bool:
    """Fold all nodes whose inputs and sizes are known now; False if there is none."""
    graph = model.graph
    if not any(node.op_type in _ARITHMETIC for node in graph.node):
        return False
    types = _types(model)
    known = {i.name: i for i in graph.initializer if len(i.dims) == 0 or np.prod(i.dims, dtype=object) <= _ELEMENTS}
    known |= {node.output[0]: value for node in graph.node if (value := _constant(node)) is not None}
    outputs = {output.name for output in graph.output}
    kept = []
    for node in graph.node:
        is_shape = node.op_type in ("Shape", "Size") and node.input[0] in types
        foldable = (
            node.op_type in _ARITHMETIC
            and node.domain in ("", "ai.onnx")
            and (is_shape or all(name in known for name in node.input if name))
            and all(name in types and name not in outputs for name in node.output)
            and all(np.prod(types[name][1], dtype=object) <= _ELEMENTS for name in node.output)
        )
        if foldable:
            for value in _results(model, node, known, types):
                known[value.name] = value
                graph.initializer.append(value)
        else:
            kept.append(node)
    found = len(kept) < len(graph.node)
    del graph.node[:]
    graph.node.extend(kept)
    return found


def inferred(model: onnx.ModelProto) -> onnx.GraphProto:
    """The graph with the shapes that can be inferred; as it is where they do not fit together, which parse refuses."""
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, RuntimeError):
        return model.graph


def _types(model: onnx.ModelProto) -> dict[str, tuple[int, tuple[int, ...]]]:
    """(element type, shape) of every tensor for which inference finds both."""
    graph = inferred(model)
    found = {i.name: (i.data_type, tuple(i.dims)) for i in graph.initializer}
    for info in (*graph.input, *graph.value_info, *graph.output):
        tensor = info.type.tensor_type
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            found.setdefault(info.name, (tensor.elem_type, tuple(dim.dim_value for dim in tensor.shape.dim)))
    return found


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """The small tensor that a Constant node holds."""
    if node.op_type != "Constant" or len(node.attribute) != 1:
        return None
    (attribute,) = node.attribute
    if attribute.name not in ("value", "value_int", "value_ints", "value_float", "value_floats"):
        return None
    value = helper.get_attribute_value(attribute)
    dtype = np.float32 if "float" in attribute.name else np.int64
    array = numpy_helper.to_array(value) if attribute.name == "value" else np.asarray(value, dtype)
    return numpy_helper.from_array(array, node.output[0]) if array.size <= _ELEMENTS else None


def _results(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    known: dict[str, onnx.TensorProto],
    types: dict[str, tuple[int, tuple[int, ...]]],
) -> list[onnx.TensorProto]:
    """The node's outputs, computed by ONNX Runtime; a Shape reads a tensor's type only."""
    if node.op_type in ("Shape", "Size"):
        shape = np.array(types[node.input[0]][1], np.int64)
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        result = shape[given.get("start", 0) : given.get("end")] if node.op_type == "Shape" else np.prod(shape)
        return [numpy_helper.from_array(np.asarray(result, np.int64), node.output[0])]
    operands = {name: numpy_helper.to_array(known[name]) for name in node.input if name}
    results = [helper.make_tensor_value_info(name, *types[name]) for name in node.output if name]
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    made = oracle.compute(node, operands, results, opset)
    return [numpy_helper.from_array(array, name) for name, array in made.items()]
