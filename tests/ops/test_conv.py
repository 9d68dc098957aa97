"""Convolutions, each against the pinned session and step by step against the canonical graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checking import exact, exact_integer_form, kernels
from small_models import DTYPES, Net, qlinear_weights

# name -> (input shape, weights O,I/group,KH,KW, options of Net.conv)
GEOMETRY: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "pointwise": ((1, 4, 9, 7), (6, 4, 1, 1), {}),
    "pointwise_stride2": ((1, 4, 9, 7), (6, 4, 1, 1), {"strides": [2, 2]}),
    "pointwise_padded": ((1, 4, 5, 5), (6, 4, 1, 1), {"pads": [1, 1, 1, 1]}),
    "one_channel": ((1, 1, 9, 7), (3, 1, 3, 3), {}),
    "one_pixel": ((1, 5, 1, 1), (3, 5, 1, 1), {}),
    "odd_channels": ((1, 17, 5, 4), (19, 17, 3, 3), {"pads": [1, 1, 1, 1]}),
    "3x3": ((1, 4, 9, 7), (6, 4, 3, 3), {}),
    "3x3_same": ((1, 4, 9, 7), (6, 4, 3, 3), {"pads": [1, 1, 1, 1]}),
    "stride2": ((1, 4, 9, 8), (6, 4, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "stride3": ((1, 4, 11, 10), (6, 4, 3, 3), {"strides": [3, 3]}),
    "strides_differ": ((1, 3, 9, 8), (4, 3, 3, 2), {"strides": [1, 3]}),
    "asymmetric_pads": ((1, 3, 7, 6), (4, 3, 3, 3), {"pads": [0, 1, 2, 1]}),
    "asymmetric_pads_stride2": ((1, 3, 8, 8), (4, 3, 3, 3), {"pads": [0, 0, 1, 1], "strides": [2, 2]}),
    "same_upper": ((1, 3, 8, 7), (4, 3, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same_lower": ((1, 3, 8, 7), (4, 3, 4, 2), {"auto_pad": "SAME_LOWER", "strides": [2, 1]}),
    "valid": ((1, 3, 8, 7), (4, 3, 3, 3), {"auto_pad": "VALID"}),
    "dilation": ((1, 3, 9, 9), (4, 3, 3, 3), {"dilations": [2, 3], "pads": [2, 2, 2, 2]}),
    "dilation_one_axis": ((1, 3, 9, 9), (4, 3, 3, 3), {"dilations": [1, 2], "strides": [2, 1]}),
    "5x1": ((1, 3, 9, 4), (4, 3, 5, 1), {"pads": [2, 0, 2, 0]}),
    "1x5": ((1, 3, 4, 9), (4, 3, 1, 5), {}),
    "even_kernel": ((1, 3, 7, 7), (4, 3, 4, 2), {"pads": [2, 1, 1, 0]}),
    "kernel_covers_input": ((1, 3, 4, 3), (8, 3, 4, 3), {}),
    "kernel_beyond_input": ((1, 3, 2, 2), (8, 3, 5, 5), {"pads": [2, 2, 2, 2]}),
    "groups": ((1, 6, 7, 5), (4, 3, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
    "groups_of_one_output": ((1, 6, 7, 5), (3, 2, 3, 3), {"group": 3}),
    "depthwise": ((1, 5, 9, 7), (5, 1, 3, 3), {"group": 5, "pads": [1, 1, 1, 1]}),
    "depthwise_no_pads": ((1, 5, 9, 7), (5, 1, 3, 3), {"group": 5}),
    "depthwise_stride2": ((1, 16, 9, 8), (16, 1, 3, 3), {"group": 16, "strides": [2, 2], "pads": [0, 0, 1, 1]}),
    "depthwise_stride3": ((1, 5, 9, 8), (5, 1, 3, 3), {"group": 5, "strides": [3, 3], "pads": [1, 1, 1, 1]}),
    "depthwise_dilation": ((1, 5, 9, 8), (5, 1, 3, 3), {"group": 5, "dilations": [2, 2]}),
    "depthwise_5x5": ((1, 18, 7, 6), (18, 1, 5, 5), {"group": 18, "pads": [2, 2, 2, 2]}),
    "depthwise_10x1": ((1, 4, 12, 1), (4, 1, 10, 1), {"group": 4}),
    "depthwise_multiplier2": ((1, 5, 6, 7), (10, 1, 3, 3), {"group": 5, "pads": [1, 1, 1, 1]}),
    "depthwise_multiplier3": ((1, 3, 6, 7), (9, 1, 2, 3), {"group": 3, "strides": [2, 1]}),
    "batch": ((2, 3, 5, 5), (4, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    "per_tensor": ((1, 4, 7, 7), (6, 4, 3, 3), {"axis": None}),
    "depthwise_per_tensor": ((1, 5, 7, 7), (5, 1, 3, 3), {"axis": None, "group": 5}),
    "no_bias": ((1, 4, 7, 7), (6, 4, 3, 3), {"bias": False}),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", GEOMETRY)
def test_geometry(case: str, dtype: str, tmp_path: Path) -> None:
    shape, weights, options = GEOMETRY[case]
    net = Net(dtype, seed=1)
    net.output(net.conv(net.input(shape), weights, **options))
    compiled = exact(net.model(), tmp_path)
    assert compiled.macs > 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("x_zero, y_zero", [(-128, -128), (127, 127), (-128, 127), (0, 0)])
def test_zero_points_at_the_ends(x_zero: int, y_zero: int, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((1, 3, 6, 5), zero_point=x_zero)
    net.output(net.conv(x, (4, 3, 3, 3), pads=[1, 1, 1, 1], zero_point=y_zero))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exponent", [-6, -8, -9, -10])
def test_powers_of_two_meet_ties(exponent: int, dtype: str, tmp_path: Path) -> None:
    """Every requantized value is a multiple of 2^exponent, so that halves occur and go to even."""
    net = Net(dtype)
    x = net.input((1, 2, 9, 9), scale=1.0, zero_point=0)
    scales = np.exp2(exponent + np.arange(4.0)).astype(np.float32) / 8
    net.output(net.conv(x, (4, 2, 1, 1), w_scale=scales, scale=1.0))
    exact(net.model(), tmp_path, samples=64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dead_channels(dtype: str, tmp_path: Path) -> None:
    """Scales near 1e-12 beside ordinary ones, with the largest int32 as bias: such a channel gives its zero point."""
    net = Net(dtype)
    scales = np.array([0.01, 1e-12, 0.004, 3e-13], np.float32)
    bias = np.array([100, 2**31 - 1, -100, -(2**31) + 1], np.int32)
    net.output(net.conv(net.input((1, 3, 5, 5)), (4, 3, 3, 3), w_scale=scales, bias=bias))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dead", ["scale", "bias"])
def test_dead_channel_with_a_bias_scale_of_its_own(dead: str, tmp_path: Path) -> None:
    """ONNX Runtime then computes the whole layer in float; no bias of such a channel is seen."""
    net = Net()
    x = net.input((1, 3, 5, 5))
    data = np.array([100, 0 if dead == "bias" else 70, -100], np.int32)
    weights, scales = net.weights((3, 3, 3, 3), np.array([0.01, 1e-40 if dead == "scale" else 0.02, 0.004], np.float32))
    bias = net.bias(data, np.float32([scales[0], 0.05, scales[2]]) * x.scale)
    net.output(net.quantize(net.node("Conv", net.real(x), weights, bias), 0.4, 0))
    exact_integer_form(net.model(), tmp_path)


def test_tiny_scales_everywhere(tmp_path: Path) -> None:
    net = Net("uint8")
    x = net.input((1, 3, 5, 5), scale=1e-12)
    net.output(net.conv(x, (4, 3, 3, 3), w_scale=1e-12))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize(
    "dtype, w_dtype, w_zero", [("uint8", np.uint8, 117), ("uint8", np.int8, 9), ("int8", np.int8, -7)]
)
@pytest.mark.parametrize("axis", [None, 0])
def test_weights_with_a_zero_point(dtype: str, w_dtype: Any, w_zero: int, axis: int | None, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((1, 4, 6, 5))
    y = net.conv(x, (6, 2, 3, 3), group=2, axis=axis, w_dtype=w_dtype, w_zero=w_zero, pads=[1, 0, 1, 2])
    net.output(y)
    assert "mcugen_convolve_direct_s8" in kernels(exact(net.model(), tmp_path))


@pytest.mark.parametrize("dtype", DTYPES)
def test_scale_beyond_the_fast_precondition(dtype: str, tmp_path: Path) -> None:
    """A scale above 1: most values saturate, the others must be right."""
    net = Net(dtype)
    net.output(net.conv(net.input((1, 1, 9, 9), scale=1.0), (8, 1, 1, 1), w_scale=4.0, scale=1.5, bias=False))
    assert "mcugen_convolve_direct_s8" in kernels(exact(net.model(), tmp_path))


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_that_the_zero_point_implies(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    net.output(net.conv(net.input((1, 3, 6, 6)), (4, 3, 3, 3), then="Relu", zero_point=-128))
    compiled = exact(net.model(), tmp_path)
    assert not any(step.notes for step in compiled.steps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_clip_that_covers_the_range(dtype: str, tmp_path: Path) -> None:
    """Relu6-like: zero point at the low end, the high end beyond what the type holds."""
    net = Net(dtype)
    y = net.conv(net.input((1, 3, 6, 6)), (4, 3, 3, 3), then="Clip", clip=(0, 255), zero_point=-128)
    net.output(y)
    compiled = exact(net.model(), tmp_path)
    assert not any(step.notes for step in compiled.steps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("then, clip", [("Relu", None), ("Clip", (-20.0, 40.0)), ("Clip", (0.0, 60.0))])
def test_narrow_clamp_is_the_integer_form(
    then: str, clip: tuple[float, float] | None, dtype: str, tmp_path: Path
) -> None:
    net = Net(dtype)
    net.output(net.conv(net.input((1, 3, 6, 6)), (4, 3, 3, 3), then=then, clip=clip, zero_point=5))
    exact_integer_form(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_qlinear_conv(dtype: str, per_channel: bool, bias: bool, tmp_path: Path) -> None:
    shape, weights = (1, 4, 7, 6), (6, 2, 3, 3)
    options: dict[str, Any] = {"group": 2, "pads": [1, 0, 1, 1], "strides": [1, 2]}
    model = qlinear_weights("QLinearConv", shape, weights, dtype=dtype, per_channel=per_channel, bias=bias, **options)
    exact(model, tmp_path)
