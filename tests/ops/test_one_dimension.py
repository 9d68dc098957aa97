"""1-D convolution and pooling as 2-D of height 1, dilated max pooling, and softmax over any axis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from checking import CMSIS_NN, assert_exact, exact, needs_cmsis_nn, transposes
from small_models import DTYPES, Net, Tensor

CASES: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "two convolutions": lambda net, x: net.conv(
        net.conv(x, (5, 6, 3), pads=[1, 1]), (4, 5, 3), strides=[2], dilations=[2], then="Relu", zero_point=-128
    ),
    "depthwise": lambda net, x: net.conv(net.conv(x, (6, 1, 5), group=6, auto_pad="SAME_UPPER"), (4, 6, 1)),
    "pool, then a layer": lambda net, x: net.gemm(
        net.copy("Flatten", net.copy("MaxPool", net.conv(x, (5, 6, 3)), kernel_shape=[2], strides=[2])), 7, 45
    ),
    "global average": lambda net, x: net.op("GlobalAveragePool", net.conv(x, (9, 6, 3)), scale=0.1),
    "average": lambda net, x: net.op("AveragePool", net.conv(x, (5, 6, 3)), scale=1.0, kernel_shape=[3], pads=[1, 1]),
    "dimension added": lambda net, x: net.conv(net.copy("Unsqueeze", x, net.shape(1)), (4, 1, 3, 3)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_one_dimension(case: str, dtype: str, tmp_path: Path) -> None:
    """[N,C,L]: no transposes but at the edges."""
    net = Net(dtype)
    net.output(CASES[case](net, net.input((1, 6, 20))))
    compiled = exact(net.model(), tmp_path, samples=4)
    assert transposes(compiled) <= 2


GROUPED = {"two": ((6, 4, 3, 3), 2), "four": ((8, 2, 3, 3), 4), "pointwise": ((4, 2, 1, 1), 4)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", GROUPED)
def test_grouped_convolution(case: str, dtype: str, tmp_path: Path) -> None:
    shape, group = GROUPED[case]
    net = Net(dtype)
    net.output(net.conv(net.input((1, 8, 7, 7)), shape, group=group, strides=[2, 1]))
    exact(net.model(), tmp_path, samples=4)


@needs_cmsis_nn
@pytest.mark.parametrize("case", GROUPED)
def test_grouped_convolution_with_arms_library(case: str, tmp_path: Path) -> None:
    shape, group = GROUPED[case]
    net = Net("int8")
    net.output(net.conv(net.input((1, 8, 7, 7)), shape, group=group, strides=[2, 1]))
    compiled = exact(net.model(), tmp_path, samples=4, library="arm")
    assert_exact(compiled, samples=4, cmsis_nn=CMSIS_NN)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dilated_and_global_max_pool(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((1, 4, 9, 9))
    given = {"kernel_shape": [3, 2], "dilations": [2, 3], "strides": [2, 1], "pads": [1, 1, 2, 1]}
    net.output(net.copy("MaxPool", x, **given), "dilated")
    net.output(net.op("GlobalMaxPool", net.conv(x, (30, 4, 1, 1))), "global")
    exact(net.model(), tmp_path, samples=4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_softmax_axis(axis: int, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.conv(net.input((2, 4, 5, 6)), (4, 4, 1, 1), scale=3.0)
    net.output(net.op("Softmax", x, scale=1 / 256, zero_point=-128, axis=axis))
    exact(net.model(), tmp_path, samples=4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("attributes", [{}, {"axis": 2}, {"axis": -1}])
def test_softmax_before_opset_13_flattens(attributes: dict[str, int], dtype: str, tmp_path: Path) -> None:
    net = Net(dtype, opset=11)
    net.output(net.op("Softmax", net.input((2, 2, 3, 4), 0.02), scale=1 / 256, zero_point=-128, **attributes))
    exact(net.model(), tmp_path, samples=4)
