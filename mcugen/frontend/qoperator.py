"""QOperator form -> QDQ form, so that everything behind the front end knows one form only.

QLinearConv(x, ...) becomes QuantizeLinear(Conv(DequantizeLinear(x), ...)): the recognised integer operator is the
same, because ORT itself turns the QDQ form into these operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from ..errors import UserError
from ..ir import unique


class _Expansion:
    """Collects the nodes that replace one QOperator node."""

    def __init__(self, node: NodeProto, constants: dict[str, np.ndarray], taken: set[str]) -> None:
        self.node = node
        self.constants = constants
        self.taken = taken
        self.nodes: list[NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def input(self, slot: int) -> str:
        return self.node.input[slot] if slot < len(self.node.input) else ""

    def attribute(self, name: str, default: Any) -> Any:
        for attribute in self.node.attribute:
            if attribute.name == name:
                return helper.get_attribute_value(attribute)
        return default

    def name(self, base: str) -> str:
        name = unique(f"{self.node.output[0]}/{base}", self.taken)
        self.taken.add(name)
        return name

    def constant(self, slot: int, what: str) -> np.ndarray:
        name = self.input(slot)
        if name not in self.constants:
            raise UserError(
                f"{what} is computed at run time",
                origin=self.node.name or self.node.output[0],
                hint="Quantization parameters must be initializers.",
            )
        return self.constants[name]

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=self.node.name, **attributes))
        return output

    def initializer(self, base: str, array: np.ndarray) -> str:
        name = self.name(base)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def dequantize(self, slot: int, base: str, axis: int | None = None) -> str:
        """DequantizeLinear of the tensor at `slot`, its scale and zero point behind it; axis = per channel."""
        inputs = [self.input(slot), self.input(slot + 1), self.input(slot + 2)]
        scale = self.constant(slot + 1, f"the scale of {base}")
        scale_name, zero_name = inputs[1], inputs[2]
        if axis is None or scale.size == 1:
            # ORT takes [1] as per tensor; ONNX wants a scalar there.
            scale_name = self.initializer(f"{base}_scale", scale.reshape(()))
            if zero_name:
                zero = self.constant(slot + 2, f"the zero point of {base}")
                zero_name = self.initializer(f"{base}_zero_point", zero.reshape(-1)[:1].reshape(()))
            axis = None
        elif zero_name:
            zero = self.constant(slot + 2, f"the zero point of {base}")
            spread = np.broadcast_to(zero.reshape(-1), scale.reshape(-1).shape)
            zero_name = self.initializer(f"{base}_zero_point", np.ascontiguousarray(spread))
        attributes = {} if axis is None else {"axis": axis}
        names = [inputs[0], scale_name] + ([zero_name] if zero_name else [])
        return self.add("DequantizeLinear", names, self.name(base), **attributes)

    def dequantize_bias(self, slot: int, scale: np.ndarray) -> str:
        """The int32 bias, whose scale QOperator leaves implicit: input scale * weight scale."""
        bias = self.constant(slot, "the bias")
        scale = np.broadcast_to(scale.astype(np.float32).reshape(-1), bias.reshape(-1).shape)
        names = [self.input(slot), self.initializer("bias_scale", np.ascontiguousarray(scale))]
        return self.add("DequantizeLinear", names, self.name("bias"), axis=0)

    def quantize(self, real: str, scale_slot: int) -> None:
        scale = self.initializer("y_scale", self.constant(scale_slot, "the output scale").reshape(()))
        names = [real, scale]
        if self.input(scale_slot + 1):
            zero = self.constant(scale_slot + 1, "the output zero point")
            names.append(self.initializer("y_zero_point", zero.reshape(())))
        self.add("QuantizeLinear", names, self.node.output[0])


_CONV = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
_POOL = ("auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides")


def _kept(e: _Expansion, names: tuple[str, ...]) -> dict[str, object]:
    return {a.name: helper.get_attribute_value(a) for a in e.node.attribute if a.name in names}


def _conv(e: _Expansion) -> None:
    inputs = [e.dequantize(0, "x"), e.dequantize(3, "w", axis=0)]
    if e.input(8):
        scale = e.constant(1, "the input scale").reshape(-1) * e.constant(4, "the weight scale").reshape(-1)
        inputs.append(e.dequantize_bias(8, scale))
    e.quantize(e.add("Conv", inputs, e.name("conv"), **_kept(e, _CONV)), 6)


def _matmul(e: _Expansion) -> None:
    rank = e.constants[e.input(3)].ndim if e.input(3) in e.constants else 1
    e.quantize(e.add("MatMul", [e.dequantize(0, "a"), e.dequantize(3, "b", axis=rank - 1)], e.name("matmul")), 6)


def _gemm(e: _Expansion) -> None:
    alpha, trans_b = e.attribute("alpha", 1.0), e.attribute("transB", 0)
    inputs = [e.dequantize(0, "a"), e.dequantize(3, "b", axis=0 if trans_b else 1)]
    if e.input(6):
        scale = e.constant(1, "the input scale").reshape(-1) * e.constant(4, "the weight scale").reshape(-1)
        inputs.append(e.dequantize_bias(6, np.float32(alpha) * scale))
    gemm = {"alpha": alpha, "transA": e.attribute("transA", 0), "transB": trans_b}
    if e.input(7):
        e.quantize(e.add("Gemm", inputs, e.name("gemm"), **gemm), 7)
    else:
        e.add("Gemm", inputs, e.node.output[0], **gemm)


def _binary(op: str) -> Callable[[_Expansion], None]:
    return lambda e: e.quantize(e.add(op, [e.dequantize(0, "a"), e.dequantize(3, "b")], e.name(op.lower())), 6)


def _unary(op: str, *kept: str) -> Callable[[_Expansion], None]:
    return lambda e: e.quantize(e.add(op, [e.dequantize(0, "x")], e.name(op.lower()), **_kept(e, kept)), 3)


def _pool(op: str, *kept: str) -> Callable[[_Expansion], None]:
    def expand(e: _Expansion) -> None:
        real = e.dequantize(0, "x")
        if e.attribute("channels_last", 0):
            real = e.add("Transpose", [real], e.name("nchw"), perm=[0, 3, 1, 2])
        real = e.add(op, [real], e.name(op.lower()), **_kept(e, kept))
        if e.attribute("channels_last", 0):
            real = e.add("Transpose", [real], e.name("nhwc"), perm=[0, 2, 3, 1])
        e.quantize(real, 3)

    return expand


def _softmax(e: _Expansion) -> None:
    """coerced: see modern_forms; here the node itself says which opset's rule it follows."""
    axis, coerced = e.attribute("axis", -1), int(e.attribute("opset", 13) < 13)
    e.quantize(e.add("Softmax", [e.dequantize(0, "x")], e.name("softmax"), axis=axis, coerced=coerced), 3)


def _concat(e: _Expansion) -> None:
    parts = [e.dequantize(slot, f"x{slot}") for slot in range(2, len(e.node.input), 3)]
    e.quantize(e.add("Concat", parts, e.name("concat"), axis=e.attribute("axis", 0)), 0)


_EXPANSIONS: dict[str, Callable[[_Expansion], None]] = {
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
    "QGemm": _gemm,
    "QLinearAdd": _binary("Add"),
    "QLinearMul": _binary("Mul"),
    "QLinearConcat": _concat,
    "QLinearAveragePool": _pool("AveragePool", *_POOL),
    "QLinearGlobalAveragePool": _pool("GlobalAveragePool"),
    "QLinearSoftmax": _softmax,
    "QLinearSigmoid": _unary("Sigmoid"),
    "QLinearLeakyRelu": _unary("LeakyRelu", "alpha"),
}

QOPERATORS = tuple(_EXPANSIONS)


def to_qdq(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with every QOperator node expanded; other nodes and their order stay."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)} | set(constants)
    del copy.graph.node[:]
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.domain == "com.microsoft":
            plain = copy.graph.node.add()
            plain.CopyFrom(node)
            plain.domain = ""
        elif node.op_type in _EXPANSIONS:
            expansion = _Expansion(node, constants, taken)
            _EXPANSIONS[node.op_type](expansion)
            copy.graph.node.extend(expansion.nodes)
            copy.graph.initializer.extend(expansion.initializers)
        else:
            copy.graph.node.append(node)
    return copy
