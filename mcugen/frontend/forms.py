"""Older opsets keep in attributes what newer ones take as inputs; everything behind sees the newer form.

Constant nodes become initializers, so that shape inference sees their values whatever the opset.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..errors import UserError
from ..ir import unique

# operator -> (attribute, input slot, dtype); the attribute becomes an initializer at that slot
_MOVED: dict[str, tuple[tuple[str, int, type], ...]] = {
    "Clip": (("min", 1, np.float32), ("max", 2, np.float32)),
    "Pad": (("pads", 1, np.int64), ("value", 2, np.float32)),
    "Squeeze": (("axes", 1, np.int64),),
    "Unsqueeze": (("axes", 1, np.int64),),
    "Split": (("split", 1, np.int64),),
    "ReduceSum": (("axes", 1, np.int64),),
}

_OUTPUTS = {"LSTM": 3, "DynamicQuantizeLSTM": 3, "GRU": 2, "RNN": 2, "TopK": 2}
_SINCE_21 = (onnx.TensorProto.INT16, onnx.TensorProto.UINT16, onnx.TensorProto.INT4, onnx.TensorProto.UINT4)
_REDUCTIONS = ("ReduceMean", "ReduceMax", "ReduceMin")  # axes are an input since opset 18


def modern_forms(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in the forms of opset 13 and later; Softmax carries its axis, AveragePool its order, no Constant nodes."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    opset = next(e.version for e in copy.opset_import if e.domain in ("", "ai.onnx"))
    # The oldest opset that has all the forms made here, and LayerNormalization, which ONNX Runtime has in every one.
    # Before 21, only Q and DQ of com.microsoft take 16 and 4 bits.
    target = 21 if any(tensor.data_type in _SINCE_21 for tensor in copy.graph.initializer) else 17
    taken = {name for node in copy.graph.node for name in (*node.input, *node.output)}
    constants = [node for node in copy.graph.node if node.op_type == "Constant"]
    for node in constants:
        copy.graph.initializer.append(numpy_helper.from_array(constant_array(node), node.output[0]))
        copy.graph.node.remove(node)
    for node in copy.graph.node:
        for slot in range(_OUTPUTS.get(node.op_type, 0)):  # an output left out gets a name, and so a type
            name = unique(f"{node.name or node.op_type}/output{slot}", taken)
            if slot == len(node.output):
                node.output.append(name)
            elif not node.output[slot]:
                node.output[slot] = name
            taken.add(node.output[slot])
        if node.op_type in ("Softmax", "LogSoftmax"):
            _softmax(node, opset)
        if node.op_type == "AveragePool" and opset < 19:
            node.attribute.append(helper.make_attribute("before_19", 1))  # ONNX Runtime adds up in another order
        if node.op_type == "MeanVarianceNormalization" and not node.attribute:
            node.attribute.append(helper.make_attribute("axes", [0, 2, 3]))  # onnx infers no shape without
        if node.op_type == "Split" and opset < 18 <= target:
            _split(node)
        if node.op_type == "Resize" and opset == 10:
            _resize(node)
        for name, slot, dtype in _moved(node, opset, target):
            found = [a for a in node.attribute if a.name == name]
            if not found:
                continue
            array: np.ndarray = np.asarray(helper.get_attribute_value(found[0]), dtype)
            initializer = unique(f"{node.output[0]}/{name}", taken)
            taken.add(initializer)
            copy.graph.initializer.append(numpy_helper.from_array(array, initializer))
            while len(node.input) <= slot:
                node.input.append("")
            node.input[slot] = initializer
            node.attribute.remove(found[0])
    for entry in copy.opset_import:
        # Shape inference must see the forms just made.
        if entry.domain in ("", "ai.onnx"):
            entry.version = max(entry.version, target)
    copy.ir_version = max(copy.ir_version, 4)  # before, every initializer had to be an input, too
    return copy


def _split(node: onnx.NodeProto) -> None:
    """Parts without sizes are counted since opset 18."""
    if len(node.input) < 2 and all(attribute.name != "split" for attribute in node.attribute):
        node.attribute.append(helper.make_attribute("num_outputs", len(node.output)))


def _moved(node: onnx.NodeProto, opset: int, target: int) -> tuple[tuple[str, int, type], ...]:
    if opset < 18 <= target and node.op_type in _REDUCTIONS:
        return (("axes", 1, np.int64),)
    return _MOVED.get(node.op_type, ())


def _softmax(node: onnx.NodeProto, opset: int) -> None:
    """An explicit axis; coerced: before opset 13, all dimensions from the axis on are one."""
    given = {a.name for a in node.attribute}
    defaults = {"axis": -1 if opset >= 13 else 1, "coerced": int(opset < 13)}
    node.attribute.extend(helper.make_attribute(k, v) for k, v in defaults.items() if k not in given)


def _resize(node: onnx.NodeProto) -> None:
    """Opset 10 has no roi input, and one rule for positions."""
    node.input.insert(1, "")
    rules = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    node.attribute.extend(helper.make_attribute(k, v) for k, v in rules.items())


def constant_array(node: onnx.NodeProto) -> np.ndarray:
    """The contents of a Constant; UserError for kinds that hold no numbers."""
    (attribute,) = node.attribute
    value = helper.get_attribute_value(attribute)
    if attribute.name == "value":
        return numpy_helper.to_array(value)
    if not attribute.name.startswith(("value_float", "value_int")):
        raise UserError(
            f"a Constant of kind {attribute.name} is not supported",
            origin=node.name or node.output[0],
            hint="Export it as numbers.",
        )
    return np.asarray(value, np.float32 if attribute.name.startswith("value_float") else np.int64)
