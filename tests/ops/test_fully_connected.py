"""Gemm and MatMul with constant weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checking import compile_model, exact, exact_integer_form, kernels, transposes
from small_models import DTYPES, Net, Tensor, qlinear_weights

from mcugen import UserError


def matmul(net: Net, x: Tensor, depth: int, outputs: int, *, bias: bool, axis: int | None = None) -> Tensor:
    weights, scales = net.weights((depth, outputs), axis=axis)
    spread = 4900.0 * depth**0.5
    real = net.node("MatMul", net.real(x), weights)
    if bias:
        data = net.rng.integers(-int(spread), int(spread), outputs).astype(np.int32)
        real = net.node("Add", real, net.bias(data, scales * x.scale))
    return net.quantize(real, float(x.scale) * float(scales.max()) * spread / 60, -9)


GEMM: dict[str, dict[str, Any]] = {
    "transposed": {},
    "plain": {"transposed": False},
    "per_tensor": {"axis": None},
    "plain_per_tensor": {"axis": None, "transposed": False},
    "no_bias": {"bias": False},
    "zero_points_low": {"zero_point": -128},
    "zero_points_high": {"zero_point": 127},
    "relu_dropped": {"then": "Relu", "zero_point": -128},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", GEMM)
def test_gemm(case: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    net.output(net.gemm(net.input((1, 21)), 10, 21, **GEMM[case]))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows, depth, outputs", [(1, 1, 9), (1, 64, 1), (5, 33, 7), (1, 640, 16)])
def test_gemm_sizes(rows: int, depth: int, outputs: int, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    net.output(net.gemm(net.input((rows, depth)), outputs, depth))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("axis", [None, 1])
def test_matmul(bias: bool, axis: int | None, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    net.output(matmul(net, net.input((3, 18)), 18, 7, bias=bias, axis=axis))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", [0.5, 4.0])
def test_alpha_and_the_input_transposed(alpha: float, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((14, 3))
    weights, scales = net.weights((14, 6), axis=1)
    bias = net.bias(net.rng.integers(-9000, 9000, 6).astype(np.int32), scales * x.scale * np.float32(alpha))
    net.output(net.op("Gemm", x, weights, bias, scale=0.35 * alpha, alpha=alpha, transA=1))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_of_two_activations(transposed: int, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    a, b = net.input((3, 14)), net.input((5, 14) if transposed else (14, 5), 0.03, 6, "b")
    net.output(net.op("Gemm", a, b, scale=0.2, zero_point=4, transB=transposed))
    assert "mcugen_matmul_s8" in kernels(exact(net.model(), tmp_path))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_scaled_bias_is_the_integer_form(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((2, 14))
    weights, scales = net.weights((6, 14))
    bias = net.bias(net.rng.integers(-9000, 9000, 6).astype(np.int32), scales * x.scale)
    net.output(net.op("Gemm", x, weights, bias, scale=0.4, beta=0.3, transB=1))
    exact_integer_form(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul_of_higher_rank(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    net.output(matmul(net, net.input((2, 3, 4, 12)), 12, 5, bias=False))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype, w_dtype, w_zero", [("uint8", np.uint8, 130), ("int8", np.int8, 5)])
def test_weights_with_a_zero_point(dtype: str, w_dtype: Any, w_zero: int, tmp_path: Path) -> None:
    net = Net(dtype)
    net.output(net.gemm(net.input((2, 20)), 6, 20, axis=None, w_dtype=w_dtype, w_zero=w_zero))
    assert "mcugen_convolve_direct_s8" in kernels(exact(net.model(), tmp_path))


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_above_the_zero_point_is_the_integer_form(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    net.output(net.gemm(net.input((1, 20)), 6, 20, then="Relu", zero_point=-60))
    exact_integer_form(net.model(), tmp_path)


@pytest.mark.parametrize("op", ["Flatten", "Reshape"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_are_permuted_behind_a_flatten(op: str, dtype: str, tmp_path: Path) -> None:
    """NHWC in the firmware, NCHW in the model: the columns of the weights move, no transpose runs behind the conv."""
    net = Net(dtype)
    y = net.conv(net.input((1, 3, 5, 4)), (6, 3, 3, 3), pads=[1, 1, 1, 1])
    flat = net.copy("Flatten", y, axis=1) if op == "Flatten" else net.copy("Reshape", y, net.shape(1, -1))
    net.output(net.gemm(flat, 7, 120))
    compiled = exact(net.model(), tmp_path)
    assert transposes(compiled) == 1  # of the input


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("transposed", [0, 1])
def test_qgemm(transposed: int, bias: bool, per_channel: bool, tmp_path: Path) -> None:
    shape = (6, 14) if transposed else (14, 6)
    model = qlinear_weights("QGemm", (2, 14), shape, per_channel=per_channel, bias=bias, transB=transposed)
    exact(model, tmp_path)


@pytest.mark.parametrize("per_channel", [False, True])
def test_qgemm_with_a_row_as_bias(per_channel: bool, tmp_path: Path) -> None:
    model = qlinear_weights("QGemm", (2, 14), (14, 6), per_channel=per_channel)
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name.startswith("bias"))
    bias.dims[:] = [1, 6]
    exact(model, tmp_path)


@pytest.mark.parametrize("dtype", [*DTYPES, "uint16"])
@pytest.mark.parametrize(("op", "shape", "axis"), [("Gemm", (6, 6), 0), ("MatMul", (6, 7), 0), ("Conv", (6, 6, 1), 1)])
def test_scales_of_inputs_are_refused(op: str, shape: tuple[int, ...], axis: int, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype, opset=21)
    x = net.input((1, 6, 5) if op == "Conv" else (5, 6))
    net.output(net.quantize(net.node(op, net.real(x), net.weights(shape, axis=axis)[0], name="layer")))
    with pytest.raises(UserError, match="layer: the weights are quantized along their inputs"):
        compile_model(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_channel", [False, True])
def test_qlinear_matmul(dtype: str, per_channel: bool, tmp_path: Path) -> None:
    model = qlinear_weights("QLinearMatMul", (4, 14), (14, 6), dtype=dtype, per_channel=per_channel, bias=False)
    exact(model, tmp_path)
