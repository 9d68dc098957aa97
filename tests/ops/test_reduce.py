"""Reductions: the largest and smallest, their positions, and float means and sums in ONNX Runtime's own order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checking import assert_exact, compile_model, exact, kernels
from onnx import TensorProto
from small_models import DTYPES, Net

from mcugen import UserError, oracle
from mcugen.ops.reduce import BLOCKS, LANES, RUNS, SEQUENTIAL, stored_axes, sum_order, three_parts
from mcugen.prove.host import HostModel
from mcugen.prove.samples import random_samples
from mcugen.prove.verify import verify

# With equal scales, means of an even number of bytes are often halves: there only the right order gives ORT's byte.
MEANS = [
    ((1, 16, 7, 7), (2, 3)),
    ((1, 16, 3, 3), (2, 3)),
    ((1, 8, 5, 1), (2, 3)),
    ((1, 5, 25, 5), (2, 3)),
    ((1, 64, 8, 8), (2, 3)),
    ((1, 6, 1, 1), (2, 3)),
    ((1, 16, 5, 6), (1,)),
    ((1, 9, 5, 7), (1, 2)),
    ((1, 5, 6, 7), (3,)),
    ((1, 3, 4, 5), (0, 1, 2, 3)),
    ((2, 16, 5, 6), (1,)),
    ((3, 9, 40), (1,)),
    ((2, 6, 30), (1,)),
    ((2, 7, 30), (1,)),
    ((16, 30), (0,)),
    ((2, 5, 9, 7), (1, 3)),
    ((2, 5, 9, 7), (0, 2)),
    ((3, 7, 11), (0, 2)),
    ((2, 16, 5, 6), (0, 2, 3)),
    ((7, 6, 3), (0, 2)),
    ((3, 50, 1), (1,)),
    ((1, 50, 1), (1,)),
    ((1, 6, 50, 1), (2,)),
    ((1, 6, 7, 5), (1, 3)),
    ((6, 7, 5, 1), (0, 2)),
    ((1, 6, 7, 5, 1), (0, 1, 3, 4)),
    ((3, 4, 5, 6, 7), (0, 1, 3, 4)),
    ((1, 1001), (1,)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axes"), MEANS)
def test_means_and_sums(shape: tuple[int, ...], axes: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input(shape, 0.0371)
    count = int(np.prod([shape[axis] for axis in axes]))
    for keep in (0, 1):
        scale = 0.0371 if keep else 0.0371 * 1.7 / count**0.5
        net.output(net.op("ReduceMean", x, axes=list(axes), scale=scale, keepdims=keep), f"mean{keep}")
        scale = 0.0371 * (4 if keep else count**0.5)
        net.output(net.op("ReduceSum", x, net.shape(*axes), scale=scale, keepdims=keep), f"sum{keep}")
    compiled = compile_model(net.model(), tmp_path)
    result = verify(compiled, random_samples(compiled, 40, seed=3))
    assert result.bit_exact, result.first_difference
    assert not any(step.notes for step in compiled.steps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axes", [[2, 3], [1], [1, 2], [3], [1, 3]])
def test_behind_a_convolution(axes: list[int], dtype: str, tmp_path: Path) -> None:
    """Channels last, the values are added in the model's order all the same."""
    net = Net(dtype)
    x = net.conv(net.input((1, 6, 7, 5)), (6, 6, 1, 1))
    net.output(net.op("ReduceMean", x, axes=axes, scale=x.scale), "mean")
    net.output(net.op("ReduceMax", x, axes=axes, scale=1.1 * x.scale), "max")
    net.output(net.op("ReduceMin", x, axes=axes, keepdims=0, scale=1.3 * x.scale), "min")
    exact(net.model(), tmp_path, samples=24)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_positions_of_float_numbers(op: str, tmp_path: Path) -> None:
    net = Net()
    x = net.node("Round", net.node("Mul", net.float_input((3, 7, 6)), net.constant(np.float32(3))))
    for attributes in ({"axis": 1}, {"axis": -1, "keepdims": 0}, {}):
        net._output(net.node(op, x, **attributes), TensorProto.INT64)
    result = assert_exact(compile_model(net.model(), tmp_path), samples=8)
    assert {array.dtype for array in result.outputs.values()} == {np.dtype(np.int64)}


@pytest.mark.parametrize("values", [[0, 3, 3, 3], [3, 0, 0, -1, 3, -1]], ids=str)
def test_positions_among_special_numbers(values: list[float], tmp_path: Path) -> None:
    """First and last of equal ones; a NaN in front stays, others are passed over, as in ONNX Runtime."""
    rows = [values, *([*values[:at], special, *values[at + 1 :]] for at in range(4) for special in (np.nan, np.inf))]
    x = np.array([*rows, [np.nan] * len(values)], np.float32)
    net = Net()
    net.float_input(x.shape)
    for op in ("ArgMax", "ArgMin"):
        for last in (0, 1):
            net._output(net.node(op, "x", axis=1, select_last_index=last), TensorProto.INT64)
    model = net.model()
    got = HostModel(compile_model(model, tmp_path)).run({"x": x})
    for name, want in oracle.run(oracle.plain_session(model), {"x": x}).items():
        np.testing.assert_array_equal(got[name], want, name)


def test_positions_of_integers_are_refused(tmp_path: Path) -> None:
    net = Net()
    found = net.node("ArgMax", net.float_input((3, 7)), axis=1)
    net._output(net.node("ArgMax", found, name="head"), TensorProto.INT64)
    with pytest.raises(UserError, match="ArgMax of int64 numbers is not supported") as error:
        compile_model(net.model(), tmp_path)
    assert error.value.origin == "head"


@pytest.mark.parametrize("dtype", DTYPES)
def test_over_no_axes(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype, opset=18)
    x = net.input((2, 5, 7))
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"):
        for scale in (x.scale, 0.07):
            net.output(net.op(op, x, noop_with_empty_axes=1, scale=scale), f"{op}{scale}")
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scales", [(1e-12, 1e-12), (1.0, 1e-12), (1e-39, 1e-39), (0.5, 0.25), (1.0, 100.0)])
def test_scales(scales: tuple[float, float], dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((1, 40, 3, 3), scales[0], 2)
    net.output(net.op("ReduceMean", x, axes=[2, 3], scale=scales[1], zero_point=-3))
    compiled = compile_model(net.model(), tmp_path)
    assert verify(compiled, random_samples(compiled, 8, seed=3)).bit_exact


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("attributes", [{"axis": 1}, {"axis": -1, "select_last_index": 1}, {"axis": 2, "keepdims": 0}])
def test_positions(attributes: dict[str, int], op: str, dtype: str, tmp_path: Path) -> None:
    """int64 as in ONNX; behind a convolution, and of few different values, so that equal ones compete."""
    net = Net(dtype)
    x = net.input((1, 5, 7, 6))
    for tensor in (net.conv(x, (5, 5, 1, 1)), net.op("Floor", x, scale=1.0)):
        net._output(net.node(op, net.real(tensor), **attributes), TensorProto.INT64)
    result = assert_exact(compile_model(net.model(), tmp_path), samples=8)
    assert {array.dtype for array in result.outputs.values()} == {np.dtype(np.int64)}


@pytest.mark.parametrize(
    ("shape", "axes", "order"),
    [
        ((1, 8, 5, 5), (2, 3), LANES),
        ((1, 8, 5, 5), (1,), SEQUENTIAL),
        ((2, 8, 5, 5), (1,), BLOCKS),
        ((1, 8, 1, 1), (2, 3), SEQUENTIAL),
        ((1, 8, 5, 5), (0, 1, 2, 3), LANES),
        ((2, 8, 5, 5), (0, 2), SEQUENTIAL),
        ((8, 5, 5), (0, 2), RUNS),
        ((1, 8, 5, 5), (1, 3), SEQUENTIAL),
        ((8, 5, 5, 1), (0, 2), SEQUENTIAL),
        ((3, 50, 1), (1,), BLOCKS),
        ((1, 50, 1), (1,), SEQUENTIAL),
        ((1, 8, 5, 5), (0, 1, 3), RUNS),
    ],
)
def test_order(shape: tuple[int, ...], axes: tuple[int, ...], order: int) -> None:
    assert sum_order(shape, axes)[0] == order


def test_runs() -> None:
    assert sum_order((2, 1, 8, 5, 1, 3), (0, 3, 5)) == (RUNS, 15)


def test_parts_and_stored_axes() -> None:
    assert three_parts((2, 3, 4, 5), (1, 2)) == (2, 12, 5)
    assert three_parts((2, 3, 1, 5), (1, 3)) == (2, 15, 1)
    assert three_parts((2, 3, 4, 5), (1, 3)) is None
    assert stored_axes((1, 5, 6, 8), (0, 3, 1, 2), (2, 3)) == (1, 2)  # NCHW's H and W in NHWC
    assert stored_axes((1, 5, 6, 8), (0, 3, 1, 2), (3,)) is None  # the kept C and H would change places


@pytest.mark.parametrize("on", ["cortex-m3", "cortex-m4"])
def test_emulated(on: str, tmp_path: Path) -> None:
    net = Net()
    x = net.input((2, 5, 7, 7), 0.0371)
    for axes in ([2, 3], [1], [0], [0, 3]):
        net.output(net.op("ReduceMean", x, axes=axes, scale=0.0371), f"y{axes[0]}{axes[-1]}")
    compiled = compile_model(net.model(), tmp_path, core=on)
    assert kernels(compiled).count("mcugen_reduce_sum_s8") == 4
    assert_exact(compiled, samples=8, on=on)
