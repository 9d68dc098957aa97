"""Activations of 16 bits. ONNX Runtime runs Conv and Gemm of such models in float32, all else element by element.

So layers are held against the canonical integer graph, in every byte, and against the session within one step of their
output; everything else against the session in every byte.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from checking import assert_exact, compile_model, exact, exact_integer_form, kernels
from onnx import TensorProto, helper
from small_models import Net, Tensor

from mcugen import resources
from mcugen.emit.artefact import Compiled
from mcugen.errors import UserError
from mcugen.prove.board import run_on_board
from mcugen.prove.host import HostModel
from mcugen.prove.samples import random_samples
from mcugen.prove.toolchain import available
from mcugen.prove.verify import verify
from mcugen.target import core

DTYPES = ("uint16", "int16")
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wcast-qual", "-Werror"]


def net(dtype: str = "int16", **options: Any) -> Net:
    return Net(dtype, opset=21, **options)


def layer(model: onnx.ModelProto, folder: Path) -> Compiled:
    """Every step equals the canonical graph; the outputs are within one step of the session's, and most are equal."""
    compiled = exact_integer_form(model, folder)
    result = verify(compiled, random_samples(compiled, 16, seed=1))
    assert result.passed and result.max_lsb <= 1, result
    assert result.mismatches <= result.values // 20
    assert {"integer"} <= {step.exactness for step in compiled.steps}
    return compiled


# name -> (input shape, weight shape, options of Net.conv)
CONVS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "3x3": ((1, 5, 7, 6), (4, 5, 3, 3), {"pads": [1, 1, 1, 1]}),
    "1x1": ((1, 13, 4, 4), (6, 13, 1, 1), {}),
    "strides and uneven pads": ((1, 3, 9, 8), (5, 3, 3, 4), {"pads": [0, 2, 1, 1], "strides": [2, 3]}),
    "dilated": ((1, 3, 9, 9), (4, 3, 3, 3), {"dilations": [2, 3], "pads": [2, 3, 2, 3]}),
    "grouped": ((1, 6, 5, 5), (4, 3, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
    "depthwise": ((1, 6, 6, 5), (6, 1, 3, 3), {"group": 6, "pads": [1, 1, 1, 1]}),
    "depthwise with a multiplier": ((1, 3, 5, 5), (6, 1, 2, 3), {"group": 3, "strides": [2, 1], "dilations": [1, 2]}),
    "depthwise of a long row": ((1, 2, 600), (2, 1, 520), {"group": 2}),
    "grouped in fours and threes": ((2, 6, 4, 4), (14, 3, 3, 2), {"group": 2, "pads": [1, 1, 1, 0], "strides": [2, 1]}),
    "per tensor": ((1, 4, 5, 5), (3, 4, 2, 2), {"axis": None}),
    "no bias": ((1, 4, 5, 5), (3, 4, 2, 2), {"bias": False}),
    "one dimension": ((1, 4, 9), (3, 4, 3), {"pads": [1, 1]}),
    "two images": ((2, 4, 4, 4), (3, 4, 3, 3), {"pads": [1, 1, 1, 1]}),
    "long sums": ((1, 600, 2, 2), (2, 600, 2, 2), {"pads": [1, 0, 0, 0]}),
    "weights with a zero point": ((1, 4, 4, 4), (3, 4, 2, 2), {"axis": None, "w_zero": 1}),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CONVS)
def test_conv(case: str, dtype: str, tmp_path: Path) -> None:
    x_shape, w_shape, options = CONVS[case]
    n = net(dtype)
    n.output(n.conv(n.input(x_shape, zero_point=-1234), w_shape, **options))
    used = kernels(layer(n.model(), tmp_path))
    kernel = "depthwise" if "depthwise" in case else "convolve_wide" if case == "long sums" else "convolve"
    assert f"mcugen_{kernel}_s16" in used


@pytest.mark.parametrize("dtype", DTYPES)
def test_conv_at_the_ends_of_the_range(dtype: str, tmp_path: Path) -> None:
    """Zero points at the ends, as the quantizer writes them behind a Relu; and a clamp."""
    n = net(dtype)
    y = n.conv(n.input((1, 4, 6, 6), zero_point=-32768), (5, 4, 3, 3), pads=[1, 1, 1, 1], zero_point=32767)
    n.output(n.conv(y, (3, 5, 3, 3), pads=[1, 1, 1, 1], zero_point=100, then="Clip", clip=(-9000.0, 12000.0)))
    compiled = exact_integer_form(n.model(), tmp_path)
    assert_near(compiled)


def assert_near(compiled: Compiled) -> None:
    """The tolerance that the integer steps state holds."""
    result = verify(compiled, random_samples(compiled, 16, seed=1))
    assert result.passed, result


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows, depth, outputs", [(1, 21, 10), (3, 1, 5), (2, 1100, 3)])
def test_gemm(rows: int, depth: int, outputs: int, dtype: str, tmp_path: Path) -> None:
    n = net(dtype)
    n.output(n.gemm(n.input((rows, depth), zero_point=500), outputs, depth))
    layer(n.model(), tmp_path)


def test_matmul_with_bias_of_higher_rank(tmp_path: Path) -> None:
    n = net()
    x = n.input((2, 3, 12))
    weights, scales = n.weights((12, 5), axis=1)
    real = n.node("Add", n.node("MatMul", n.real(x), weights), n.bias(np.arange(5, dtype=np.int32), scales * x.scale))
    n.output(n.quantize(real, 0.3, 7))
    layer(n.model(), tmp_path)


MATMULS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "batched": ((2, 3, 5, 7), (3, 7, 6)),
    "vectors": ((9,), (9,)),
    "a matrix and a vector": ((2, 5, 9), (9,)),
    "long sums": ((3, 700), (700, 4)),
}


@pytest.mark.parametrize("zero_point", [-3, -32768])
@pytest.mark.parametrize("case", MATMULS)
def test_matmul_of_two(case: str, zero_point: int, tmp_path: Path) -> None:
    a_shape, b_shape = MATMULS[case]
    n = net("uint16")
    a, b = n.input(a_shape, 0.0003, zero_point), n.input(b_shape, 0.0002, zero_point, name="b")
    centre = 98.0 if zero_point == -32768 else 0.0  # the mean of a product
    scale = 0.0045 * a_shape[-1] ** 0.5 + centre * a_shape[-1] / 32768
    n.output(n.op("MatMul", a, b, scale=scale, zero_point=-32768 if centre else 5))
    compiled = exact_integer_form(n.model(), tmp_path)
    fused(compiled)
    assert "mcugen_matmul_s16" in kernels(compiled)
    result = verify(compiled, random_samples(compiled, 16, seed=1))
    assert result.passed and result.max_lsb <= 1 and result.mismatches <= result.values // 20, result
    assert len(np.unique(result.outputs["y"])) > 8


def test_matmul_of_a_constant(tmp_path: Path) -> None:
    n = net()
    left = n.constant(n.rng.integers(-32768, 32767, (2, 4, 6)).astype(np.int16))
    n.output(n.op("MatMul", Tensor(left, np.float32(0.0002), 77), n.input((6, 3), 0.0003), scale=0.005))
    assert kernels(exact_integer_form(n.model(), tmp_path)) == ["mcugen_matmul_s16"]


def test_depthwise_beyond_int32(tmp_path: Path) -> None:
    n = net("uint16")
    x = n.input((1, 2, 45, 45), zero_point=-32768)
    n.output(n.conv(x, (2, 1, 40, 40), group=2, scale=30.0))
    assert "mcugen_convolve_wide_s16" in kernels(exact_integer_form(n.model(), tmp_path))


@pytest.mark.parametrize("is_float", [False, True])
def test_large_bias(is_float: bool, tmp_path: Path) -> None:
    """A bias is added in real numbers, with a scale of its own; beyond int32 in steps of a tiny scale."""
    n = net()
    scale = 1e-4 if is_float else 1e-6  # ORT makes a float bias an int32 at scale sx * sw
    x = n.input((1, 16), scale=scale)
    weights, _ = n.weights((4, 16), 1e-3)
    data = np.array([30000, -29999, 7, 0], np.int32)
    bias = n.constant(data.astype(np.float32) * np.float32(1e-3)) if is_float else n.bias(data, np.full(4, 1e-3))
    n.output(n.quantize(n.node("Gemm", n.real(x), weights, bias, transB=1), 0.001, 0))
    layer(n.model(), tmp_path)


def test_ties_go_to_even(tmp_path: Path) -> None:
    """Scales that are powers of two: one sum in 128 is a tie, and float32 is as exact as the integers."""
    n = net()
    x = n.input((1, 8), scale=2.0**-8, zero_point=0)
    weights, _ = n.weights((500, 8), np.float32([2.0**-7]), axis=None)
    n.output(n.quantize(n.node("Gemm", n.real(x), weights, transB=1), 2.0**-8, 1))
    compiled = exact_integer_form(n.model(), tmp_path)
    samples = random_samples(compiled, 16, seed=1)
    (matrix,) = [t.data for step in compiled.steps for t in step.tables() if t.role == "weights"]
    sums = samples.firmware["x"].astype(np.int64).reshape(16, 8) @ matrix.reshape(500, 8).T.astype(np.int64)
    ties = np.unique(sums[sums % 128 == 64] // 128 % 2, return_counts=True)
    assert len(ties[0]) == 2 and ties[1].min() > 10
    assert verify(compiled, samples).bit_exact


def test_weights_are_permuted_behind_a_flatten(tmp_path: Path) -> None:
    n = net()
    y = n.conv(n.input((1, 3, 5, 4)), (6, 3, 3, 3), pads=[1, 1, 1, 1])
    n.output(n.gemm(n.copy("Flatten", y, axis=1), 7, 120))
    compiled = exact_integer_form(n.model(), tmp_path)
    assert_near(compiled)
    assert sum("take" in kernel or "transpose" in kernel for kernel in kernels(compiled)) == 1  # of the input


# Everything but layers: equal to the session in every byte

ELEMENTWISE: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "sigmoid": lambda n, x: n.op("Sigmoid", x, scale=1 / 65536, zero_point=-32768),
    "tanh": lambda n, x: n.op("Tanh", x, scale=1 / 32768, zero_point=0),
    "leaky relu": lambda n, x: n.op("LeakyRelu", x, scale=0.0003, alpha=0.07),
    "hard swish": lambda n, x: n.op("HardSwish", x, scale=0.00021, zero_point=-30000),
    "relu": lambda n, x: n.op("Relu", x, scale=0.00015, zero_point=-32768),
    "clip": lambda n, x: n.op("Clip", x, n.constant(np.float32(0)), n.constant(np.float32(6)), scale=0.0002),
    "chain": lambda n, x: n.quantize(n.node("Exp", n.node("Neg", n.real(x))), 0.001, -32000),
    "swish of two": lambda n, x: n.quantize(n.node("Mul", r := n.real(x), n.node("Sigmoid", r)), 0.0002, -32000),
    "add": lambda n, x: n.op("Add", x, n.op("Neg", x, scale=0.0001), scale=0.0003),
    "add of an image and channels": lambda n, x: n.op("Add", x, n.op("ReduceMean", x, n.axes(2, 3), keepdims=1)),
    "sub": lambda n, x: n.op("Sub", x, n.op("Abs", x, scale=0.0002), scale=0.0004),
    "mul": lambda n, x: n.op("Mul", x, n.op("Tanh", x, scale=0.00003), scale=0.0002),
    "div": lambda n, x: n.op("Div", x, n.op("Exp", x, scale=0.05), scale=0.001),
    "max": lambda n, x: n.op("Max", x, n.op("Neg", x, scale=0.0003), scale=0.0002),
    "add then relu": lambda n, x: n.quantize(
        n.node("Relu", n.node("Add", n.real(x), n.real(n.op("Neg", x, scale=0.0001)))), 0.0002, -32768
    ),
    "max pool": lambda n, x: n.copy("MaxPool", x, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 0, 1]),
    "dilated max pool": lambda n, x: n.copy("MaxPool", x, kernel_shape=[2, 2], dilations=[2, 3]),
    "average pool": lambda n, x: n.op("AveragePool", x, scale=0.0002, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "global average pool": lambda n, x: n.op("GlobalAveragePool", x, scale=0.0001),
    "concat": lambda n, x: n.copy("Concat", x, n.real(x), axis=1),
    "transpose": lambda n, x: n.copy("Transpose", x, perm=[0, 2, 1, 3]),
    "slice": lambda n, x: n.copy("Slice", x, n.shape(1, 1), n.shape(3, 6), n.shape(1, 2)),
    "pad": lambda n, x: n.copy("Pad", x, n.shape(0, 1, 0, 2, 0, 0, 1, 1), n.constant(np.float32(1.5))),
    "upsample": lambda n, x: n.copy("Resize", x, "", n.constant(np.float32([1, 1, 2, 2])), mode="nearest"),
    "softmax": lambda n, x: n.op("Softmax", n.copy("Flatten", x, axis=2), scale=1 / 65536, zero_point=-32768, axis=-1),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ELEMENTWISE)
def test_equal_to_the_session(case: str, dtype: str, tmp_path: Path) -> None:
    n = net(dtype)
    n.output(ELEMENTWISE[case](n, n.input((1, 3, 6, 5), scale=0.00025)))
    compiled = exact(n.model(), tmp_path, samples=8)
    assert any("s16" in kernel for kernel in kernels(compiled)) or case in ("concat", "transpose", "slice", "upsample")


# Binary operators, reductions, softmax and averages: without tensors of float32.

ARITHMETIC: dict[str, Callable[[Net, Tensor, Tensor], Tensor]] = {
    "add": lambda n, a, b: n.op("Add", a, b, scale=0.0004, zero_point=900),
    "sub": lambda n, a, b: n.op("Sub", a, b, scale=0.0003),
    "mul": lambda n, a, b: n.op("Mul", a, b, scale=0.002, zero_point=-20000),
    "add whose values are ties": lambda n, a, b: n.op("Add", a, b, scale=0.0005),
    "mul that saturates": lambda n, a, b: n.op("Mul", a, b, scale=0.00002),
    "mul of a tiny result": lambda n, a, b: n.op("Mul", a, b, scale=60.0),
    "add of a tiny result": lambda n, a, b: n.op("Add", a, b, scale=9.0),
    "add beyond the integers": lambda n, a, b: n.op("Add", a, b, scale=1e-13),
    "mul beyond the integers": lambda n, a, b: n.op("Mul", a, b, scale=1e-12),
    "clamped add": lambda n, a, b: n.quantize(
        n.node("Clip", n.node("Add", n.real(a), n.real(b)), n.constant(np.float32(-3)), n.constant(np.float32(6))),
        0.0003,
    ),
    "div": lambda n, a, b: n.op("Div", a, b, scale=0.001, zero_point=-99),
    "clamped div": lambda n, a, b: n.quantize(n.node("Relu", n.node("Div", n.real(a), n.real(b))), 0.0004, -32768),
    "max": lambda n, a, b: n.op("Max", a, b, scale=0.00021, zero_point=-9000),
    "min whose values are ties": lambda n, a, b: n.op("Min", a, b, scale=0.0005),
    "min beyond the integers": lambda n, a, b: n.op("Min", a, b, scale=1e-13),
    "clamped max": lambda n, a, b: n.quantize(
        n.node("Clip", n.node("Max", n.real(a), n.real(b)), n.constant(np.float32(-1)), n.constant(np.float32(2))),
        0.0003,
    ),
    "clamped mul": lambda n, a, b: n.quantize(n.node("Relu", n.node("Mul", n.real(a), n.real(b))), 0.001, 300),
}


def fused(compiled: Compiled) -> None:
    """All steps are on integers, and each equals ONNX Runtime's bytes."""
    assert not any("f32" in kernel for kernel in kernels(compiled)), kernels(compiled)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ARITHMETIC)
def test_arithmetic(case: str, dtype: str, tmp_path: Path) -> None:
    n = net(dtype)
    a, b = n.input((1, 9000), scale=0.00025, zero_point=-777), n.input((1, 9000), 0.00025, 12345, name="b")
    n.output(ARITHMETIC[case](n, a, b))
    compiled = exact(n.model(), tmp_path, samples=4) if "beyond" not in case else compile_model(n.model(), tmp_path)
    fused(compiled)
    (step,) = compiled.steps
    assert step.exactness == "replicated"
    assert verify(compiled, random_samples(compiled, 4, seed=2)).bit_exact


def test_choice_of_equal_scales(tmp_path: Path) -> None:
    """No arithmetic at all."""
    n = net("uint16")
    a, b = (n.input((1, 500), 0.0002, 77, name=name) for name in "ab")
    c = n.quantize(n.node("Relu", n.node("Max", n.real(a), n.real(b))), 0.0002, 77)
    n.output(n.op("Min", c, n.input((500,), 0.0002, 77, name="c"), scale=0.0002, zero_point=77))
    compiled = exact(n.model(), tmp_path)
    assert [step.exactness for step in compiled.steps] == ["copy", "copy"]


def test_largest_of_three(tmp_path: Path) -> None:
    n = net()
    inputs = [n.input((2, 40), scale, name=name) for name, scale in zip("abc", (0.0002, 0.0003, 0.00025), strict=True)]
    n.output(n.op("Max", *inputs, scale=0.0003))
    fused(exact(n.model(), tmp_path))


def test_where(tmp_path: Path) -> None:
    n = net("uint16")
    x = n.input((1, 3, 4, 5), scale=0.0003)
    real, other = n.real(x), n.real(n.input((1, 3, 1, 5), 0.0003, name="b"))
    n.output(n.quantize(n.node("Where", n.node("Greater", real, n.constant(np.float32(0.5))), other, real), 0.0003, -3))
    assert "mcugen_where_s16" in kernels(exact(n.model(), tmp_path))


# shape, axes: ONNX Runtime adds up in another order for each (see reduce.sum_order)
REDUCTIONS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((4, 37), (1,)),
    ((3, 2000), (1,)),
    ((30, 7), (0,)),
    ((3, 31, 5), (1,)),
    ((6, 4, 11), (0, 2)),
    ((1, 6, 7, 9), (2, 3)),
    ((2, 5, 3, 4), (1, 3)),
    ((250,), (0,)),
]


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum"])
@pytest.mark.parametrize("shape, axes", REDUCTIONS)
def test_sums(shape: tuple[int, ...], axes: tuple[int, ...], op: str, tmp_path: Path) -> None:
    n = net("uint16" if len(shape) % 2 else "int16")
    count = float(np.prod([shape[axis] for axis in axes]))
    scale = 0.0003 * (count**0.5 if op == "ReduceSum" else count**-0.5)
    n.output(n.op(op, n.input(shape, 0.0003, 11), n.axes(*axes), keepdims=0, scale=scale, zero_point=-8))
    compiled = exact(n.model(), tmp_path)
    fused(compiled)
    assert "mcugen_reduce_sum_s16" in kernels(compiled)


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
@pytest.mark.parametrize("scale", [0.0003, 0.0004])
def test_extremes(scale: float, op: str, tmp_path: Path) -> None:
    n = net("uint16" if op == "ReduceMax" else "int16")
    n.output(n.op(op, n.input((3, 4, 5), 0.0003, 11), n.axes(1), keepdims=0, scale=scale, zero_point=11))
    compiled = exact(n.model(), tmp_path)
    assert kernels(compiled) == ["mcugen_lut_s16"] * (scale != 0.0003) + [f"mcugen_reduce_{op[-3:].lower()}_s16"]


def test_clamped_mean(tmp_path: Path) -> None:
    n = net()
    mean = n.node("ReduceMean", n.real(n.input((30, 12), scale=0.0003)), n.axes(1), keepdims=1)
    n.output(n.quantize(n.node("Relu", mean), 0.0001, 55))
    fused(exact(n.model(), tmp_path))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, axis", [((5, 10), -1), ((3, 100), 1), ((1, 12, 3, 4), 1), ((2, 1), 1)])
def test_softmax(shape: tuple[int, ...], axis: int, dtype: str, tmp_path: Path) -> None:
    n = net(dtype)
    n.output(n.op("Softmax", n.input(shape, 0.0002, 999), scale=1 / 65536, zero_point=-32768, axis=axis))
    if shape[axis] > 1:
        fused(exact(n.model(), tmp_path))
    else:  # all outputs are 1, which saturates
        compiled = compile_model(n.model(), tmp_path)
        fused(compiled)
        assert verify(compiled, random_samples(compiled, 4, seed=1)).bit_exact


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max"])
@pytest.mark.parametrize(
    "a_shape, b_shape",
    [((2, 3, 4, 5), (3, 1, 1)), ((3, 1, 1), (2, 3, 4, 5)), ((2, 3, 1, 5), (2, 1, 4, 1)), ((1, 3, 4, 5), (1, 1, 1, 1))],
)
def test_broadcast_arithmetic(a_shape: tuple[int, ...], b_shape: tuple[int, ...], op: str, tmp_path: Path) -> None:
    n = net("uint16")
    a, b = n.input(a_shape, scale=0.0002), n.input(b_shape, 0.0003, 9, name="b")
    n.output(n.op(op, a, b, scale=0.0007))
    fused(exact(n.model(), tmp_path))


def test_arithmetic_with_constants(tmp_path: Path) -> None:
    n = net()
    other = n.constant(n.rng.integers(-32768, 32767, (6, 1, 5)).astype(np.int16))
    y = n.op("Mul", n.input((1, 6, 4, 5), scale=0.0002), Tensor(other, np.float32(0.0001), 55), scale=0.0005)
    n.output(n.op("Add", y, Tensor(other, np.float32(0.0003), 0), scale=0.001))
    fused(exact(n.model(), tmp_path))


def test_operand_with_a_scale_for_each_channel(tmp_path: Path) -> None:
    """In float32, where such a constant is dequantized when compiled."""
    n = net()
    scales = n.constant(np.float32([0.1, 0.2, 0.3]))
    data = n.constant(np.array([7, -8, 9], np.int16))
    other = n.node("DequantizeLinear", data, scales, n.constant(np.zeros(3, np.int16)), axis=0)
    n.output(n.quantize(n.node("Mul", n.real(n.input((2, 3), scale=0.01)), other), 0.01))
    assert "mcugen_f32_mul" in kernels(exact(n.model(), tmp_path))


POOLS: dict[str, tuple[tuple[int, ...], str, dict[str, Any]]] = {
    "windows": ((2, 3, 9, 8), "AveragePool", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 2, 1]}),
    "pads that count": (
        (1, 3, 9, 8),
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1, "strides": [2, 2], "ceil_mode": 1},
    ),
    "ceil_mode": ((1, 3, 8, 9), "AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    "one dimension": ((1, 5, 30), "AveragePool", {"kernel_shape": [4], "strides": [3]}),
    "the whole input": ((1, 4, 6, 7), "AveragePool", {"kernel_shape": [6, 7]}),
    "global": ((2, 5, 7, 9), "GlobalAveragePool", {}),
    "global of 16 channels": ((1, 16, 25, 5), "GlobalAveragePool", {}),
    "global of 3 pixels": ((1, 64, 1, 3), "GlobalAveragePool", {}),
    "global of one dimension": ((1, 8, 33), "GlobalAveragePool", {}),
}


@pytest.mark.parametrize("zero_point", [-32768, 321])
@pytest.mark.parametrize("case", POOLS)
def test_averages(case: str, zero_point: int, tmp_path: Path) -> None:
    shape, op, attributes = POOLS[case]
    n = net("uint16")
    n.output(n.op(op, n.input(shape, 0.0002, zero_point), scale=0.00017, zero_point=zero_point, **attributes))
    compiled = exact(n.model(), tmp_path)
    fused(compiled)
    assert "mcugen_average_pool_s16" in kernels(compiled)


@pytest.mark.parametrize("opset", [18, 21])
def test_averages_at_ties_in_the_order_of_the_opset(opset: int, tmp_path: Path) -> None:
    """A quarter of the means lies on a tie, where the rounding of each sum decides."""
    n = Net("int16", opset=opset)
    x = n.input((1, 3, 24, 24), 0.00017, 0)
    n.output(n.op("AveragePool", x, scale=0.00017, zero_point=0, kernel_shape=[4, 4]), "columns")
    n.output(n.op("AveragePool", x, scale=0.00017, zero_point=0, kernel_shape=[24, 24]), "whole")
    model = n.model()
    for node in model.graph.node:
        if opset < 21 and node.op_type != "AveragePool":
            node.domain = "com.microsoft"  # where older models have 16 bits
    fused(exact(model, tmp_path))


def test_averages_behind_a_layer(tmp_path: Path) -> None:
    """ONNX Runtime's layout of the convolution does not reach the pool."""
    n = net()
    y = n.conv(n.input((1, 3, 8, 8)), (16, 3, 3, 3), pads=[1, 1, 1, 1])
    n.output(n.op("GlobalAveragePool", y, scale=float(y.scale) / 4))
    compiled = exact_integer_form(n.model(), tmp_path)
    fused(compiled)
    assert_near(compiled)


def test_dilated_average_is_refused(tmp_path: Path) -> None:
    n = net()
    n.output(n.op("AveragePool", n.input((1, 2, 9, 9)), scale=0.01, kernel_shape=[2, 2], dilations=[2, 2]))
    with pytest.raises(UserError, match="dilations is not supported"):
        compile_model(n.model(), tmp_path)


def test_large_average_is_refused(tmp_path: Path) -> None:
    n = net()
    n.output(n.op("GlobalAveragePool", n.input((1, 1, 256, 256)), scale=0.01))
    with pytest.raises(UserError, match=r"65,535 values.*Pool in two steps"):
        compile_model(n.model(), tmp_path)


def test_every_value_of_a_function(tmp_path: Path) -> None:
    """All 65,536 inputs of a table, through the C."""
    n = net()
    n.output(n.op("Sigmoid", n.input((1, 65536), scale=0.0003, zero_point=0), scale=1 / 65536, zero_point=-32768))
    compiled = compile_model(n.model(), tmp_path)
    assert kernels(compiled) == ["mcugen_lut_s16"]
    codes = np.arange(-32768, 32768).astype(np.int16).reshape(1, 65536)
    (table,) = [v.data for v in compiled.graph.values.values() if v.data is not None and v.data.dtype == np.int16]
    assert np.array_equal(HostModel(compiled).run({"x": codes})["y"][0], table)


# Both widths in one model


def mixed(first: str, second: str) -> Net:
    """A convolution in 8 bits, a requantization, a convolution in 16 bits, back to 8."""
    n = Net(first, opset=21)
    y = n.conv(n.input((1, 3, 6, 6)), (5, 3, 3, 3), pads=[1, 1, 1, 1])
    n.turn(second)
    wide = n.quantize(n.real(y), float(y.scale) / 200, 100)
    z = n.conv(wide, (4, 5, 3, 3), then="Relu", zero_point=-32768)
    n.turn(first)
    n.output(n.quantize(n.real(z), float(z.scale) * 256, -100))
    return n


@pytest.mark.parametrize("first", ["uint8", "int8"])
@pytest.mark.parametrize("second", DTYPES)
def test_mixed_precision(first: str, second: str, tmp_path: Path) -> None:
    compiled = exact_integer_form(mixed(first, second).model(), tmp_path)
    assert_near(compiled)
    assert {"mcugen_lut_s8_s16", "mcugen_lut_s16_s8", "mcugen_convolve_s16"} <= set(kernels(compiled))


# On the boards


@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_on_a_board(name: str, tmp_path: Path) -> None:
    """The C on an emulated core gives the bytes it gives on the host."""
    if available(core(name)):
        pytest.skip(available(core(name)))
    n = net("uint16")
    x = n.input((1, 5, 6, 6), zero_point=-2000)
    y = n.conv(x, (6, 5, 3, 3), pads=[1, 1, 1, 1], then="Relu", zero_point=-32768)
    z = n.conv(y, (11, 6, 3, 3), pads=[1, 1, 1, 1], strides=[1, 1], zero_point=-700)
    z = n.conv(z, (11, 1, 3, 3), group=11, pads=[1, 1, 1, 1])
    y = n.conv(z, (6, 11, 1, 1))
    z = n.conv(y, (6, 1, 3, 3), group=6, pads=[1, 1, 1, 1])
    y = n.conv(z, (6, 6, 20, 20), pads=[9, 10, 10, 9], zero_point=-32768)
    z = n.op("Add", y, z, scale=float(y.scale) + float(z.scale))
    z = n.op("Mul", z, n.op("GlobalAveragePool", z, scale=0.0001), scale=0.001)
    z = n.op("AveragePool", z, scale=0.001, kernel_shape=[2, 2], pads=[0, 0, 1, 1])
    z = n.layer("ConvTranspose", z, (6, 4, 2, 3), depth=6, outputs=4, axis=1, strides=[2, 1], pads=[0, 1, 0, 1])
    z = n.op("MatMul", z, n.copy("Transpose", z, perm=[0, 1, 3, 2]), scale=float(z.scale) ** 2 * 60000)
    z = n.copy("MaxPool", n.op("Tanh", z, scale=1 / 32768, zero_point=0), kernel_shape=[2, 2])
    z = n.op("Div", z, n.op("ReduceSum", z, n.axes(2, 3), keepdims=1, scale=0.0005, zero_point=-20000), scale=0.001)
    z = n.op("Min", z, n.op("Softmax", z, scale=1 / 65536, zero_point=-32768, axis=-1), scale=0.0003)
    n.output(n.gemm(n.copy("Flatten", z, axis=1), 7, 484))
    compiled = compile_model(n.model(), tmp_path, core=name)
    fused(compiled)
    samples = random_samples(compiled, 4, seed=1)
    board, host = run_on_board(compiled, samples.firmware).outputs, HostModel(compiled).run_all(samples.firmware)
    assert np.array_equal(board["y"], host["y"]) and len(np.unique(host["y"])) > 8


@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_kernels_compile_without_warnings(name: str, tmp_path: Path) -> None:
    if available(core(name)):
        pytest.skip(available(core(name)))
    folder = resources.templates() / "kernels"
    files = sorted([*folder.glob("*s16*.c"), *folder.glob("*_s4.c")])
    assert len(files) > 12
    includes = [f"-I{path}" for path in (folder, resources.cmsis() / "Include", resources.cmsis() / "exact")]
    command = ["arm-none-eabi-gcc", *core(name).flags, *WARNINGS, "-O2", "-ffp-contract=off", "-c", *includes]
    done = subprocess.run([*command, *map(str, files)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]


def test_io_float(tmp_path: Path) -> None:
    n = net()
    n.output(n.op("Tanh", n.input((1, 40)), scale=1 / 32768, zero_point=0))
    assert_exact(compile_model(n.model(), tmp_path, io="float"))


def test_contributed_quantization_operators(tmp_path: Path) -> None:
    """com.microsoft.QuantizeLinear: 16 bits before opset 21."""
    n = Net("int16", opset=13)
    y = n.op("ReduceMean", n.op("Tanh", n.input((1, 4, 9)), scale=0.0001), axes=[2])
    halves = [n.node("Split", n.real(y), axis=1)]
    n.nodes[-1].output.append("second")
    n.output(n.quantize(n.node("Sub", halves[0], "second"), 0.0001, 12))
    for node in n.nodes:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.domain = "com.microsoft"
    model = n.model()
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 1]))
    exact(model, tmp_path)


def test_sums_beyond_the_multiplier(tmp_path: Path) -> None:
    n = net()
    x = n.input((1, 4), scale=1e-12)
    weights, _ = n.weights((2, 4), 1e-4)
    n.output(n.quantize(n.node("Gemm", n.real(x), weights, n.constant(np.float32([1, 2])), transB=1, name="fc"), 0.1))
    with pytest.raises(UserError, match=r"2\^37"):
        compile_model(n.model(), tmp_path)
