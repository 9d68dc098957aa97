"""Softmax over the last axis."""

from __future__ import annotations

from pathlib import Path

import pytest
from checking import exact
from small_models import DTYPES, Net, qoperator


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 2), (1, 10), (4, 7), (2, 3, 12), (1, 2, 3, 5)])
@pytest.mark.parametrize("x_scale", [0.01, 0.2, 1.0])
def test_softmax(shape: tuple[int, ...], x_scale: float, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    net.output(net.op("Softmax", net.input(shape, x_scale), scale=1 / 256, zero_point=-128, axis=-1))
    exact(net.model(), tmp_path, samples=64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale, zero_point", [(1 / 256, -128), (1 / 255, -128), (0.01, -50), (0.02, 20)])
def test_output_parameters(scale: float, zero_point: int, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    net.output(net.op("Softmax", net.input((8, 3), 0.05), scale=scale, zero_point=zero_point, axis=1))
    exact(net.model(), tmp_path, samples=32)


@pytest.mark.parametrize("dtype", DTYPES)
def test_saturated_winner(dtype: str, tmp_path: Path) -> None:
    """p = 1.0 is beyond the type's range: it saturates, it does not wrap."""
    net = Net(dtype)
    net.output(net.op("Softmax", net.input((1, 4), 3.0), scale=1 / 256, zero_point=-128, axis=-1))
    exact(net.model(), tmp_path, samples=64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_old_opset_without_axis(dtype: str, tmp_path: Path) -> None:
    """Before opset 13 the default axis is 1: for two dimensions, the last."""
    net = Net(dtype, opset=11)
    net.output(net.op("Softmax", net.input((3, 6), 0.1), scale=1 / 256, zero_point=-128))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_qlinear_softmax(dtype: str, tmp_path: Path) -> None:
    model = qoperator("QLinearSoftmax", [(5, 9)], dtype=dtype, output=(1 / 256, -128), axis=-1, opset=13)
    exact(model, tmp_path, samples=32)
