"""ModelProto -> Graph in the ONNX dialect: every value has a type, every node an origin."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..errors import UserError
from ..ir import Graph, Node, TensorType, Value, attrs, constant, live

_LARGEST = 2**28  # bytes of a tensor: no microcontroller has that much memory, and planning takes its time
_DTYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT8: "int8",
    onnx.TensorProto.UINT16: "uint16",
    onnx.TensorProto.INT16: "int16",
    onnx.TensorProto.UINT4: "uint4",
    onnx.TensorProto.INT4: "int4",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.BOOL: "bool",
}


def parse(model: onnx.ModelProto, *, name: str) -> Graph:
    """Infer every shape and translate node by node; raises UserError where a type stays unknown."""
    try:
        inferred = _inferred(model)
    except (onnx.shape_inference.InferenceError, RuntimeError) as error:
        raise UserError(
            f"the model's shapes do not fit together: {_first_line(error)}",
            hint="Check it with onnx.checker.check_model(model, full_check=True).",
        ) from None
    graph = inferred.graph
    values: dict[str, Value] = {}
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    for tensor in graph.initializer:
        if tensor.name in read:
            values[tensor.name] = constant(tensor.name, _array(tensor))
    given = {tensor.name for tensor in graph.initializer}
    inputs = [i for i in graph.input if i.name not in given]
    makers = {name: _called(index, node) for index, node in enumerate(graph.node) for name in node.output}
    for info in (*inputs, *graph.value_info, *graph.output):
        if info.name not in values and _known(info):
            values[info.name] = Value(info.name, _type(info, makers.get(info.name, info.name)))
    nodes: list[Node] = []
    for index, proto in enumerate(graph.node):
        origin = _called(index, proto)
        for output in filter(None, proto.output):
            if output not in values:
                raise _unknown(proto, origin, output)
        op = proto.op_type if proto.domain in ("", "ai.onnx") else f"{proto.domain}.{proto.op_type}"
        operands, attributes = tuple(proto.input), _attributes(proto)
        if op == "CastLike":  # to the type of its other input, which is known by now
            to = helper.np_dtype_to_tensor_dtype(np.dtype(values[proto.output[0]].type.dtype))
            op, operands, attributes = "Cast", operands[:1], {"to": to}
        nodes.append(Node(op, operands, _outputs(proto), attrs(**attributes), (origin,)))
    for output in graph.output:
        if output.name in values and not values[output.name].type.count:
            shape = list(values[output.name].type.shape)
            raise UserError(
                f"the output has no elements (its shape is {shape})",
                origin=output.name,
                hint="Feed a larger input (--shape), or take it out of the model's outputs.",
            )
    return live(
        Graph(
            name,
            tuple(i.name for i in inputs),
            tuple(o.name for o in graph.output),
            MappingProxyType(values),
            tuple(nodes),
        )
    )


# Operators whose result has the shape of their first input, which onnx does not infer.
_SHAPED_LIKE_INPUT = ("GroupNormalization",)


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """With the type of every value that can be known; each round may learn what the next one needs."""
    found = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    types = {info.name: info for info in (*found.graph.input, *found.graph.value_info, *found.graph.output)}
    learnt = False
    for node in found.graph.node:
        source, output = types.get(node.input[0]) if node.input else None, types.get(node.output[0])
        missing = node.op_type in _SHAPED_LIKE_INPUT and (
            output is None or not output.type.tensor_type.HasField("shape")
        )
        if missing and source is not None and _known(source):
            info = output if output is not None else found.graph.value_info.add()
            info.CopyFrom(onnx.helper.make_value_info(node.output[0], source.type))
            learnt = True
    return _inferred(found) if learnt else found


def _outputs(proto: onnx.NodeProto) -> tuple[str, ...]:
    return tuple(filter(None, proto.output))


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _called(index: int, node: onnx.NodeProto) -> str:
    return node.name or f"{node.op_type}#{index}"


def _known(info: onnx.ValueInfoProto) -> bool:
    tensor = info.type.tensor_type
    return tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim)


def _type(info: onnx.ValueInfoProto, origin: str) -> TensorType:
    """origin: the node that makes the tensor, or the input itself."""
    tensor = info.type.tensor_type
    if tensor.elem_type not in _DTYPES:
        found = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        raise _unsupported(found, origin)
    shape = tuple(d.dim_value for d in tensor.shape.dim)
    item = np.dtype(_DTYPES[tensor.elem_type]).itemsize
    if any(d < 0 for d in shape):
        raise UserError(
            f"a dimension is negative (the shape is {list(shape)})",
            origin=origin,
            hint="Feed another input (--shape), or export the model again.",
        )
    if np.prod(shape, dtype=object) * item > _LARGEST:
        raise UserError(
            f"a tensor of shape {list(shape)} is beyond {_LARGEST >> 20} MB, more than a Cortex-M has",
            origin=origin,
            hint="Feed another input (--shape), or export the model again.",
        )
    return TensorType(_DTYPES[tensor.elem_type], shape)


def _unsupported(kind: str, origin: str) -> UserError:
    return UserError(
        f"tensor type {kind} is not supported (activations of 8 and 16 bits and weights of 4 and 8 bits are)",
        origin=origin,
        hint="Quantize the model to int8 or uint8.",
    )


def _unknown(proto: onnx.NodeProto, origin: str, output: str) -> UserError:
    if proto.domain == "com.microsoft.nchwc":
        return UserError(
            f"operator {proto.op_type} works on a layout that ONNX Runtime chose for the CPU it ran on",
            origin=origin,
            hint="Save the model with graph_optimization_level ORT_ENABLE_EXTENDED, or take the original.",
        )
    if proto.domain not in ("", "ai.onnx"):
        return UserError(
            f"operator {proto.domain}.{proto.op_type} is not supported",
            origin=origin,
            hint="`mcugen ops` lists what is; --plugin adds operators of your own.",
        )
    return UserError(
        f"the shape of {output!r} depends on data or cannot be inferred ({proto.op_type})",
        origin=origin,
        hint="Export the model with fixed shapes, or fix its inputs with --shape.",
    )


def _array(tensor: onnx.TensorProto) -> np.ndarray:
    if tensor.data_type not in _DTYPES:
        found = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        raise _unsupported(found, f"initializer {tensor.name}")
    return numpy_helper.to_array(tensor)


def _attributes(proto: onnx.NodeProto) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for attribute in proto.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif isinstance(value, onnx.TensorProto):
            value = _array(value)
        elif attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
            raise UserError(
                f"control flow ({proto.op_type}) is not supported",
                origin=proto.name or proto.output[0],
                hint="Export the model unrolled, or an If with a constant condition.",
            )
        elif not isinstance(value, (int, float)):
            value = tuple(value)
        if any(isinstance(number, float) and math.isnan(number) for number in np.atleast_1d(value).tolist()):
            raise UserError(
                f"attribute {attribute.name} is NaN",
                origin=proto.name or proto.op_type,
                hint="Give it a number, and export the model again.",
            )
        found[attribute.name] = value
    return found
