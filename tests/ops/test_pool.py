"""MaxPool, AveragePool and GlobalAveragePool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checking import assert_exact, compile_model, exact, kernels
from small_models import DTYPES, Net, qoperator

from mcugen import UserError, oracle

# name -> (input shape, attributes)
GEOMETRY: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "2x2": ((1, 3, 6, 8), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "overlapping": ((1, 3, 7, 8), {"kernel_shape": [3, 3]}),
    "stride3": ((1, 3, 8, 10), {"kernel_shape": [2, 3], "strides": [3, 3]}),
    "3x1": ((1, 5, 9, 4), {"kernel_shape": [3, 1], "strides": [2, 1]}),
    "pads": ((1, 3, 7, 8), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    "asymmetric_pads": ((1, 3, 7, 8), {"kernel_shape": [3, 3], "pads": [0, 1, 2, 0], "strides": [1, 2]}),
    "same_upper": ((1, 3, 7, 8), {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same_lower": ((1, 3, 7, 8), {"kernel_shape": [3, 2], "auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "valid": ((1, 3, 7, 8), {"kernel_shape": [3, 3], "auto_pad": "VALID", "strides": [2, 2]}),
    "ceil_mode": ((1, 3, 7, 8), {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1}),
    "ceil_mode_pads": ((1, 3, 8, 8), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 0, 1], "ceil_mode": 1}),
    "one_channel": ((1, 1, 5, 5), {"kernel_shape": [2, 2]}),
    "odd_channels": ((1, 19, 4, 4), {"kernel_shape": [2, 2], "strides": [2, 2]}),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", GEOMETRY)
def test_max_pool(case: str, dtype: str, tmp_path: Path) -> None:
    shape, attributes = GEOMETRY[case]
    net = Net(dtype)
    net.output(net.copy("MaxPool", net.input(shape), **attributes))
    assert "arm_max_pool_s8" in kernels(exact(net.model(), tmp_path))


def test_max_pool_whose_last_window_lies_far_outside(tmp_path: Path) -> None:
    """ceil_mode and dilations: the last window ends further behind the input than a kernel is wide."""
    net = Net()
    window = {"kernel_shape": [4], "strides": [2], "pads": [1, 3], "dilations": [2], "ceil_mode": 1}
    net.output(net.copy("MaxPool", net.input((1, 5, 10)), **window))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_max_pool_at_the_lowest_values(dtype: str, tmp_path: Path) -> None:
    """Padding counts as nothing, not as a value that could win."""
    net = Net(dtype)
    x = net.input((1, 2, 4, 4), scale=0.05, zero_point=127)
    net.output(net.copy("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("include_pad", [0, 1])
@pytest.mark.parametrize("case", GEOMETRY)
def test_average_pool(case: str, include_pad: int, dtype: str, tmp_path: Path) -> None:
    shape, attributes = GEOMETRY[case]
    net = Net(dtype, opset=19)
    x = net.input(shape, 0.05, -9)
    net.output(net.op("AveragePool", x, scale=0.021, zero_point=11, count_include_pad=include_pad, **attributes))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("on", ["cortex-m3", "cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("kernel", [(3, 3), (16, 16)])
def test_average_pool_emulated(kernel: tuple[int, int], on: str, tmp_path: Path) -> None:
    """Four channels at a time and the others; 256 taps, whose sums take more than 16 bits."""
    net = Net("int8")
    x = net.input((1, 7, 17, 18), 0.05, -128)
    given = {"kernel_shape": kernel, "strides": [1, 2], "pads": [1, 0, 0, 1]}
    net.output(net.op("AveragePool", x, scale=0.05, zero_point=-128, **given))
    assert_exact(compile_model(net.model(), tmp_path, core=on), samples=2, on=on)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "x, y",
    [((0.05, -128), (0.03, -128)), ((0.05, 127), (0.05, 127)), ((0.5, 0), (0.125, 0)), ((1e-12, 5), (5e-13, 3))],
    ids=["low_ends", "high_ends", "powers_of_two", "tiny"],
)
@pytest.mark.parametrize("whole", [False, True])
def test_average_pool_parameters(
    x: tuple[float, int], y: tuple[float, int], whole: bool, dtype: str, tmp_path: Path
) -> None:
    net = Net(dtype)
    kernel = [6, 6] if whole else [2, 2]
    net.output(net.op("AveragePool", net.input((1, 4, 6, 6), *x), scale=y[0], zero_point=y[1], kernel_shape=kernel))
    exact(net.model(), tmp_path, samples=48)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (7, 5), (16, 16)])
def test_global_average_pool(size: tuple[int, int], dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((1, 9, *size), 0.05, -40)
    net.output(net.op("GlobalAveragePool", x, scale=0.02, zero_point=20))
    assert "mcugen_global_average_pool_s8" in kernels(exact(net.model(), tmp_path))


@pytest.mark.parametrize("dtype", DTYPES)
def test_several_images(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((3, 5, 7, 6), 0.05, -40)
    window = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
    net.output(net.op("AveragePool", x, scale=0.021, zero_point=11, **window), "average")
    net.output(net.op("GlobalAveragePool", x, scale=0.02, zero_point=20), "global")
    net.output(net.op("GlobalAveragePool", net.conv(x, (9, 5, 1, 1)), scale=0.02, zero_point=20), "behind")
    exact(net.model(), tmp_path)


def test_a_window_that_only_onnx_counts_is_refused(tmp_path: Path) -> None:
    """With ceil_mode it would begin behind the input, in the padding: ONNX infers one output more than ORT makes."""
    net = Net(opset=19)
    window = {"kernel_shape": [3], "strides": [3], "pads": [0, 2], "ceil_mode": 1}
    net.output(net.copy("MaxPool", net.input((1, 2, 8)), **window))
    with pytest.raises(UserError, match=r"ONNX says that the shape is \[1, 2, 4\], ONNX Runtime makes \[1, 2, 3\]"):
        compile_model(net.model(), tmp_path)


def test_average_pool_with_dilations_is_refused(tmp_path: Path) -> None:
    net = Net(opset=19)
    net.output(net.op("AveragePool", net.input((1, 3, 9, 9)), kernel_shape=[3, 3], dilations=[2, 2], name="pool"))
    with pytest.raises(UserError, match="quantized average pool with dilations is not") as error:
        compile_model(net.model(), tmp_path)
    assert error.value.origin == "pool"
    with pytest.raises(UserError, match="does not run the model"):
        oracle.pinned_session(net.model())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels_last", [0, 1])
def test_qlinear_average_pool(channels_last: int, dtype: str, tmp_path: Path) -> None:
    shape = (1, 6, 8, 3) if channels_last else (1, 3, 6, 8)
    attributes = {"kernel_shape": [2, 3], "strides": [2, 1], "channels_last": channels_last}
    exact(qoperator("QLinearAveragePool", [shape], dtype=dtype, output=(0.03, 4), **attributes), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_qlinear_global_average_pool(dtype: str, tmp_path: Path) -> None:
    model = qoperator("QLinearGlobalAveragePool", [(1, 5, 6, 6)], dtype=dtype, output=(0.02, 4), channels_last=0)
    exact(model, tmp_path)


def test_what_onnx_runtime_gives_up_on_names_its_node() -> None:
    model = qoperator("QLinearGlobalAveragePool", [(1, 5, 6, 6)], scales=(1.0,), output=(1e-12, 0), channels_last=0)
    with pytest.raises(UserError, match="does not run the model") as error:
        oracle.check_runs(model)
    assert error.value.origin == "only"
