"""A few models that together use every kernel: what boards, libraries, planners and C compilers are tested with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from small_models import DTYPES, Net


def classifier(dtype: str) -> onnx.ModelProto:
    """conv, depthwise, pointwise, residual add, max pool, global average, fully connected, softmax."""
    net = Net(dtype, seed=5)
    x = net.conv(net.input((1, 3, 8, 8)), (8, 3, 3, 3), pads=[1, 1, 1, 1], then="Relu", zero_point=-128)
    y = net.conv(x, (8, 1, 3, 3), group=8, pads=[1, 1, 1, 1], then="Relu", zero_point=-128)
    y = net.conv(y, (8, 8, 1, 1))
    y = net.op("Add", x, y, scale=1.5 * max(x.scale, y.scale), zero_point=-20)
    y = net.copy("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = net.conv(y, (12, 8, 3, 3), strides=[2, 2], pads=[0, 0, 1, 1])
    y = net.op("GlobalAveragePool", y, scale=float(y.scale) * 0.6, zero_point=0)
    y = net.gemm(net.copy("Flatten", y, axis=1), 5, 12, w_scale=6e-5)
    probabilities = net.op("Softmax", y, scale=1 / 256, zero_point=-128, axis=-1)
    net.output(probabilities)
    return net.model()


def direct(dtype: str) -> onnx.ModelProto:
    """Weights with a zero point: the direct kernel, for a convolution and for a matrix."""
    net = Net(dtype, seed=6)
    w_dtype, w_zero = (np.uint8, 131) if dtype == "uint8" else (np.int8, -6)
    y = net.conv(net.input((1, 4, 6, 6)), (6, 2, 3, 3), group=2, w_dtype=w_dtype, w_zero=w_zero, pads=[1, 1, 0, 0])
    flat = net.copy("Flatten", y, axis=1)
    net.output(net.gemm(flat, 7, 150, axis=None, w_dtype=w_dtype, w_zero=w_zero))
    return net.model()


def arithmetic(dtype: str) -> onnx.ModelProto:
    """Average pool, product, concat, pad, transpose, tables, a table a channel: floats in ORT's order."""
    net = Net(dtype, seed=7)
    x = net.input((1, 3, 6, 5))
    pool = net.op("AveragePool", x, scale=0.03, zero_point=9, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    gate = net.op("Sigmoid", x, scale=1 / 256, zero_point=-128)
    y = net.op("Mul", pool, gate, scale=0.02, zero_point=5)
    factors = [net.constant(net.rng.uniform(0.5, 1.5, 3).astype(np.float32)) for _ in range(4)]
    scaled = net.quantize(net.node("BatchNormalization", net.real(y), *factors), 0.06, -4)
    both = net.op("Concat", scaled, y, scale=0.05, zero_point=-3, axis=1)
    padded = net.copy("Pad", both, net.constant(np.array([0, 0, 1, 0, 0, 0, 0, 2], np.int64)))
    net.output(net.copy("Transpose", padded, perm=(0, 3, 1, 2)))
    return net.model()


def ports(dtype: str) -> onnx.ModelProto:
    """Two inputs, three outputs; one of them is used inside, one is an input as it came."""
    net = Net(dtype, seed=8)
    a, b = net.input((1, 40), name="left"), net.input((1, 40), 0.03, 9, name="right")
    total = net.op("Add", a, b, scale=0.07)
    net.output(total, "total")
    net.output(net.gemm(total, 6, 40), "class")
    net.output(b, "echo")
    return net.model()


GALLERY: dict[str, Callable[[str], onnx.ModelProto]] = {
    "classifier": classifier,
    "direct": direct,
    "arithmetic": arithmetic,
    "ports": ports,
}

NAMES = [f"{name}-{dtype}" for name in GALLERY for dtype in DTYPES]
FEW = ("classifier-int8", "direct-uint8", "arithmetic-int8", "ports-uint8")
FEW_BY_DEFAULT = [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in NAMES]
"""For tests that take seconds a model: each model with one of the types, the others are slow tests."""


def example(case: str) -> onnx.ModelProto:
    """A model by its name in NAMES."""
    name, dtype = case.split("-")
    return GALLERY[name](dtype)
