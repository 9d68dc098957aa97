"""Matrix products of two activations, or of a constant and one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checking import assert_exact, compile_model, exact, kernels
from small_models import DTYPES, Net

from mcugen.prove.samples import random_samples
from mcugen.prove.verify import verify

SHAPES = [
    ((3, 8), (8, 5)),
    ((2, 3, 8), (2, 8, 5)),
    ((1, 2, 3, 8), (1, 2, 8, 3)),
    ((2, 3, 8), (8, 5)),
    ((3, 8), (2, 8, 5)),
    ((2, 1, 3, 8), (1, 4, 8, 5)),
    ((8,), (8, 9)),
    ((9, 8), (8,)),
]


def scale_for(depth: int) -> float:
    return float(0.03 * 0.04 * 70 * 70 * np.sqrt(depth) / 60)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_shapes(a: tuple[int, ...], b: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    left, right = net.input(a, 0.03, -5, "a"), net.input(b, 0.041, 20, "b")
    net.output(net.op("MatMul", left, right, scale=scale_for(a[-1])))
    assert kernels(exact(net.model(), tmp_path, samples=4)) == ["mcugen_matmul_s8"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-6, 1e-2, 3.0])
def test_results_of_any_size(scale: float, dtype: str, tmp_path: Path) -> None:
    """1e-6: beyond what the fast requantization holds."""
    net = Net(dtype)
    left, right = net.input((2, 5, 8), 0.03, 1, "a"), net.input((2, 8, 7), 0.041, -2, "b")
    net.output(net.op("MatMul", left, right, scale=scale))
    compiled = compile_model(net.model(), tmp_path)
    if scale == 1e-2:
        assert_exact(compiled, samples=8)
    else:  # hardly anything but the ends, or nothing but the zero point
        assert verify(compiled, random_samples(compiled, 8, seed=1)).bit_exact


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant_on_the_left_and_in_a_batch(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    left, _ = net.weights((3, 8), 0.02, axis=None)
    right, _ = net.weights((2, 9, 5), 0.02, axis=None)
    x = net.op("MatMul", left, net.input((2, 8, 9), 0.041, 20), scale=0.1, zero_point=-7)
    net.output(net.op("MatMul", x, right, scale=0.3))
    exact(net.model(), tmp_path, samples=4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_attention(dtype: str, tmp_path: Path) -> None:
    """Two heads over six tokens: reshape, transpose, product, softmax, product, reshape, all between layers."""
    net = Net(dtype)
    x = net.copy("Reshape", net.input((1, 6, 16)), net.shape(6, 16))

    def heads(perm: list[int]) -> object:
        layer = net.gemm(x, 16, 16)
        return net.copy("Transpose", net.copy("Reshape", layer, net.shape(1, 6, 2, 8)), perm=perm)

    q, k, v = heads([0, 2, 1, 3]), heads([0, 2, 3, 1]), heads([0, 2, 1, 3])
    scores = net.op("MatMul", q, k, scale=2.0)
    weights = net.op("Softmax", scores, scale=1 / 256, zero_point=-128, axis=-1)
    mixed = net.copy("Transpose", net.op("MatMul", weights, v, scale=0.9), perm=[0, 2, 1, 3])
    net.output(net.gemm(net.copy("Reshape", mixed, net.shape(6, 16)), 16, 16))
    exact(net.model(), tmp_path, samples=8)


@pytest.mark.parametrize(
    ("on", "depth", "columns"),
    [("cortex-m3", 8, 7), ("cortex-m4", 8, 7), ("cortex-m4", 11, 4), ("cortex-m55", 8, 7), ("cortex-m55", 21, 4)],
)
def test_emulated(on: str, depth: int, columns: int, tmp_path: Path) -> None:
    """Rows, depth and columns that a core's tiles do not divide."""
    net = Net("int8")
    left, right = net.input((2, 1, 5, depth), 0.03, 1, "a"), net.input((1, 3, depth, columns), 0.041, -2, "b")
    net.output(net.op("MatMul", left, right, scale=scale_for(depth)))
    assert_exact(compile_model(net.model(), tmp_path, core=on), samples=8, on=on)
