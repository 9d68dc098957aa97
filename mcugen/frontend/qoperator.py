"""QOperator form -> QDQ form, so that everything behind the front end knows one form only.

QLinearConv(x, ...) becomes QuantizeLinear(Conv(DequantizeLinear(x), ...)): the recognised integer operator is the
same, because ORT itself turns the QDQ form into these operators.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from ..errors import UserError
from .expansion import Expansion, expand


def _dequantize(e: Expansion, slot: int, base: str, axis: int | None = None) -> str:
    """DequantizeLinear of the tensor at `slot`, its scale and zero point behind it; axis = per channel."""
    inputs = [e.input(slot), e.input(slot + 1), e.input(slot + 2)]
    scale = e.constant(slot + 1, f"the scale of {base}")
    scale_name, zero_name = inputs[1], inputs[2]
    if axis is None or scale.size == 1:
        # ORT takes [1] as per tensor; ONNX wants a scalar there.
        scale_name = e.initializer(f"{base}_scale", scale.reshape(()))
        if zero_name:
            zero = e.constant(slot + 2, f"the zero point of {base}")
            zero_name = e.initializer(f"{base}_zero_point", zero.reshape(-1)[:1].reshape(()))
        axis = None
    elif zero_name:
        zero = e.constant(slot + 2, f"the zero point of {base}")
        spread = np.broadcast_to(zero.reshape(-1), scale.reshape(-1).shape)
        zero_name = e.initializer(f"{base}_zero_point", np.ascontiguousarray(spread))
    attributes = {} if axis is None else {"axis": axis}
    names = [inputs[0], scale_name] + ([zero_name] if zero_name else [])
    return e.add("DequantizeLinear", names, e.name(base), **attributes)


def _dequantize_bias(e: Expansion, slot: int, scale: np.ndarray) -> str:
    """The int32 bias, whose scale QOperator leaves implicit: input scale * weight scale."""
    bias = e.constant(slot, "the bias")
    scale = np.broadcast_to(scale.astype(np.float32).reshape(-1), bias.shape[-1:] or (1,))
    names = [e.input(slot), e.initializer("bias_scale", np.ascontiguousarray(scale))]
    return e.add("DequantizeLinear", names, e.name("bias"), axis=max(bias.ndim - 1, 0))


def _quantize(e: Expansion, real: str, slot: int) -> None:
    """QuantizeLinear with the scale at `slot` and the zero point behind it."""
    names = [real, e.initializer("y_scale", _one(e, slot, "the output scale"))]
    if e.input(slot + 1):
        names.append(e.initializer("y_zero_point", _one(e, slot + 1, "the output zero point")))
    e.finish(e.add("QuantizeLinear", names))


def _one(e: Expansion, slot: int, what: str) -> np.ndarray:
    """A constant of one value, as a scalar: ORT takes [1] too, ONNX does not."""
    array = e.constant(slot, what)
    if array.size != 1:
        raise UserError(
            f"{what} has {array.size} values", origin=e.where, hint="Quantize activations per tensor, not per channel."
        )
    return array.reshape(())


CONV = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
POOL = ("auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides")


def _conv(e: Expansion) -> None:
    inputs = [_channels_first(e, _dequantize(e, 0, "x")), _dequantize(e, 3, "w", axis=0)]
    if e.input(8):
        scale = e.constant(1, "the input scale").reshape(-1) * e.constant(4, "the weight scale").reshape(-1)
        inputs.append(_dequantize_bias(e, 8, scale))
    _quantize(e, _channels_last(e, e.add("Conv", inputs, **e.kept(*CONV))), 6)


def _channels_first(e: Expansion, real: str) -> str:
    """The NCHW form of the operand of a node that says it is NHWC."""
    return e.add("Transpose", [real], perm=[0, 3, 1, 2]) if e.attribute("channels_last", 0) else real


def _channels_last(e: Expansion, real: str) -> str:
    return e.add("Transpose", [real], perm=[0, 2, 3, 1]) if e.attribute("channels_last", 0) else real


def _matmul(e: Expansion) -> None:
    rank = e.constants[e.input(3)].ndim if e.input(3) in e.constants else 1
    _quantize(e, e.add("MatMul", [_dequantize(e, 0, "a"), _dequantize(e, 3, "b", axis=rank - 1)]), 6)


def _gemm(e: Expansion) -> None:
    alpha, trans_b = e.attribute("alpha", 1.0), e.attribute("transB", 0)
    inputs = [_dequantize(e, 0, "a"), _dequantize(e, 3, "b", axis=0 if trans_b else 1)]
    if e.input(6):
        scale = e.constant(1, "the input scale").reshape(-1) * e.constant(4, "the weight scale").reshape(-1)
        inputs.append(_dequantize_bias(e, 6, np.float32(alpha) * scale))
    gemm = {"alpha": alpha, "transA": e.attribute("transA", 0), "transB": trans_b}
    if e.input(7):
        _quantize(e, e.add("Gemm", inputs, **gemm), 7)
    else:
        e.finish(e.add("Gemm", inputs, **gemm))


def _binary(op: str) -> Callable[[Expansion], None]:
    return lambda e: _quantize(e, e.add(op, [_dequantize(e, 0, "a"), _dequantize(e, 3, "b")]), 6)


def _unary(op: str, *kept: str) -> Callable[[Expansion], None]:
    return lambda e: _quantize(e, e.add(op, [_dequantize(e, 0, "x")], **e.kept(*kept)), 3)


def _pool(op: str, *kept: str) -> Callable[[Expansion], None]:
    def change(e: Expansion) -> None:
        real = _channels_first(e, _dequantize(e, 0, "x"))
        _quantize(e, _channels_last(e, e.add(op, [real], **e.kept(*kept))), 3)

    return change


def _softmax(e: Expansion) -> None:
    """coerced: see modern_forms; here the node itself says which opset's rule it follows."""
    axis, coerced = e.attribute("axis", -1), int(e.attribute("opset", 13) < 13)
    _quantize(e, e.add("Softmax", [_dequantize(e, 0, "x")], axis=axis, coerced=coerced), 3)


def _concat(e: Expansion) -> None:
    parts = [_dequantize(e, slot, f"x{slot}") for slot in range(2, len(e.node.input), 3)]
    _quantize(e, e.add("Concat", parts, axis=e.attribute("axis", 0)), 0)


def _where(e: Expansion) -> None:
    _quantize(e, e.add("Where", [e.input(0), _dequantize(e, 1, "x"), _dequantize(e, 4, "y")]), 7)


def _plain(e: Expansion) -> None:
    """com.microsoft's QuantizeLinear and DequantizeLinear are ONNX's own."""
    node = onnx.NodeProto()
    node.CopyFrom(e.node)
    node.domain = ""
    e.nodes.append(node)


_EXPANSIONS: dict[str, Callable[[Expansion], None]] = {
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
    "com.microsoft.QuantizeLinear": _plain,
    "com.microsoft.DequantizeLinear": _plain,
    "com.microsoft.QLinearConv": _conv,
    "com.microsoft.QGemm": _gemm,
    "com.microsoft.QLinearAdd": _binary("Add"),
    "com.microsoft.QLinearMul": _binary("Mul"),
    "com.microsoft.QLinearConcat": _concat,
    "com.microsoft.QLinearAveragePool": _pool("AveragePool", *POOL),
    "com.microsoft.QLinearGlobalAveragePool": _pool("GlobalAveragePool"),
    "com.microsoft.QLinearSoftmax": _softmax,
    "com.microsoft.QLinearWhere": _where,
    "com.microsoft.QLinearSigmoid": _unary("Sigmoid"),
    "com.microsoft.QLinearLeakyRelu": _unary("LeakyRelu", "alpha"),
}


def to_qdq(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with every QOperator node expanded; other nodes and their order stay."""
    return expand(model, _EXPANSIONS)
