"""Functions of one value as tables, alone and in chains; BatchNormalization as one table a channel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checking import exact, kernels, transposes
from small_models import DTYPES, Net, Tensor, qoperator

from mcugen.ops.unary import UNARY

_ATTRIBUTES: dict[str, dict[str, float]] = {"LeakyRelu": {"alpha": 0.13}, "ThresholdedRelu": {"alpha": 0.4}}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", sorted(set(UNARY) - {"Identity"}))
def test_every_table(op: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype, opset=24 if op == "Swish" else 20)
    # Acos, Log and Sqrt are defined for some of the values, the rounding ones need several units.
    x_scale, y_scale = (0.07, 0.09) if op in ("Ceil", "Floor", "Round") else (0.0065, 0.011)
    real = net.node(op, net.real(net.input((1, 300), x_scale, -60)), **_ATTRIBUTES.get(op, {}))
    net.output(net.quantize(real, y_scale, -3))
    assert kernels(exact(net.model(), tmp_path)) == ["mcugen_lut_s8"]


def _silu(net: Net, real: str) -> str:
    return net.node("Mul", real, net.node("Sigmoid", real))


def _hard_swish(net: Net, real: str) -> str:
    return net.node("Mul", real, net.node("HardSigmoid", real, alpha=1 / 6, beta=0.5))


def _relu6_form(net: Net, real: str) -> str:
    """x * relu6(x + 3) / 6, as older exporters write it."""
    one = net.constant
    shifted = net.node("Add", real, one(np.float32(3)))
    clipped = net.node("Clip", shifted, one(np.float32(0)), one(np.float32(6)))
    return net.node("Div", net.node("Mul", real, clipped), one(np.float32(6)))


def _three(net: Net, real: str) -> str:
    return net.node("Tanh", net.node("LeakyRelu", net.node("Neg", real), alpha=0.3))


def _scalars(net: Net, real: str) -> str:
    """Constants of one value, of several ranks, on both sides."""
    half, two = net.constant(np.float32(0.5)), net.constant(np.full((1, 1), 2, np.float32))
    return net.node("Pow", net.node("Sub", two, net.node("Mul", real, half)), two)


def _mish(net: Net, real: str) -> str:
    return net.node("Mul", real, net.node("Tanh", net.node("Softplus", real)))


CHAINS: dict[str, Callable[[Net, str], str]] = {
    "silu": _silu,
    "hard_swish": _hard_swish,
    "relu6_form": _relu6_form,
    "three": _three,
    "scalars": _scalars,
    "mish": _mish,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_is_one_table(chain: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    real = CHAINS[chain](net, net.real(net.input((2, 150), 0.04, 4)))
    net.output(net.quantize(real, 0.03, -20))
    assert kernels(exact(net.model(), tmp_path)) == ["mcugen_lut_s8"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale, zero_point", [(0.05, 10), (0.025, -3), (0.1, -128), (1e-12, 0)])
def test_requantization(scale: float, zero_point: int, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.integer_input((1, 300), 0.05 if scale > 1e-6 else 2e-12, -3)
    net.output(net.quantize(net.real(x), scale, zero_point))
    assert kernels(exact(net.model(), tmp_path)) == ["mcugen_lut_s8"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_tables_work_in_any_layout(dtype: str, tmp_path: Path) -> None:
    """Between two convolutions a table needs no transpose."""
    net = Net(dtype)
    x = net.conv(net.input((1, 3, 5, 4)), (4, 3, 3, 3))
    y = net.op("Sigmoid", x, scale=1 / 256, zero_point=-128)
    net.output(net.conv(y, (3, 4, 1, 1)))
    assert transposes(exact(net.model(), tmp_path)) == 2


def _batch_norm(net: Net, x: Tensor, channels: int) -> str:
    rng = net.rng
    gamma = rng.uniform(-1.5, 1.5, channels).astype(np.float32)
    beta, mean = rng.normal(0, 1, (2, channels)).astype(np.float32)
    variance = rng.uniform(0.5, 2, channels).astype(np.float32)
    return net.node("BatchNormalization", net.real(x), *(net.constant(a) for a in (gamma, beta, mean, variance)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("relu", [False, True])
def test_batch_normalization_between_q_and_dq(relu: bool, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    real = _batch_norm(net, net.input((1, 5, 4, 6)), 5)
    net.output(net.quantize(net.node("Relu", real) if relu else real, 0.06, -128 if relu else 2))
    assert "mcugen_channel_lut_s8" in kernels(exact(net.model(), tmp_path))


@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_normalization_between_convolutions(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.conv(net.input((1, 3, 5, 4)), (5, 3, 3, 3))
    y = net.quantize(_batch_norm(net, x, 5), float(x.scale) * 1.5, 2)
    net.output(net.conv(y, (3, 5, 1, 1)))
    assert transposes(exact(net.model(), tmp_path)) == 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 5, 4, 6), (2, 5, 7)], ids=str)
@pytest.mark.parametrize("quantized", [False, True], ids=["float slope", "quantized slope"])
def test_prelu_with_a_slope_a_channel(quantized: bool, shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input(shape, 0.04, 3)
    slope = net.rng.uniform(-0.5, 1.5, (5, *(1,) * (len(shape) - 2))).astype(np.float32)
    name = net.constant(slope)
    if quantized:
        raw = net.constant(np.rint(slope / 0.012).astype(np.int8))
        name = net.node("DequantizeLinear", raw, net.constant(np.float32(0.012)), net.constant(np.int8(0)))
    net.output(net.op("PRelu", x, name, scale=0.03, zero_point=-20))
    assert "mcugen_channel_lut_s8" in kernels(exact(net.model(), tmp_path))


def _quantized_silu(net: Net, x: Tensor) -> Tensor:
    """x * sigmoid(x), the sigmoid quantized by itself."""
    return net.op("Mul", x, net.op("Sigmoid", x, scale=1 / 256, zero_point=-128), scale=0.03, zero_point=-60)


def _quantized_hard_swish(net: Net, x: Tensor) -> Tensor:
    gate = net.op("HardSigmoid", x, scale=1 / 256, zero_point=-128, alpha=1 / 6, beta=0.5)
    return net.op("Mul", x, gate, scale=0.03, zero_point=-60)


def _tables_in_a_row(net: Net, x: Tensor) -> Tensor:
    return net.op("LeakyRelu", net.op("Tanh", x, scale=1 / 128, zero_point=0), scale=0.006, zero_point=-20, alpha=0.3)


def _gate_of_a_table(net: Net, x: Tensor) -> Tensor:
    """What the gate multiplies is itself a table of x, read twice."""
    return _quantized_silu(net, net.op("Elu", x, scale=0.03, zero_point=-90))


QUANTIZED_CHAINS: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "silu": _quantized_silu,
    "hard_swish": _quantized_hard_swish,
    "in a row": _tables_in_a_row,
    "gate of a table": _gate_of_a_table,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("chain", QUANTIZED_CHAINS)
def test_a_chain_with_quantized_parts_is_one_table(chain: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    net.output(QUANTIZED_CHAINS[chain](net, net.input((2, 150), 0.04, 4)))
    assert kernels(exact(net.model(), tmp_path)) == ["mcugen_lut_s8"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_part_that_others_read_keeps_its_table(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((1, 150), 0.04, 4)
    gate = net.op("Sigmoid", x, scale=1 / 256, zero_point=-128)
    net.output(net.op("Mul", x, gate, scale=0.03, zero_point=-60))
    net.output(gate, "gate")
    assert sorted(kernels(exact(net.model(), tmp_path))) == ["mcugen_lut_s8", "mcugen_mul_s8"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gate_behind_a_sum_of_two_is_one_table(dtype: str, tmp_path: Path) -> None:
    """The sum is element-wise too, but of two tensors: the table starts behind it."""
    net = Net(dtype)
    both = net.op("Add", net.input((1, 150), 0.04, 4), net.input((1, 150), 0.02, 9, "z"), scale=0.05, zero_point=2)
    net.output(_quantized_silu(net, both))
    assert kernels(exact(net.model(), tmp_path)) == ["mcugen_add_s8", "mcugen_lut_s8"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op, attributes", [("QLinearSigmoid", {}), ("QLinearLeakyRelu", {"alpha": 0.2})])
def test_qoperator_form(op: str, attributes: dict[str, float], dtype: str, tmp_path: Path) -> None:
    model = qoperator(op, [(1, 300)], dtype=dtype, scales=(0.04,), zero_points=(4,), output=(0.02, -60), **attributes)
    assert kernels(exact(model, tmp_path)) == ["mcugen_lut_s8"]
