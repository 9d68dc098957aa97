"""Float32 operators, alone and between quantized ones: equal to ONNX Runtime, or within their stated tolerance."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from c_compiler import ARM_GCC, GCC, STRICT, compile_project, needs_arm_gcc, needs_cmake, run
from checking import assert_exact, compile_model, exact, kernels
from click.testing import CliRunner
from float_layers import layer, near, pair, rand, some, together
from onnx import TensorProto
from small_models import Net

from mcugen import oracle, project, resources
from mcugen.cli import main
from mcugen.emit.artefact import Compiled
from mcugen.errors import UserError
from mcugen.prove.host import HostModel
from mcugen.prove.samples import given_samples, random_samples
from mcugen.prove.tolerance import tolerances
from mcugen.prove.toolchain import available
from mcugen.prove.verify import verify
from mcugen.step import FLOAT, PROVED, Table
from mcugen.target import core

ALIGNED = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
ASYMMETRIC = {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}
SYMMETRIC = {"mode": "linear", "coordinate_transformation_mode": "half_pixel_symmetric"}


def recurrent(
    op: str,
    directions: int = 1,
    lengths: list[int] | None = None,
    states: bool = False,
    peepholes: bool = False,
    **attributes: Any,
) -> onnx.ModelProto:
    """6 steps of 2 sequences of 5 inputs, 7 hidden values."""
    rows = {"LSTM": 28, "GRU": 21, "RNN": 7}[op]
    weights = [rand(directions, rows, 5), rand(directions, rows, 7, seed=1), rand(directions, 2 * rows, seed=2)]
    start = [rand(directions, 2, 7, seed=3) if states else None] * (2 if op == "LSTM" else 1)
    given = [None if lengths is None else np.array(lengths, np.int32), *start]
    given += [rand(directions, 21, seed=4)] if peepholes else []
    if directions == 2:
        attributes["direction"] = "bidirectional"
    outputs = 3 if op == "LSTM" else 2
    return layer(op, [6, 2, 5], *weights, *given, hidden_size=7, outputs=outputs, **attributes)


GIVEN = {"activation_alpha": [0.3, 0.7, 0.6, 0.4], "activation_beta": [0.45, 0.1]}
RECURRENT: dict[str, onnx.ModelProto] = {
    "rnn": recurrent("RNN"),
    "rnn, reverse, lengths": recurrent("RNN", lengths=[3, 6], states=True, direction="reverse"),
    "rnn, functions": recurrent("RNN", 2, activations=["Affine", "ScaledTanh"], **GIVEN),
    "rnn, relu, clip": recurrent("RNN", activations=["Relu"], clip=0.5),
    "rnn, thresholded": recurrent("RNN", activations=["ThresholdedRelu"]),
    "lstm, full lengths": recurrent("LSTM", lengths=[6, 6]),
    "lstm, lengths, both ways": recurrent("LSTM", 2, lengths=[3, 5], states=True),
    "lstm, functions": recurrent("LSTM", activations=["HardSigmoid", "Softsign", "Elu"], **GIVEN),
    "lstm, functions by default": recurrent("LSTM", activations=["HardSigmoid", "LeakyRelu", "Softplus"]),
    "lstm, peepholes, clip": recurrent("LSTM", 2, peepholes=True, states=True, clip=0.6),
    "lstm, input_forget": recurrent("LSTM", input_forget=1, peepholes=True),
    "gru, lengths, clip": recurrent("GRU", 2, lengths=[4, 6], clip=0.7, states=True),
    "gru, functions": recurrent("GRU", 2, activations=["HardSigmoid", "Elu", "Sigmoid", "LeakyRelu"], **GIVEN),
    "gru, reset after, functions": recurrent("GRU", activations=["HardSigmoid", "Relu"], linear_before_reset=1),
}
NEAR: dict[str, onnx.ModelProto] = {
    "conv": layer("Conv", [1, 3, 9, 8], rand(5, 3, 3, 3), rand(5), pads=[1, 0, 2, 1], strides=[2, 1]),
    "conv, dilated, no bias": layer("Conv", [1, 2, 9, 9], rand(4, 2, 3, 3), dilations=[2, 2]),
    "conv_transpose": layer(
        "ConvTranspose", [1, 3, 5, 4], rand(3, 4, 3, 2), rand(4), strides=[2, 3], pads=[1, 0, 0, 1]
    ),
    "conv_transpose, groups": layer(
        "ConvTranspose",
        [2, 4, 5, 4],
        rand(4, 3, 3, 3),
        group=2,
        dilations=[2, 1],
        strides=[3, 2],
        output_padding=[2, 1],
    ),
    "conv_transpose, 1-D": layer(
        "ConvTranspose", [1, 3, 9], rand(3, 2, 4), rand(2), strides=[2], auto_pad="SAME_UPPER"
    ),
    "conv, depthwise": layer("Conv", [1, 4, 7, 7], rand(8, 1, 3, 3), rand(8), group=4, pads=[1, 1, 1, 1]),
    "conv, grouped": layer("Conv", [1, 4, 7, 7], rand(6, 2, 3, 3), rand(6), group=2),
    "conv, 1-D": layer("Conv", [1, 3, 20], rand(4, 3, 5), rand(4), strides=[2]),
    "gemm": layer("Gemm", [2, 12], rand(12, 5), rand(5)),
    "gemm, transposed": layer("Gemm", [1, 12], rand(5, 12), rand(5), transB=1),
    "matmul": layer("MatMul", [2, 3, 12], rand(12, 5)),
    "matmul, batched": layer("MatMul", [2, 3, 4], rand(2, 4, 5)),
    "layer_normalization": layer("LayerNormalization", [2, 5, 24], rand(24), rand(24)),
    "layer_normalization, two axes": layer("LayerNormalization", [2, 5, 6], rand(5, 6), axis=1),
    "instance_normalization": layer("InstanceNormalization", [2, 3, 5, 5], rand(3), rand(3)),
    "batch_normalization": layer("BatchNormalization", [1, 3, 4, 5], rand(3), rand(3), rand(3), np.abs(rand(3)) + 0.1),
    "reduce_mean": layer("ReduceMean", [2, 3, 4, 5], np.array([2, 3]), keepdims=0),
    "reduce_mean, apart": layer("ReduceMean", [2, 3, 4, 5], np.array([0, 2]), keepdims=1),
    "reduce_sum": layer("ReduceSum", [2, 3, 40], np.array([-1])),
    "resize, one axis": layer("Resize", [1, 2, 5], None, np.float32([1, 1, 3]), mode="linear"),
    "pow, of another exponent": pair("Pow", [2, 3], np.array(3, np.float32)),
    "pow, of integers": pair("Pow", [2, 3], np.array([3, 0, 5], np.int64)),
    "lstm": layer("LSTM", [6, 2, 5], rand(1, 28, 5), rand(1, 28, 7), rand(1, 56), hidden_size=7, outputs=3),
    "lstm, both ways": layer(
        "LSTM",
        [6, 2, 5],
        *(rand(2, 28, 5), rand(2, 28, 7), None, None, rand(2, 2, 7), rand(2, 2, 7)),
        hidden_size=7,
        direction="bidirectional",
    ),
    "gru": layer("GRU", [6, 1, 5], rand(1, 21, 5), rand(1, 21, 7), rand(1, 42), hidden_size=7, outputs=2),
    "gru, reset after, reverse": layer(
        "GRU",
        [6, 2, 5],
        *(rand(1, 21, 5), rand(1, 21, 7), rand(1, 42)),
        hidden_size=7,
        linear_before_reset=1,
        direction="reverse",
    ),
    **RECURRENT,
    **{
        op.lower(): layer(op, [2, 3, 50])
        for op in ("Exp", "Sigmoid", "Tanh", "Erf", "Gelu", "Elu", "Softplus", "HardSigmoid", "HardSwish", "Reciprocal")
    },
    **{op.lower(): layer(op, [2, 3, 50]) for op in ("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh")},
    **{op.lower(): layer(op, [2, 3, 50]) for op in ("Asinh", "Atanh")},
    "gelu, tanh": layer("Gelu", [2, 3, 50], approximate="tanh"),
}


@pytest.mark.parametrize("part", range(6))
def test_near(part: int, tmp_path: Path) -> None:
    result = near(compile_model(together(some(NEAR, part)), tmp_path))
    assert 0 < result.max_abs_difference < 1e-4


EXACT: dict[str, onnx.ModelProto] = {
    **{op.lower(): pair(op, [2, 3, 5], [2, 3, 5]) for op in ("Add", "Sub", "Mul", "Div", "Min", "Max")},
    "add, row": pair("Add", [2, 3, 5], [5]),
    "sub, from a column": pair("Sub", [3, 1], [2, 3, 5]),
    "mul, both ways": pair("Mul", [2, 1, 5], [1, 3, 1]),
    "div, by a constant": pair("Div", [2, 3, 5], np.array(0.3, np.float32)),
    "add, channels of an image": pair("Add", [1, 3, 4, 5], rand(3, 1, 1)),
    "prelu": pair("PRelu", [1, 3, 4, 5], rand(3, 1, 1)),
    "pow": pair("Pow", [2, 3, 5], np.array(2, np.float32)),
    "relu": layer("Relu", [2, 30]),
    "clip": layer("Clip", [2, 30], np.float32(-0.2), np.float32(0.6)),
    "clip, from below": layer("Clip", [2, 30], np.float32(-0.2)),
    **{op.lower(): layer(op, [2, 30]) for op in ("Abs", "Neg", "LeakyRelu")},
    "transpose": layer("Transpose", [2, 3, 4], perm=[2, 0, 1]),
    "pad": layer("Pad", [1, 2, 3, 4], np.array([0, 0, 1, 2, 0, 1, 0, 3]), np.float32(0.25)),
    "slice": layer("Slice", [4, 9], np.array([1]), np.array([8]), np.array([1]), np.array([3])),
    "max_pool": layer("MaxPool", [1, 3, 9, 9], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
    "max_pool, 1-D, ceil": layer("MaxPool", [1, 3, 10], kernel_shape=[3], strides=[2], ceil_mode=1),
    "average_pool": layer("AveragePool", [1, 3, 9, 9], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
    "average_pool, pads counted": layer(
        "AveragePool", [1, 16, 9, 9], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1
    ),
    "max_pool, dilated": layer("MaxPool", [2, 3, 9, 9], kernel_shape=[3, 2], dilations=[2, 3], pads=[1, 0, 1, 1]),
    "average_pool, dilated": layer(
        "AveragePool", [2, 3, 9, 9], kernel_shape=[3, 2], dilations=[2, 3], pads=[1, 0, 1, 1]
    ),
    "average_pool, dilated, pads counted": layer(
        "AveragePool",
        [1, 3, 9, 10],
        kernel_shape=[3, 2],
        dilations=[2, 3],
        strides=[2, 2],
        pads=[1, 0, 1, 1],
        count_include_pad=1,
    ),
    "average_pool, whole": layer("AveragePool", [2, 5, 7, 6], kernel_shape=[7, 6]),
    "global_average_pool": layer("GlobalAveragePool", [2, 5, 7, 5]),
    "global_average_pool, vector of channels": layer("GlobalAveragePool", [1, 32, 7, 5]),
    "softmax": layer("Softmax", [3, 12], axis=-1),
    "softmax, many classes": layer("Softmax", [2, 100], axis=-1),
    "softmax, other axis": layer("Softmax", [2, 7, 3], axis=1),
    "resize, half_pixel": layer("Resize", [1, 2, 5, 4], None, np.float32([1, 1, 2, 3]), mode="linear"),
    "resize, align_corners": layer("Resize", [1, 2, 5, 4], None, np.float32([1, 1, 2, 2]), **ALIGNED),
    "resize, asymmetric, smaller": layer("Resize", [1, 2, 9, 8], None, np.float32([1, 1, 0.5, 0.5]), **ASYMMETRIC),
    "resize, symmetric": layer("Resize", [1, 2, 5, 4], None, np.float32([1, 1, 1.7, 2.3]), **SYMMETRIC),
    "resize, to one row": layer("Resize", [1, 2, 5, 4], None, None, np.array([1, 2, 1, 7]), mode="linear"),
    "pad, by nothing said": layer("Pad", [1, 2, 3, 4], np.array([0, 0, 1, 2, 0, 1, 0, 3])),
    "reduce_max": layer("ReduceMax", [2, 3, 4, 5], np.array([1, 2]), keepdims=0),
    "reduce_min": layer("ReduceMin", [2, 3, 4, 5], np.array([-1]), keepdims=1),
}


@pytest.mark.parametrize("part", range(6))
def test_exact(part: int, tmp_path: Path) -> None:
    exact(together(some(EXACT, part)), tmp_path)


def average(shape: list[int], *kernel: int, opset: int, **attributes: Any) -> onnx.ModelProto:
    return layer("AveragePool", shape, opset=opset, kernel_shape=kernel, **attributes)


# What decides in which order ONNX Runtime adds up a window, before opset 19.
WINDOWS: dict[str, tuple[list[int], tuple[int, ...], dict[str, Any]]] = {
    "columns": ([2, 3, 9, 9], (3, 2), {"strides": [2, 2], "pads": [1, 0, 1, 1]}),
    "columns, pads counted": ([1, 3, 9, 9], (3, 3), {"pads": [1, 1, 1, 1], "count_include_pad": 1}),
    "columns, ceil_mode": ([1, 3, 8, 7], (3, 4), {"pads": [1, 2, 1, 1], "strides": [1, 2], "ceil_mode": 1}),
    "columns, auto_pad": ([1, 3, 9, 9], (3, 3), {"auto_pad": "SAME_LOWER", "strides": [3, 2]}),
    "columns of one row": ([1, 3, 5, 9], (1, 5), {}),
    "columns of 32": ([1, 2, 40, 6], (32, 2), {}),
    "33 rows": ([1, 2, 40, 6], (33, 2), {}),
    "a row of 2045": ([1, 1, 4, 2043], (3, 2), {"pads": [0, 1, 0, 1]}),
    "a row of 2046": ([1, 1, 4, 2044], (3, 2), {"pads": [0, 1, 0, 1]}),
    "stride 3": ([1, 3, 9, 9], (3, 3), {"strides": [2, 3]}),
    "8 channels": ([1, 8, 9, 9], (3, 3), {}),
    "16 channels": ([1, 16, 9, 9], (3, 3), {"pads": [1, 1, 1, 1]}),
    "16 channels, whole": ([1, 16, 9, 9], (9, 9), {}),
    "whole": ([2, 3, 9, 9], (9, 9), {}),
    "whole, pads counted": ([1, 3, 9, 7], (9, 7), {"count_include_pad": 1}),
    "whole, padded": ([1, 3, 9, 9], (9, 9), {"pads": [0, 0, 1, 0]}),
    "whole, 1-D": ([2, 3, 20], (20,), {}),
    "1-D": ([2, 3, 20], (5,), {"strides": [2], "pads": [1, 1]}),
    "ceil_mode, pads counted": ([1, 3, 8, 8], (3, 3), {"strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1}),
}


@pytest.mark.parametrize("opset", [11, 18, 19])
def test_average_pool_in_the_order_of_its_opset(opset: int, tmp_path: Path) -> None:
    """The signs of zeros included: -0 is what no sum that starts at 0 makes."""
    model = together({name: average(s, *k, opset=opset, **given) for name, (s, k, given) in WINDOWS.items()})
    compiled = compile_model(model, tmp_path)
    assert_exact(compiled)
    rng = np.random.default_rng(0)
    feeds = {
        i.name: np.where(rng.random([d.dim_value for d in i.type.tensor_type.shape.dim]) < 0.9, -0.0, 0.0)
        for i in model.graph.input
    }
    feeds = {name: zeros.astype(np.float32) for name, zeros in feeds.items()}
    got = HostModel(compiled).run(feeds)
    for name, wanted in oracle.run(oracle.pinned_session(model), feeds).items():
        assert np.array_equal(np.signbit(got[name]), np.signbit(wanted)), name


def global_average(*behind: str, dequantized: bool = False) -> onnx.ModelProto:
    """Of 16 channels: of MaxPool and the operators behind it, on DequantizeLinear or the input."""
    net = Net("int8")
    shape = [1, 16, 9, 9]
    y = net.real(net.integer_input(shape)) if dequantized else net.float_input(shape)
    y = net.node("MaxPool", y, kernel_shape=[2, 2])
    for op in behind:
        operands = {"Concat": [y, y], "Mul": [y, y], "Add": [y, net.node("AveragePool", y, kernel_shape=[1, 1])]}
        y = net.node(op, *operands.get(op, [y]), **({"axis": 1} if op == "Concat" else {}))
    net._output(net.node("GlobalAveragePool", y), TensorProto.FLOAT)
    return net.model()


BEHIND_POOLS = [(), ("Relu",), ("Abs",), ("Relu", "Neg"), ("Add",), ("Mul", "Relu"), ("Concat",)]


@pytest.mark.parametrize("dequantized", [False, True])
def test_global_average_in_the_layout_of_a_pool(dequantized: bool, tmp_path: Path) -> None:
    cases = {"-".join(behind): global_average(*behind, dequantized=dequantized) for behind in BEHIND_POOLS}
    exact(together(cases), tmp_path)


def test_many_paths_to_a_pool(tmp_path: Path) -> None:
    """2^60 of them, each tensor looked at once."""
    compile_model(global_average(*["Relu", "Mul"] * 60), tmp_path)


def test_constants_in_the_meaning_of_their_opset(tmp_path: Path) -> None:
    net = Net(opset=11)
    x = net.float_input([1, 3, 9, 9])
    pool = net.node("AveragePool", net.constant(rand(1, 3, 11, 11)), kernel_shape=[3, 3])
    net._output(net.node("Add", x, pool), TensorProto.FLOAT, 4)
    net._output(net.node("Add", x, net.node("Softmax", net.constant(rand(1, 3, 9, 9)), axis=1)), TensorProto.FLOAT, 4)
    exact(net.model(), tmp_path)


def test_infinite_constants(tmp_path: Path) -> None:
    exact(pair("Max", [2, 3], np.array([-np.inf, 0.1, np.inf], np.float32)), tmp_path)


def test_axes_put_together_from_constants(tmp_path: Path) -> None:
    net = Net(opset=20)
    axes = net.node("Reshape", net.constant(np.array([[2, 3]])), net.constant(np.array([-1])))
    net._output(net.node("ReduceMean", net.float_input([1, 3, 4, 5]), axes, name="mean"), TensorProto.FLOAT, 4)
    near(compile_model(net.model(), tmp_path))


def test_concat_and_split(tmp_path: Path) -> None:
    net = Net()
    x, y = net.float_input([2, 3, 4]), net.float_input([2, 5, 4], "z")
    net._output(net.node("Concat", x, y, x, axis=1), TensorProto.FLOAT)
    exact(net.model(), tmp_path)


SPECIAL = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38, -3e38, 88.7, -87.5, -103.9, 1e-7, -1e-7, 0.5, 8388609.0],
    np.float32,
)


FUNCTIONS = ("Exp", "Log", "Sqrt", "Sigmoid", "Tanh", "Erf", "Floor", "Ceil", "Abs", "Reciprocal")


def test_special_values(tmp_path: Path) -> None:
    """Infinities, NaN, signed zeros and subnormals; and a fine sweep, to four units in the last place."""
    count = 4000
    x = np.concatenate([SPECIAL, np.linspace(-12, 12, count - SPECIAL.size, dtype=np.float32)])
    model = together({op: layer(op, [count]) for op in FUNCTIONS})
    feeds = {f"{op}/x": x for op in FUNCTIONS}
    wanted = oracle.run(oracle.plain_session(model), feeds)
    got = HostModel(compile_model(model, tmp_path)).run(feeds)
    for name, want in wanted.items():
        finite = np.isfinite(want)
        assert np.array_equal(np.isnan(got[name]), np.isnan(want)), name
        assert np.array_equal(got[name][np.isinf(want)], want[np.isinf(want)]), name
        error = np.abs(got[name][finite].astype(np.float64) - want[finite])
        assert np.all(error <= 4 * np.spacing(np.abs(want[finite])) + 1.2e-7), name


@pytest.mark.parametrize("on", ["host", "cortex-m0", "cortex-m55"])
def test_softmax_down_to_subnormals(on: str, tmp_path: Path) -> None:
    """exp is subnormal from -87.3, and 0 from -104."""
    reason = "" if on == "host" else available(core(on))
    if reason:
        pytest.skip(reason)
    compiled = compile_model(layer("Softmax", [400, 3], axis=-1), tmp_path, core="cortex-m4" if on == "host" else on)
    low = np.linspace(-106, -80, 400, dtype=np.float32)
    rows = np.stack([low, np.zeros_like(low), np.full_like(low, -50)], 1)
    result = verify(compiled, given_samples(compiled, {"x": rows[None]}, Path("sweep.npz"), None), on)
    assert result.bit_exact
    (got,) = result.outputs.values()
    assert np.count_nonzero((got > 0) & (got < np.finfo(np.float32).tiny)) > 100


# Float between integers


def _mixed() -> onnx.ModelProto:
    """Quantized convolution, normalization and Gelu in float, quantized head."""
    net = Net(seed=3)
    a = net.conv(net.input((1, 3, 8, 8)), (6, 3, 3, 3), then="Relu", zero_point=-128)
    b = net.node("InstanceNormalization", net.real(a), net.constant(rand(6)), net.constant(rand(6)), name="norm")
    c = net.quantize(net.node("Gelu", b, name="gelu"), 0.02, -60)
    net.output(net.gemm(net.quantize(net.node("Flatten", net.real(c)), 0.02, -60), 5, 216))
    net.opset = 20
    return net.model()


@pytest.mark.parametrize("io", ["int8", "float"])
def test_island(io: str, tmp_path: Path) -> None:
    compiled = compile_model(_mixed(), tmp_path, io=io)
    near(compiled)
    kinds = {step.name: step.exactness for step in compiled.steps}
    assert kinds["norm"] == kinds["gelu"] == FLOAT and list(kinds.values()).count(PROVED) >= 4
    before = next(step for step in compiled.steps if step.macs)
    assert before.outputs[0] not in tolerances(compiled), "what stands before the island stays exact"


def test_float_layer_before_quantized_ones(tmp_path: Path) -> None:
    net = Net(seed=5)
    x = net.node("Conv", net.float_input((1, 3, 8, 8)), net.constant(rand(4, 3, 3, 3)), name="stem")
    net.output(net.conv(net.quantize(net.node("Relu", x), 0.05, -128), (5, 4, 3, 3)))
    assert kernels(near_compiled(net, tmp_path))[1:3] == ["mcugen_f32_convolve", "mcugen_quantize_f32_s8"]


def near_compiled(net: Net, folder: Path) -> Compiled:
    compiled = compile_model(net.model(), folder)
    near(compiled)
    return compiled


def test_constant_behind_dequantize(tmp_path: Path) -> None:
    """Float activations with 8-bit weights: the weights become float32 at compile time."""
    net = Net()
    weights, _ = net.weights((6, 12))
    net._output(net.node("Gemm", net.float_input((2, 12)), weights, transB=1), TensorProto.FLOAT)
    assert kernels(near_compiled(net, tmp_path)) == ["mcugen_f32_convolve"]


@pytest.mark.parametrize("on", ["cortex-m3", "cortex-m4"])
def test_emulated(on: str, tmp_path: Path) -> None:
    near(compile_model(_mixed(), tmp_path, core=on), samples=2, on=on)
    assert_exact(compile_model(EXACT["softmax, many classes"], tmp_path, core=on), samples=2, on=on)
    near(compile_model(NEAR["lstm"], tmp_path, core=on), samples=2, on=on)


# Commands


def test_verify_says_within_tolerance(tmp_path: Path) -> None:
    path = tmp_path / "float.onnx"
    onnx.save(NEAR["conv"], path)
    result = CliRunner().invoke(main, ["verify", str(path), "--samples", "4", "--json"])
    said = json.loads(result.stdout)
    assert result.exit_code == 0 and said["within_tolerance"]
    assert said["bit_exact"] == (said["mismatches"] == 0)
    assert (said["promised"], said["held"]) == ("tolerance", "equality" if said["bit_exact"] else "tolerance")
    assert 0 <= said["max_abs_difference"] <= said["allowed_difference"] < 1e-4
    assert "warning: the model is not quantized" in result.stderr and "mcugen quantize" in result.stderr


def test_beyond_tolerance_fails(tmp_path: Path) -> None:
    """The same samples against a model with one weight changed: the differences are found and named."""
    compiled = compile_model(NEAR["gemm"], tmp_path)
    changed = layer("Gemm", [2, 12], rand(12, 5) * np.float32(1.001), rand(5))
    other = compile_model(changed, tmp_path)
    mixed = Compiled(**{**vars(other), "model": compiled.model})
    result = verify(mixed, random_samples(mixed, 4, seed=0))
    assert not result.passed and not result.within_tolerance and result.max_abs_difference > 1e-4


def _steep(change: float) -> onnx.ModelProto:
    """A float layer, and behind its quantization a layer that makes several codes of each."""
    net = Net(seed=8)
    real = net.node("Gemm", net.float_input((1, 12)), net.constant(rand(12, 8) * np.float32(1 + change)), name="float")
    x = net.quantize(real, 0.02, 0)
    net.output(net.gemm(x, 10, 8, scale=x.scale * 0.2))
    return net.model()


def test_tolerance_behind_a_steep_layer(tmp_path: Path) -> None:
    """A neighbouring code of the float layer becomes several ones; the layer's weights say how many. No more pass."""
    compiled = compile_model(_steep(0), tmp_path)
    for change, within in ((9e-6, True), (0.1, False)):
        other = Compiled(**{**vars(compile_model(_steep(change), tmp_path)), "model": compiled.model})
        result = verify(other, random_samples(other, 1000, seed=0))
        assert result.max_lsb > 2 and result.within_tolerance == within, (change, result.max_lsb)
        assert within == result.passed


def test_a_wrong_weight_behind_a_float_step_is_found(tmp_path: Path) -> None:
    """One code of difference there is wrong: the step has its meaning on the very inputs that it had."""
    compiled = compile_model(_steep(0), tmp_path, kernels="api")
    (layer,) = (step for step in compiled.steps if step.macs and step.exactness == PROVED)
    changed = {
        role: replace(arg, data=arg.data + (np.arange(arg.data.size).reshape(arg.data.shape) == 3))
        for role, arg in layer.args
        if isinstance(arg, Table) and arg.role == "weights"
    }
    wrong = replace(layer, args=tuple((role, changed.get(role, arg)) for role, arg in layer.args))
    other = replace(compiled, steps=tuple(wrong if step is layer else step for step in compiled.steps))
    result = verify(other, random_samples(other, 8, seed=0))
    assert not result.passed and layer.name in result.first_difference


@needs_cmake
def test_project_tests_itself(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    project.build(compile_model(_mixed(), tmp_path, kernels="api"), folder, ram=None, flash=None)
    compile_project(folder, [GCC, "-std=c99"])
    assert (folder / "kernels" / "mcugen_kernels_f32.h").is_file()
    run(["cmake", "-B", "build", "-G", "Ninja"], cwd=folder)
    run(["cmake", "--build", "build"], cwd=folder)
    assert "PASS" in run([folder / "build" / "small_test"])


@needs_arm_gcc
def test_every_float_kernel_compiles_cleanly(tmp_path: Path) -> None:
    folder = resources.templates() / "kernels"
    files = sorted([*folder.glob("mcugen_f32_*.c"), *folder.glob("mcugen_dynamic_*.c")])
    paths = [f"-I{path}" for path in (folder, resources.cmsis() / "Include", resources.cmsis() / "exact")]
    for compiler in ([GCC], [ARM_GCC, "-mcpu=cortex-m3", "-mthumb"]):
        run([*compiler, "-std=c99", *STRICT, "-fsyntax-only", *paths, *files], cwd=tmp_path)


def test_integer_projects_carry_no_float_kernels(tmp_path: Path) -> None:
    net = Net()
    net.output(net.conv(net.input((1, 3, 8, 8)), (4, 3, 3, 3)))
    project.build(compile_model(net.model(), tmp_path), tmp_path / "out", ram=None, flash=None)
    assert not list((tmp_path / "out" / "kernels").glob("*f32_*")) and (tmp_path / "out" / "kernels").is_dir()


REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "power": (pair("Pow", [2, 3], np.array(2**24 + 1, np.int64)), "only: Pow with an exponent of type int64"),
    "lstm, batch first": (recurrent("LSTM", layout=1), "only: LSTM with layout = 1 runs nowhere in ONNX Runtime"),
    "rnn, unknown function": (recurrent("RNN", activations=["Wave"]), "only: RNN with activation 'wave' is not"),
    "rnn, functions of two directions": (recurrent("RNN", activations=["Relu", "Relu"]), "RNN with 2 activations"),
    "rnn, another hidden_size": (
        layer("RNN", [6, 2, 5], rand(1, 7, 5), rand(1, 7, 7), hidden_size=9, outputs=2),
        r"only: '.*' has shape \[6, 1, 2, 9\] where RNN has \[6, 1, 2, 7\]",
    ),
    "gru, weights of another depth": (
        layer("GRU", [6, 2, 5], rand(1, 21, 4), rand(1, 21, 7), hidden_size=7, outputs=2),
        r"only: 'c.*' has shape \[1, 21, 4\] where GRU has \[1, 21, 5\]",
    ),
    "gru, beyond the last step": (recurrent("GRU", lengths=[3, 7]), "only: a sequence has a length outside 1..6"),
    "gru, clip": (recurrent("GRU", clip=-1.0), "only: clip = -1 is not positive"),
    "unknown": (layer("Det", [2, 3, 3]), "only: operator Det is not supported"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str, tmp_path: Path) -> None:
    model, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        compile_model(model, tmp_path)


def test_names_that_the_meaning_of_a_layer_uses_too(tmp_path: Path) -> None:
    """A tensor of the model is called as what the canonical graph puts inside a convolution."""
    net = Net(opset=20)
    image, row = net.float_input([1, 3, 6, 6]), net.float_input([1, 30], name="row")
    net._output(net.node("Conv", image, net.constant(rand(3, 3, 1, 1))), TensorProto.FLOAT, 4)
    net._output(net.node("Abs", row), TensorProto.FLOAT, 2)
    model = net.model()
    for node, output, name in zip(model.graph.node, model.graph.output, ("y", "y/nhwc/nhwc"), strict=True):
        node.output[0] = output.name = name
    near(compile_model(model, tmp_path))
