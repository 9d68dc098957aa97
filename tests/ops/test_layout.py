"""Operators that move bytes: Concat, Pad, Transpose and the views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checking import compile_model, exact, kernels, transposes
from small_models import DTYPES, Net, qoperator


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_concat_of_equal_parameters(axis: int, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    a, b = net.input((2, 3, 4, 5), name="a"), net.input((2, 3, 4, 5), name="b")
    net.output(net.op("Concat", a, b, scale=a.scale, zero_point=-3, axis=axis))
    assert set(kernels(exact(net.model(), tmp_path))) == {"mcugen_copy_s8"}


@pytest.mark.parametrize("dtype", DTYPES)
def test_concat_of_other_parameters(dtype: str, tmp_path: Path) -> None:
    """An operand with another scale passes a table first."""
    net = Net(dtype)
    a, b = net.input((1, 3, 4), name="a"), net.input((1, 2, 4), 0.031, 9, name="b")
    c = net.input((1, 5, 4), 0.2, 0, name="c")
    net.output(net.op("Concat", a, b, c, scale=0.05, zero_point=-3, axis=1))
    assert kernels(exact(net.model(), tmp_path)).count("mcugen_lut_s8") == 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [1, 2])
def test_concat_between_convolutions(axis: int, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((1, 3, 6, 6))
    a = net.conv(x, (4, 3, 3, 3), scale=0.2, zero_point=5)
    b = net.conv(x, (4, 3, 3, 3), scale=0.2, zero_point=5)
    y = net.op("Concat", a, b, scale=0.2, zero_point=5, axis=axis)
    net.output(net.conv(y, (3, 8 if axis == 1 else 4, 1, 1)))
    assert transposes(exact(net.model(), tmp_path)) == 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scales", [(0.05, 0.05), (0.05, 0.02)])
def test_qlinear_concat(scales: tuple[float, float], dtype: str, tmp_path: Path) -> None:
    model = qoperator(
        "QLinearConcat",
        [(1, 3, 4), (1, 2, 4)],
        dtype=dtype,
        scales=scales,
        output=(0.05, -3),
        output_first=True,
        axis=1,
    )
    exact(model, tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape, pads",
    [((1, 3, 4, 5), [0, 0, 1, 2, 0, 0, 3, 0]), ((1, 3, 4, 5), [0, 1, 0, 0, 0, 2, 0, 0]), ((3, 5), [1, 0, 0, 2])],
    ids=["spatial", "channels", "matrix"],
)
@pytest.mark.parametrize("value", [None, 0.5])
def test_pad(shape: tuple[int, ...], pads: list[int], value: float | None, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    operands = [net.constant(np.array(pads, np.int64))]
    if value is not None:
        operands.append(net.constant(np.float32(value)))
    net.output(net.copy("Pad", net.input(shape), *operands))
    assert "arm_pad_s8" in kernels(exact(net.model(), tmp_path))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0.05, 0.013])
def test_pad_with_a_quantized_value(scale: float, dtype: str, tmp_path: Path) -> None:
    """As ONNX Runtime's quantizer leaves it: it comes from a DequantizeLinear, at the input's scale or at its own."""
    net = Net(dtype)
    q = net.constant(np.array(40 + net.origin, net.dtype)), net.constant(np.float32(scale))
    value = net.node("DequantizeLinear", *q, net.constant(np.array(3 + net.origin, net.dtype)))
    pads = net.constant(np.array([0, 0, 1, 2, 0, 0, 3, 0], np.int64))
    net.output(net.copy("Pad", net.input((1, 3, 4, 5), 0.05, 3), pads, value))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "pads", "axes"),
    [
        ((1, 2, 3, 2, 4), [0, 0, 1, 0, 2, 0, 0, 0, 0, 1], None),
        ((2, 1, 2, 3, 2, 3), [1, 0, 1, 0, 1, 0, 0, 0, 2, 0, 0, 1], None),
        ((2, 2, 2, 2, 2, 2), [1] * 12, None),
        ((1, 3, 5, 6), [0, 0, -1, 2, 0, 0, 1, -2], None),
        ((1, 3, 5, 6), [0, -1, -1, 0, 0, 0, 0, -2], None),
        ((1, 3, 5, 6), [1, -2, 2, 0], [-1, 1]),
        ((1, 3, 5, 6), [1, 2], [2]),
    ],
    ids=str,
)
def test_pad_in_other_forms(
    shape: tuple[int, ...], pads: list[int], axes: list[int] | None, dtype: str, tmp_path: Path
) -> None:
    """More than 4 dimensions, crops, and axes: Pads of 4 dimensions, slices and views."""
    net = Net(dtype, opset=21)
    operands = [net.constant(np.array(pads, np.int64)), net.constant(np.float32(0.7))]
    operands += [net.constant(np.array(axes, np.int64))] if axes is not None else []
    net.output(net.copy("Pad", net.input(shape), *operands))
    exact(net.model(), tmp_path)


def _padded_conv(dtype: str, value: float, **options: Any) -> Net:
    net = Net(dtype)
    pads = net.constant(np.array([0, 0, 1, 0, 0, 0, 2, 1], np.int64))
    x = net.conv(net.input((1, 2, 6, 5)), (3, 2, 1, 1))
    net.output(net.conv(net.copy("Pad", x, pads, net.constant(np.float32(value))), (4, 3, 3, 3), **options))
    return net


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "options", [{}, {"pads": [1, 1, 0, 0]}, {"strides": [2, 2]}], ids=["alone", "added", "strided"]
)
def test_pad_is_folded_into_the_convolution(options: dict[str, Any], dtype: str, tmp_path: Path) -> None:
    compiled = exact(_padded_conv(dtype, 0.0, **options).model(), tmp_path)
    assert "arm_pad_s8" not in kernels(compiled)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pad_with_another_value_stays(dtype: str, tmp_path: Path) -> None:
    compiled = exact(_padded_conv(dtype, 1.0).model(), tmp_path)
    assert "arm_pad_s8" in kernels(compiled)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape, perm",
    [((2, 3, 4), (2, 1, 0)), ((2, 3, 4, 5), (3, 1, 0, 2)), ((1, 3, 1, 4, 2), (0, 4, 2, 3, 1))],
)
def test_transpose(shape: tuple[int, ...], perm: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    net.output(net.copy("Transpose", net.input(shape), perm=perm))
    assert kernels(exact(net.model(), tmp_path)) == ["arm_transpose_s8"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape, perm",
    [((3, 5), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((1, 3, 6, 7), (0, 2, 3, 1)), ((1, 6, 7, 9), (0, 3, 1, 2))],
)
def test_transpose_of_a_matrix(shape: tuple[int, ...], perm: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    """All that two groups of axes change places in is one; CMSIS-NN's call only where its kernels are wanted."""
    net = Net(dtype)
    net.output(net.copy("Transpose", net.input(shape), perm=perm))
    assert kernels(exact(net.model(), tmp_path)) == ["mcugen_interleave_s8"]
    assert kernels(compile_model(net.model(), tmp_path, kernels="api")) == ["arm_transpose_s8"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_nhwc_models_need_no_transpose(dtype: str, tmp_path: Path) -> None:
    """A model that transposes its NHWC input to NCHW, as converters from TFLite write it."""
    net = Net(dtype)
    x = net.copy("Transpose", net.input((1, 6, 5, 3)), perm=(0, 3, 1, 2))
    y = net.conv(x, (4, 3, 3, 3))
    net.output(net.copy("Transpose", y, perm=(0, 2, 3, 1)))
    assert not transposes(exact(net.model(), tmp_path))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"])
def test_views_cost_nothing(op: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.op("Neg", net.input((1, 6, 5)))
    operands = {"Reshape": (3, -1), "Squeeze": (0,), "Unsqueeze": (1,)}.get(op)
    x = net.copy(op, x, *([net.shape(*operands)] if operands else []))
    net.output(net.op("Abs", x, scale=0.05, zero_point=-100))
    tables = 1 if op == "Identity" else 2  # which is element-wise too, so that the tables meet
    assert kernels(exact(net.model(), tmp_path)) == ["mcugen_lut_s8"] * tables


@pytest.mark.parametrize("dtype", DTYPES)
def test_reshape_that_splits_channels(dtype: str, tmp_path: Path) -> None:
    """A reshape of a pending NHWC value that no layer can absorb: the transpose runs."""
    net = Net(dtype)
    y = net.conv(net.input((1, 3, 4, 4)), (6, 3, 1, 1))
    net.output(net.copy("Reshape", y, net.shape(2, 48)))
    exact(net.model(), tmp_path)
