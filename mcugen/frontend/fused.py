"""com.microsoft's fused operators -> the standard nodes they stand for.

ONNX Runtime writes them when it saves a model it optimized, and its tools do. In float, the order of operations may be
another inside the fused kernel: float steps state a tolerance. The forms of dynamic quantization have these very
roundings:

    DynamicQuantizeMatMul = DynamicQuantizeLinear, then MatMulIntegerToFloat
    MatMulIntegerToFloat  = MatMulInteger, Cast, Mul(a_scale * b_scale), Add(bias)

DynamicQuantizeLSTM stays: it quantizes its state at every step. It gets a definition for shape inference alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import onnx.parser
from onnx import TensorProto, helper

from ..errors import UserError
from .attention import attention
from .expansion import Expansion, expand, full_name
from .qoperator import CONV, POOL
from .weight_only import matmul_nbits

# Operators that ONNX Runtime has under ONNX's own name, before ONNX had them or without it.
ADOPTED = ("LayerNormalization", "SimplifiedLayerNormalization")


_LSTM_SHAPES = """
<domain: "com.microsoft", opset_import: ["" : 14]>
DynamicQuantizeLSTM <direction, hidden_size>
(x, w, r, b, lengths, h, c, p, w_scale, w_zero, r_scale, r_zero) => (y, y_h, y_c)
{
    w_real = Cast <to: int = 1> (w)
    r_real = Cast <to: int = 1> (r)
    w_rows = Transpose <perm: ints = [0, 2, 1]> (w_real)
    r_rows = Transpose <perm: ints = [0, 2, 1]> (r_real)
    y, y_h, y_c = LSTM <direction: string = @direction, hidden_size: int = @hidden_size> (x, w_rows, r_rows)
}
"""


def to_standard(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without the fused forms; other nodes and their order stay."""
    standard = expand(model, _EXPANSIONS)
    if not any(full_name(node) == "com.microsoft.DynamicQuantizeLSTM" for node in model.graph.node):
        return standard
    copy = onnx.ModelProto()
    copy.CopyFrom(standard)
    copy.functions.append(onnx.parser.parse_function(_LSTM_SHAPES))
    return copy


_ACTIVATIONS = ("Clip", "Elu", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")


def _activated(e: Expansion, y: str, params: Mapping[str, float]) -> str:
    """`y` behind the node's activation, if it has one."""
    op = e.attribute("activation", "")
    if not op:
        return y
    if op not in _ACTIVATIONS:
        raise UserError(f"activation {op} is not supported", origin=e.where, hint="Export the activation as a node.")
    if op != "Clip":
        return e.add(op, [y], **params)
    ends = ("min", -np.inf), ("max", np.inf)
    return e.add(op, [y, *(e.number(params.get(name, default)) for name, default in ends)])


def _conv(e: Expansion) -> None:
    y = e.add("Conv", list(e.node.input[:3]), **e.kept(*CONV))
    if e.input(3):
        y = e.add("Add", [y, e.input(3)])
    names = {"Clip": ("min", "max"), "HardSigmoid": ("alpha", "beta"), "LeakyRelu": ("alpha",)}
    given: list[float] = e.attribute("activation_params", [])
    e.finish(_activated(e, y, dict(zip(names.get(e.attribute("activation", ""), ()), given, strict=False))))


def _gemm(e: Expansion) -> None:
    y = e.add("Gemm", list(e.node.input), **e.kept("alpha", "beta", "transA", "transB"))
    e.finish(_activated(e, y, _params(e)))


def _params(e: Expansion) -> dict[str, float]:
    names = ("alpha", "beta", "gamma")
    given = e.kept(*(f"activation_{name}" for name in names))
    return {name: given[f"activation_{name}"] for name in names if f"activation_{name}" in given}


def _matmul(e: Expansion) -> None:
    operands = []
    for slot, name in enumerate("AB"):
        operand, turned, batched = e.input(slot), e.attribute(f"trans{name}", 0), e.attribute(f"transBatch{name}", 0)
        rank = e.rank(operand) if turned or batched else 0
        order = list(range(rank))
        if batched and rank > 1:  # the rows stand before the batches
            order = [*order[1:-1], 0, order[-1]]
        if turned and rank > 1:  # one dimension: nothing to transpose
            order = [*order[:-2], order[-1], order[-2]]
        operands.append(e.add("Transpose", [operand], perm=order) if order != sorted(order) else operand)
    y = e.add("MatMul", operands)
    alpha = e.attribute("alpha", 1.0)
    if alpha != 1.0:
        y = e.add("Mul", [y, e.number(alpha)])
    e.finish(_activated(e, y, _params(e)))


def _with_bias(e: Expansion) -> str:
    return e.add("Add", [e.input(0), e.input(1)]) if e.input(1) else e.input(0)


def _gelu(e: Expansion) -> None:
    """x * (1 + erf(x / sqrt 2)) / 2, in the order that ONNX Runtime fuses."""
    x = _with_bias(e)
    wave = e.add("Erf", [e.add("Div", [x, e.number(np.sqrt(2.0))])])
    e.finish(e.add("Mul", [e.add("Mul", [x, e.add("Add", [wave, e.number(1.0)])]), e.number(0.5)]))


def _fast_gelu(e: Expansion) -> None:
    """x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2"""
    x = _with_bias(e)
    cubic = e.add("Add", [e.number(1.0), e.add("Mul", [e.add("Mul", [e.number(0.044715), x]), x])])
    wave = e.add("Tanh", [e.add("Mul", [e.add("Mul", [x, e.number(np.sqrt(2.0 / np.pi))]), cubic])])
    e.finish(e.add("Mul", [e.add("Mul", [x, e.number(0.5)]), e.add("Add", [e.number(1.0), wave])]))


def _quick_gelu(e: Expansion) -> None:
    """x * sigmoid(alpha * x)"""
    x, alpha = e.input(0), e.attribute("alpha", 1.702)
    inner = x if alpha == 1.0 else e.add("Mul", [x, e.number(alpha)])
    e.finish(e.add("Mul", [x, e.add("Sigmoid", [inner])]))


def _layer_norm(e: Expansion) -> None:
    """SkipLayerNormalization: the sum of two tensors and a bias, normalized; the sum may be an output too."""
    total = _sum(e, e.input(4))
    attributes = {"axis": -1, "epsilon": e.attribute("epsilon", 1e-12)}
    e.finish(e.add("LayerNormalization", [total, *filter(None, (e.input(2), e.input(3)))], **attributes))


def _rms_norm(e: Expansion) -> None:
    """SimplifiedLayerNormalization: no mean is subtracted, no bias added."""
    axis = e.attribute("axis", -1)
    if axis != -1 and axis != e.rank(e.input(0)) - 1:
        raise UserError(
            f"only the last axis can be normalized (this is axis {axis})",
            origin=e.where,
            hint="Transpose the tensor before export.",
        )
    _no_more_outputs(e, 1)
    _root_mean_square(e, e.input(0), e.input(1), e.attribute("epsilon", 1e-5))


def _skip_rms_norm(e: Expansion) -> None:
    _root_mean_square(e, _sum(e, e.input(3)), e.input(2), e.attribute("epsilon", 1e-12))


def _root_mean_square(e: Expansion, x: str, scale: str, epsilon: float) -> None:
    """x / sqrt(mean(x^2) + epsilon) * scale"""
    square = e.add("Mul", [x, x])
    if e.opset < 18:
        mean = e.add("ReduceMean", [square], axes=[-1], keepdims=1)
    else:
        mean = e.add("ReduceMean", [square, e.initializer("axes", np.array([-1]))], keepdims=1)
    root = e.add("Sqrt", [e.add("Add", [mean, e.number(epsilon)])])
    e.finish(e.add("Mul", [e.add("Div", [x, root]), scale]))


def _sum(e: Expansion, bias: str) -> str:
    """Of the node's first two inputs and the bias. It is the node's output 3, where that is wanted."""
    _no_more_outputs(e, 1, 3)
    total = e.add("Add", [e.input(0), e.input(1)])
    if bias:
        total = e.add("Add", [total, bias])
    if len(e.node.output) > 3 and e.node.output[3]:
        e.finish(total, 3)
        return e.node.output[3]
    return total


def _no_more_outputs(e: Expansion, first: int, last: int | None = None) -> None:
    if any(e.node.output[first:last]):
        raise UserError(
            "the mean and the deviation of a normalization cannot be outputs",
            origin=e.where,
            hint="Export the model for inference.",
        )


def _max_pool(e: Expansion) -> None:
    pooled = e.add("MaxPool", [e.add("Transpose", [e.input(0)], perm=[0, 3, 1, 2])], **e.kept(*POOL))
    e.finish(e.add("Transpose", [pooled], perm=[0, 2, 3, 1]))


def _dynamic_matmul(e: Expansion) -> None:
    b, b_scale, b_zero, bias = (e.input(slot) for slot in (1, 2, 3, 4))
    a, a_scale, a_zero = e.name("a"), e.name("a_scale"), e.name("a_zero")
    e.nodes.append(helper.make_node("DynamicQuantizeLinear", [e.input(0)], [a, a_scale, a_zero], name=e.node.name))
    _integer_matmul(e, [a, b], [a_scale, b_scale], [a_zero, b_zero], bias)


def _matmul_to_float(e: Expansion) -> None:
    a, b, a_scale, b_scale, a_zero, b_zero, bias = (e.input(slot) for slot in range(7))
    _integer_matmul(e, [a, b], [a_scale, b_scale], [a_zero, b_zero], bias)


def _integer_matmul(e: Expansion, operands: list[str], scales: list[str], zeros: list[str], bias: str) -> None:
    if zeros[1] and not zeros[0]:
        zeros[0] = e.initializer("a_zero", np.zeros((), np.uint8))
    sums = e.add("MatMulInteger", [*operands, *filter(None, zeros)])
    y = e.add("Mul", [e.add("Cast", [sums], to=TensorProto.FLOAT), e.add("Mul", scales)])
    e.finish(e.add("Add", [y, bias]) if bias else y)


_EXPANSIONS: dict[str, Callable[[Expansion], None]] = {
    "SimplifiedLayerNormalization": _rms_norm,
    "com.microsoft.Attention": attention,
    "com.microsoft.BiasGelu": _gelu,
    "com.microsoft.DynamicQuantizeMatMul": _dynamic_matmul,
    "com.microsoft.FastGelu": _fast_gelu,
    "com.microsoft.FusedConv": _conv,
    "com.microsoft.FusedGemm": _gemm,
    "com.microsoft.FusedMatMul": _matmul,
    "com.microsoft.FusedMatMulActivation": _matmul,
    "com.microsoft.Gelu": _gelu,
    "com.microsoft.MatMulIntegerToFloat": _matmul_to_float,
    "com.microsoft.MatMulNBits": matmul_nbits,
    "com.microsoft.NhwcMaxPool": _max_pool,
    "com.microsoft.QuickGelu": _quick_gelu,
    "com.microsoft.SkipLayerNormalization": _layer_norm,
    "com.microsoft.SkipSimplifiedLayerNormalization": _skip_rms_norm,
    "com.microsoft.TransposeMatMul": _matmul,
}
