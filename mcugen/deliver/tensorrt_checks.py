"""What TensorRT asks of an explicitly quantized model, T01 to T17: each check lists the nodes that break it.

Sources: NVIDIA's TensorRT documentation (working with quantized types, ONNX opset guide) and its parser's messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx

from .bundle import Check

# Opsets by major version. 10: what JetPack 6 carries (10.3).
OPSETS = {10: range(9, 21), 11: range(9, 26)}
_INTEGER_OPS = {"DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QGemm", "DynamicQuantizeMatMul"}
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_SHOWN = 4  # nodes named in a message


@dataclass(frozen=True)
class View:
    """A model with what the checks ask for."""

    model: onnx.ModelProto
    trt: int
    profiles: Mapping[str, object]

    @cached_property
    def constants(self) -> dict[str, np.ndarray]:
        found = {t.name: onnx.numpy_helper.to_array(t) for t in self.model.graph.initializer}
        for node in self.model.graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                found[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
        return found

    @cached_property
    def makers(self) -> dict[str, onnx.NodeProto]:
        return {name: node for node in self.model.graph.node for name in node.output}

    @cached_property
    def readers(self) -> dict[str, list[onnx.NodeProto]]:
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.model.graph.node:
            for name in node.input:
                found.setdefault(name, []).append(node)
        return found

    def nodes(self, *ops: str) -> list[onnx.NodeProto]:
        return [node for node in self.model.graph.node if node.op_type in ops]

    @property
    def qdq(self) -> list[onnx.NodeProto]:
        """Q and DQ nodes, but for those of an int32 bias: T06 speaks of these."""
        return [node for node in self.nodes("QuantizeLinear", "DequantizeLinear") if not self.is_bias(node)]

    def is_bias(self, node: onnx.NodeProto) -> bool:
        data = self.constants.get(node.input[0])
        return node.op_type == "DequantizeLinear" and data is not None and data.dtype == np.int32

    def scale(self, node: onnx.NodeProto) -> np.ndarray | None:
        return self.constants.get(node.input[1])

    def zero_point(self, node: onnx.NodeProto) -> np.ndarray | None:
        return self.constants.get(node.input[2]) if len(node.input) > 2 else None

    def weight(self, node: onnx.NodeProto) -> np.ndarray | None:
        """The constant a Q or DQ reads, through the Q before a DQ; None for an activation."""
        maker = self.makers.get(node.input[0])
        if node.op_type == "DequantizeLinear" and maker is not None and maker.op_type == "QuantizeLinear":
            return self.constants.get(maker.input[0])
        return self.constants.get(node.input[0])

    def pairs(self, quantize: onnx.NodeProto, reader: onnx.NodeProto) -> bool:
        """Is `reader` the DQ that undoes this Q?"""
        scale, back = self.scale(quantize), self.scale(reader) if reader.op_type == "DequantizeLinear" else None
        return scale is not None and back is not None and np.array_equal(scale, back)

    def dequantized(self, name: str) -> bool:
        maker = self.makers.get(name)
        return maker is not None and maker.op_type == "DequantizeLinear"


def attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def t01(view: View) -> list[str]:
    """every Q and DQ has an int8 zero point (without one, ONNX means uint8 and TensorRT int8)"""
    return [n.name for n in view.qdq if (z := view.zero_point(n)) is None or z.dtype != np.int8]


def t02(view: View) -> list[str]:
    """every zero point is constant and 0"""
    return [n.name for n in view.qdq if (z := view.zero_point(n)) is None or z.any()]


def t03(view: View) -> list[str]:
    """every scale is constant, finite and greater than 0"""
    return [n.name for n in view.qdq if (s := view.scale(n)) is None or not (np.isfinite(s).all() and (s > 0).all())]


def t04(view: View) -> list[str]:
    """only weights have a scale per channel, on the axis of output channels"""
    found = []
    for node in view.qdq:
        scale = view.scale(node)
        if scale is None or scale.size < 2:
            continue
        weight = view.weight(node)
        name = node.output[0] if node.op_type == "DequantizeLinear" else view.readers[node.output[0]][0].output[0]
        users = [reader for reader in view.readers.get(name, []) if reader.op_type in _WEIGHTED]
        axis = attribute(node, "axis", 1)
        if weight is None or not users or any(axis % weight.ndim != _channel_axis(u, weight.ndim) for u in users):
            found.append(node.name)
    return found


def _channel_axis(node: onnx.NodeProto, rank: int) -> int:
    """Of output channels, in the node's weights."""
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    return {"Conv": 0, "ConvTranspose": 1, "MatMul": rank - 1}[node.op_type]


def t05(view: View) -> list[str]:
    """scale and zero point have the same size, and as many elements as the axis has channels"""
    found = []
    for node in view.qdq:
        scale, zero_point, weight = view.scale(node), view.zero_point(node), view.weight(node)
        if scale is None or zero_point is None:
            continue
        channels = scale.size
        if weight is not None and scale.size > 1:
            channels = weight.shape[attribute(node, "axis", 1) % weight.ndim]
        if scale.size != zero_point.size or scale.size != channels:
            found.append(node.name)
    return found


def t06(view: View) -> list[str]:
    """no bias is quantized"""
    direct = [n.name for n in view.nodes("DequantizeLinear") if view.is_bias(n)]
    through = [
        n.name for n in view.nodes("Conv", "ConvTranspose", "Gemm") if len(n.input) > 2 and _quantized_bias(view, n)
    ]
    return [*direct, *through]


def _quantized_bias(view: View, node: onnx.NodeProto) -> bool:
    maker = view.makers.get(node.input[2])
    return maker is not None and maker.op_type == "DequantizeLinear" and not view.is_bias(maker)


def t07(view: View) -> list[str]:
    """no QOperator or dynamic-quantization operator"""
    return [n.name for n in view.model.graph.node if n.op_type in _INTEGER_OPS or n.op_type.startswith("QLinear")]


def t08(view: View) -> list[str]:
    """both operands of a product are dequantized, or neither"""
    return [n.name for n in view.nodes(*_WEIGHTED) if view.dequantized(n.input[0]) != view.dequantized(n.input[1])]


def t09(view: View) -> list[str]:
    """standard operators only"""
    return [f"{n.name} ({n.domain}.{n.op_type})" for n in view.model.graph.node if n.domain not in ("", "ai.onnx")]


def t10(view: View) -> list[str]:
    """the opset is one that this TensorRT reads"""
    opset = next(e.version for e in view.model.opset_import if e.domain in ("", "ai.onnx"))
    allowed = OPSETS[view.trt]
    if opset in allowed:
        return []
    return [f"opset {opset}; TensorRT {view.trt} reads {allowed.start} to {allowed.stop - 1}"]


def t11(view: View) -> list[str]:
    """inputs and outputs are float"""
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    ports = [i for i in (*view.model.graph.input, *view.model.graph.output) if i.name not in view.constants]
    return [info.name for info in ports if info.type.tensor_type.elem_type not in floats]


def t12(view: View) -> list[str]:
    """every input with an open dimension has a profile"""
    return [
        info.name
        for info in view.model.graph.input
        if info.name not in view.profiles
        and not all(dim.HasField("dim_value") for dim in info.type.tensor_type.shape.dim)
    ]


def t13(view: View) -> list[str]:
    """Q and DQ stand in pairs, with one scale"""
    found = []
    for node in view.nodes("QuantizeLinear"):
        readers = view.readers.get(node.output[0], [])
        if not readers or not all(view.pairs(node, reader) for reader in readers):
            found.append(node.name)
    for node in view.qdq:
        if node.op_type == "DequantizeLinear" and node.input[0] not in view.constants:
            maker = view.makers.get(node.input[0])
            if maker is None or maker.op_type != "QuantizeLinear":
                found.append(node.name)
    return found


def t15(view: View) -> list[str]:
    """the limits of every Clip are constant"""
    return [n.name for n in view.nodes("Clip") if any(name and name not in view.constants for name in n.input[1:])]


def t17(view: View) -> list[str]:
    """beside quantized layers, BatchNormalization is folded into the layer before it"""
    found: list[str] = []
    if not view.qdq:
        return found  # TensorRT folds what is float
    for node in view.nodes("BatchNormalization"):
        maker = view.makers.get(node.input[0])
        while maker is not None and maker.op_type in ("QuantizeLinear", "DequantizeLinear"):
            maker = view.makers.get(maker.input[0])
        if maker is not None and maker.op_type in _WEIGHTED:
            found.append(node.name)
    return found


RULES: tuple[tuple[Callable[[View], list[str]], str], ...] = (
    (t01, "Export the float model with --calibration: symmetric int8 needs recalibration, not a change of type"),
    (t02, "Export the float model with --calibration: zero points cannot be moved to 0 afterwards"),
    (t03, "Calibrate again with samples in which these tensors are not all zero"),
    (t04, "Quantize activations per tensor, weights along their output channels"),
    (t05, "Give one zero point for each scale"),
    (t06, "Quantize with QuantizeBias=False; TensorRT takes a float bias"),
    (t07, "Export the float model with --calibration; TensorRT reads Q and DQ only"),
    (t08, "Quantize both operands, or name the node with --exclude"),
    (t09, "Export the model with standard ONNX operators"),
    (t10, "Convert it with onnx.version_converter"),
    (t11, "Leave Q at the input and DQ at the output inside the model"),
    (t12, "Pass --profile NAME=MIN:OPT:MAX"),
    (t13, "Let each Q feed DQ nodes with its own scale only"),
    (t15, "Make the limits initializers"),
    (t17, "Fold it (onnxruntime.quantization.quant_pre_process does) before quantizing"),
)


def structure(model: onnx.ModelProto, trt: int, profiles: Mapping[str, object]) -> list[Check]:
    """All structural checks; a failed one names nodes and the next step."""
    view = View(model, trt, profiles)
    checks = []
    for rule, hint in RULES:
        broken = rule(view)
        more = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        detail = f"{', '.join(broken[:_SHOWN])}{more}. {hint}" if broken else ""
        checks.append(Check(rule.__name__.upper(), rule.__doc__ or "", not broken, detail))
    return checks
