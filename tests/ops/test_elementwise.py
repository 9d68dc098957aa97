"""Add and Mul of two activations."""

from __future__ import annotations

from pathlib import Path

import pytest
from checking import exact, exact_integer_form, transposes
from small_models import DTYPES, Net, qoperator

# (scale, zero point) of a, b and the result
PARAMS = {
    "ordinary": ((0.05, -3), (0.031, 7), (0.07, 4)),
    "equal": ((0.05, 0), (0.05, 0), (0.05, 0)),
    "powers_of_two": ((0.5, 0), (0.25, 0), (0.5, 0)),
    "low_ends": ((0.05, -128), (0.03, -128), (0.06, -128)),
    "high_ends": ((0.05, 127), (0.03, 127), (0.06, 100)),
    "opposite_ends": ((0.05, -128), (0.03, 127), (0.06, 0)),
    "one_dominates": ((2.0, 5), (0.001, -5), (2.0, 9)),
    "tiny": ((1e-12, 3), (2e-12, 4), (3e-12, 5)),
    "coarse_result": ((0.05, -3), (0.03, 7), (0.9, 4)),
    "saturating_result": ((0.05, -3), (0.03, 7), (0.01, 4)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["Add", "Mul"])
@pytest.mark.parametrize("case", PARAMS)
def test_parameters(case: str, op: str, dtype: str, tmp_path: Path) -> None:
    a, b, y = PARAMS[case]
    # A product's scale is of the order of both scales' product.
    scale = y[0] if op == "Add" else y[0] * min(a[0], b[0]) * 40
    net = Net(dtype)
    left, right = net.input((2, 3, 7, 11), *a, name="a"), net.input((2, 3, 7, 11), *b, name="b")
    net.output(net.op(op, left, right, scale=scale, zero_point=y[1]))
    exact(net.model(), tmp_path, samples=24)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_a_tensor_with_itself(op: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((1, 60))
    net.output(net.op(op, x, x, scale=0.11))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_residual_of_convolutions(dtype: str, tmp_path: Path) -> None:
    """Both operands in NHWC: no transpose but the input's and the output's."""
    net = Net(dtype)
    x = net.conv(net.input((1, 3, 5, 4)), (4, 3, 3, 3), pads=[1, 1, 1, 1])
    y = net.conv(x, (4, 4, 1, 1))
    net.output(net.op("Add", x, y, scale=2 * max(x.scale, y.scale)))
    compiled = exact(net.model(), tmp_path)
    assert transposes(compiled) == 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_relu_that_the_zero_point_implies(op: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    a, b = net.input((1, 90), name="a"), net.input((1, 90), 0.03, 9, name="b")
    net.output(net.quantize(net.node("Relu", net.node(op, net.real(a), net.real(b))), 0.06, -128))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_above_the_zero_point_is_the_integer_form(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    a, b = net.input((1, 90), name="a"), net.input((1, 90), 0.03, 9, name="b")
    net.output(net.quantize(net.node("Relu", net.node("Add", net.real(a), net.real(b))), 0.06, -50))
    exact_integer_form(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
def test_qoperator_form(op: str, dtype: str, tmp_path: Path) -> None:
    exact(qoperator(op, [(1, 2, 5, 9), (1, 2, 5, 9)], dtype=dtype, output=(0.09, 4)), tmp_path)
