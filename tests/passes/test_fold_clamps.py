"""Activations between pairs of QuantizeLinear and DequantizeLinear: equal to ONNX Runtime, and without a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checking import assert_exact, compile_model, exact, exact_integer_form, kernels
from small_models import Net, Tensor

Activation = Callable[[Net, Tensor, float, int], Tensor]


def clip(low: float, high: float) -> Activation:
    """Clip with ends in steps of its input."""

    def made(n: Net, x: Tensor, scale: float, zero_point: int) -> Tensor:
        ends = (n.constant(np.float32(end) * x.scale) for end in (low, high))
        return n.op("Clip", x, *ends, scale=scale, zero_point=zero_point)

    return made


def chain(n: Net, x: Tensor, scale: float, zero_point: int) -> Tensor:
    """Max, then Min, with a constant each."""
    low, high = n.constant(np.float32(0)), n.constant(np.float32(30) * x.scale)
    return n.quantize(n.node("Min", n.node("Max", n.real(x), low), high), scale, zero_point)


ACTIVATIONS: dict[str, Activation] = {
    "relu": lambda n, x, scale, zero_point: n.op("Relu", x, scale=scale, zero_point=zero_point),
    "relu6": clip(0, 40),
    "hard tanh": clip(-25, 25),
    "chain": chain,
}


def conv(n: Net, x: Tensor) -> Tensor:
    return n.conv(x, (4, 3, 3, 3))


LAYERS: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "conv": conv,
    "conv, max pool": lambda n, x: n.copy("MaxPool", conv(n, x), kernel_shape=[2, 2]),
    "fc": lambda n, x: n.gemm(n.copy("Flatten", x, axis=1), 12, 108),
    "add": lambda n, x: n.op("Add", x, n.input((1, 3, 6, 6), 0.03, name="b"), scale=0.06),
    "average pool": lambda n, x: n.op("AveragePool", x, scale=0.04, kernel_shape=[3, 3]),
}


def model(dtype: str, layer: str, activation: str, factor: float, zero_point: int | None) -> Net:
    """zero_point None: that of the layer's output."""
    n = Net(dtype, opset=21)
    y = LAYERS[layer](n, n.input((1, 3, 6, 6)))
    zero = y.zero_point - n.origin if zero_point is None else zero_point
    n.output(ACTIVATIONS[activation](n, y, float(y.scale) * factor, zero))
    return n


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("layer", LAYERS)
def test_range_of_the_layer(layer: str, dtype: str, tmp_path: Path) -> None:
    activation = list(ACTIVATIONS)[list(LAYERS).index(layer) % len(ACTIVATIONS)]
    compiled = exact(model(dtype, layer, activation, 1.0, None).model(), tmp_path)
    assert "mcugen_lut_s8" not in kernels(compiled)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layer", ["conv", "conv, max pool", "fc"])
def test_another_zero_point(layer: str, activation: str, tmp_path: Path) -> None:
    compiled = exact(model("uint8", layer, activation, 1.0, -100).model(), tmp_path)
    assert "mcugen_lut_s8" not in kernels(compiled)


@pytest.mark.parametrize(
    "layer, factor, zero_point",
    [("conv", 0.6, -128), ("add", 1.0, -128)],
    ids=["another scale", "a zero point inside the rounding"],
)
def test_tables_that_stay(layer: str, factor: float, zero_point: int, tmp_path: Path) -> None:
    compiled = exact(model("uint8", layer, "relu", factor, zero_point).model(), tmp_path)
    assert "mcugen_lut_s8" in kernels(compiled)


def test_tensor_that_others_read(tmp_path: Path) -> None:
    n = Net("uint8")
    y = conv(n, n.input((1, 3, 6, 6)))
    z = n.op("Relu", y, scale=float(y.scale), zero_point=y.zero_point - n.origin)
    n.output(n.op("Add", y, z, scale=float(y.scale) * 2))
    assert "mcugen_lut_s8" in kernels(exact(n.model(), tmp_path))


def test_tables_one_behind_the_other(tmp_path: Path) -> None:
    """A table that is read twice ends the chain of tables, not the folding."""
    n = Net("int8")
    y = conv(n, n.input((1, 3, 6, 6)))
    z = n.op("Relu", y, scale=float(y.scale), zero_point=5)
    z = n.op("Clip", z, "", n.constant(np.float32(50) * y.scale), scale=float(y.scale), zero_point=-9)
    n.output(n.op("Add", z, n.copy("MaxPool", z, kernel_shape=[1, 1]), scale=float(y.scale) * 2))
    assert "mcugen_lut_s8" not in kernels(exact(n.model(), tmp_path))


def test_sixteen_bits(tmp_path: Path) -> None:
    """The layer is an integer form; what is folded into it equals the canonical graph."""
    compiled = exact_integer_form(model("uint16", "conv", "relu", 1.0, -30000).model(), tmp_path)
    assert not any("lut" in kernel for kernel in kernels(compiled))


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m55"])
def test_on_a_board(core: str, tmp_path: Path) -> None:
    compiled = compile_model(model("uint8", "conv, max pool", "relu6", 1.0, -100).model(), tmp_path, core=core)
    assert "mcugen_lut_s8" not in kernels(compiled)
    assert_exact(compiled, samples=2, on=core)
