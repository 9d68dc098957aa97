"""Windows over three spatial axes that are windows over two, or one behind the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from checking import compile_model, exact, kernels
from float_layers import layer, near, pair, rand, together
from small_models import DTYPES, Net, Tensor

from mcugen import UserError

FLAT = (1, 4, 1, 6, 7)


def conv(shape: tuple[int, ...], weights: tuple[int, ...]) -> Callable[[Net], Tensor]:
    return lambda net: net.op("Relu", net.conv(net.input(shape), weights, group=shape[1] // weights[1]))


CASES: dict[str, Callable[[Net], Tensor]] = {
    "max": lambda net: net.copy(
        "MaxPool",
        net.input((1, 4, 5, 6, 7)),
        kernel_shape=[2, 3, 3],
        strides=[2, 1, 2],
        pads=[1, 1, 0, 0, 1, 1],
        ceil_mode=1,
    ),
    "max, same": lambda net: net.copy(
        "MaxPool", net.input((1, 4, 5, 6, 7)), kernel_shape=[2, 3, 3], auto_pad="SAME_UPPER"
    ),
    "global max": lambda net: net.copy("GlobalMaxPool", net.input((1, 40, 3, 4, 5))),
    "global average": lambda net: net.op("GlobalAveragePool", net.input((1, 40, 3, 4, 5))),
    "average": lambda net: net.op("AveragePool", net.input(FLAT), kernel_shape=[1, 3, 3], pads=[0, 1, 1, 0, 1, 1]),
    "conv, no depth": conv(FLAT, (5, 4, 1, 3, 3)),
    "conv, no height": conv((1, 4, 6, 1, 7), (5, 4, 3, 1, 3)),
    "conv, no width, depthwise": conv((1, 4, 6, 7, 1), (4, 1, 3, 3, 1)),
    "transposed": lambda net: net.layer(
        "ConvTranspose", net.input(FLAT), (4, 5, 1, 2, 2), depth=4, outputs=5, axis=1, strides=[1, 2, 2]
    ),
}


@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("dtype", DTYPES)
def test_equal(dtype: str, part: int, tmp_path: Path) -> None:
    models = {}
    for name in list(CASES)[part::3]:
        net = Net(dtype)
        net.output(CASES[name](net))
        models[name] = net.model()
    exact(together(models), tmp_path, samples=4)


def test_float_layers(tmp_path: Path) -> None:
    exact(layer("MaxPool", [1, 2, 5, 6, 7], kernel_shape=[2, 2, 2], dilations=[2, 2, 2]), tmp_path, samples=4)
    convolution = layer("Conv", [1, 2, 1, 6, 7], rand(3, 2, 1, 3, 3), rand(3), pads=[0, 1, 1, 0, 1, 1])
    compiled = compile_model(convolution, tmp_path)
    near(compiled)
    assert "mcugen_f32_convolve" in kernels(compiled)


VOLUME = rand(3, 2, 2, 3, 3)
REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "conv": (layer("Conv", [1, 2, 4, 6, 7], VOLUME), "only 1-D and 2-D convolution"),
    "conv, padded depth": (layer("Conv", [1, 2, 1, 6, 7], VOLUME, pads=[1, 0, 0, 0, 0, 0]), "only 1-D and 2-D conv"),
    "average": (layer("AveragePool", [1, 2, 4, 6, 7], kernel_shape=[2, 2, 2]), "only 1-D and 2-D pooling"),
    "weights computed at run time": (pair("Conv", [1, 2, 1, 6, 7], [3, 2, 1, 3, 3]), "must be a constant"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str, tmp_path: Path) -> None:
    model, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        compile_model(model, tmp_path)
