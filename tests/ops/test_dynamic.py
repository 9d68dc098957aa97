"""Dynamic quantization: scale and zero point are measured in every inference, and yet no byte differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from checking import assert_exact, compile_model, exact, kernels
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from small_models import Net

from mcugen import oracle
from mcugen.emit.report import float_warning
from mcugen.errors import UserError
from mcugen.prove.host import HostModel
from mcugen.prove.samples import random_samples
from mcugen.prove.toolchain import available
from mcugen.prove.verify import verify
from mcugen.target import core


class DynamicNet(Net):
    """Layers in the form that onnxruntime.quantization.quantize_dynamic writes, on float values."""

    def several(self, op: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any) -> list[str]:
        names = [f"{op}_{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=names[0], domain=domain, **attributes))
        return names

    def layer_of(
        self,
        op: str,
        x: str,
        shape: tuple[int, ...],
        *,
        axis: int,
        bias: bool = True,
        per_channel: bool = False,
        w_dtype: Any = np.int8,
        w_zero: int | None = 0,
        then: str = "",
        **attributes: Any,
    ) -> str:
        """ConvInteger or MatMulInteger with its scales, bias (along `axis` of the output) and activation."""
        q, scale, zero = self.several("DynamicQuantizeLinear", x, outputs=3)
        info = np.iinfo(w_dtype)
        weights = self.constant(self.rng.integers(info.min, info.max, shape, endpoint=True).astype(w_dtype), "w")
        outputs = shape[0] if op == "ConvInteger" else shape[-1]
        spread = (1, outputs, *(1,) * (len(shape) - 2)) if op == "ConvInteger" else (outputs,)
        w_scale = self.rng.uniform(0.001, 0.01, outputs if per_channel else 1).astype(np.float32)
        w_scale = w_scale.reshape(spread if per_channel else ())
        zeros = [zero] if w_zero is None else [zero, self.constant(np.array(w_zero, w_dtype), "w_zero")]
        sums = self.node("Cast", self.node(op, q, weights, *zeros, **attributes), to=TensorProto.FLOAT)
        y = self.node("Mul", sums, self.node("Mul", scale, self.constant(w_scale, "w_scale")))
        if bias:
            y = self.node("Add", y, self.constant(self.rng.standard_normal(outputs).astype(np.float32).reshape(spread)))
        return self.node(then, y) if then else y

    def conv(self, x: str, shape: tuple[int, ...], **options: Any) -> str:  # type: ignore[override]
        return self.layer_of("ConvInteger", x, shape, axis=1, **options)

    def matmul(self, x: str, depth: int, outputs: int, **options: Any) -> str:
        return self.layer_of("MatMulInteger", x, (depth, outputs), axis=-1, **options)

    def finished(self, y: str) -> onnx.ModelProto:
        self._output(y, TensorProto.FLOAT)
        return self.model()


CONVS: dict[str, dict[str, Any]] = {
    "plain": {},
    "relu": {"then": "Relu"},
    "no bias": {"bias": False},
    "per channel": {"per_channel": True},
    "strided, padded on one side": {"strides": [2, 1], "pads": [0, 1, 2, 0]},
    "dilated": {"dilations": [2, 1]},
    "uint8 weights with a zero point": {"w_dtype": np.uint8, "w_zero": 131},
    "int8 weights with a zero point": {"w_zero": -7},
    "no weight zero point": {"w_zero": None},
}


@pytest.mark.parametrize("part", range(3))
def test_conv(part: int, tmp_path: Path) -> None:
    """Several cases in one model, each on an input of its own."""
    net = DynamicNet()
    cases = list(CONVS.items())[part::3]
    for name, options in cases:
        net._output(net.conv(net.float_input((1, 3, 9, 8), name), (5, 3, 3, 3), **options), TensorProto.FLOAT)
    compiled = exact(net.model(), tmp_path)
    assert kernels(compiled).count("mcugen_dynamic_convolve_s8_f32") == len(cases)


def test_grouped_and_1d_conv(tmp_path: Path) -> None:
    net = DynamicNet()
    for group, outputs in ((4, 4), (4, 8), (2, 6), (2, 10)):
        x = net.float_input((1, 4, 7, 7), f"x{group}_{outputs}")
        y = net.conv(x, (outputs, 4 // group, 3, 3), group=group, pads=[1, 1, 1, 1], w_zero=3)
        net._output(y, TensorProto.FLOAT)
    line = net.conv(net.float_input((1, 3, 20), "line"), (4, 3, 5), strides=[2])
    exact(net.finished(line), tmp_path)


@pytest.mark.parametrize("shape", [(1, 24), (3, 24), (2, 3, 24)], ids=str)
def test_matmul(shape: tuple[int, ...], tmp_path: Path) -> None:
    net = DynamicNet()
    for number, options in enumerate(({}, {"per_channel": True, "then": "Relu"}, {"bias": False, "w_zero": 9})):
        y = net.matmul(net.float_input(shape, f"x{number}"), 24, 10, **options)
        net._output(y, TensorProto.FLOAT)
    exact(net.model(), tmp_path)


def test_whole_network(tmp_path: Path) -> None:
    """Residual sum, both kinds of pooling, softmax: all in ONNX Runtime's own order."""
    exact(_network(), tmp_path, samples=32)


@pytest.mark.parametrize("on", ["cortex-m3", "cortex-m4"])
def test_emulated(on: str, tmp_path: Path) -> None:
    assert_exact(compile_model(_network(), tmp_path, core=on), samples=3, on=on)


def _network() -> onnx.ModelProto:
    net = DynamicNet(seed=2)
    a = net.conv(net.float_input((1, 3, 12, 12)), (16, 3, 3, 3), pads=[1, 1, 1, 1], then="Relu")
    b = net.conv(a, (16, 1, 3, 3), group=16, pads=[1, 1, 1, 1])
    c = net.node("Relu", net.node("Add", a, b))
    d = net.node("AveragePool", c, kernel_shape=[3, 3], strides=[2, 2])
    e = net.node("MaxPool", d, kernel_shape=[2, 2])
    f = net.node("Flatten", net.node("GlobalAveragePool", net.conv(e, (20, 16, 1, 1))))
    return net.finished(net.node("Softmax", net.matmul(f, 20, 12), axis=-1))


def _lstm(direction: str, *, weights: QuantType, per_channel: bool, folder: Path) -> onnx.ModelProto:
    """Two layers of LSTM as quantize_dynamic writes them; only the last states of the second one are asked for."""
    inputs, hidden, directions = 5, 7, 2 if direction == "bidirectional" else 1
    net = Net(opset=17)

    def layer(x: str, depth: int) -> list[str]:
        sizes = (directions, 4 * hidden, depth), (directions, 4 * hidden, hidden), (directions, 8 * hidden)
        constants = [net.constant(net.rng.uniform(-1, 1, size).astype(np.float32)) for size in sizes]
        name = f"lstm_{len(net.nodes)}"
        made = [f"{name}_{part}" for part in ("y", "h", "c")]
        options = {"hidden_size": hidden, "direction": direction}
        net.nodes.append(helper.make_node("LSTM", [x, *constants], made, name=name, **options))
        return made

    first, *_ = layer(net.float_input((6, 2, inputs)), inputs)
    shape = net.constant(np.array([6, 2, directions * hidden], np.int64))
    _, h, _ = layer(net.node("Reshape", net.node("Transpose", first, perm=[0, 2, 1, 3]), shape), directions * hidden)
    net._output(h, TensorProto.FLOAT)
    paths = folder / "float.onnx", folder / "dynamic.onnx"
    onnx.save(net.model(), paths[0])
    quantize_dynamic(*paths, op_types_to_quantize=["LSTM"], weight_type=weights, per_channel=per_channel)
    return onnx.load(paths[1])


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("weights", [QuantType.QInt8, QuantType.QUInt8], ids=str)
def test_lstm(direction: str, weights: QuantType, tmp_path: Path) -> None:
    """Within its tolerance; far nearer than the float model, whose weights were not rounded."""
    per_channel = direction != "reverse"
    model = _lstm(direction, weights=weights, per_channel=per_channel, folder=tmp_path)
    compiled = compile_model(model, tmp_path)
    assert kernels(compiled).count("mcugen_dynamic_lstm") == (4 if direction == "bidirectional" else 2)
    samples = random_samples(compiled, 50, seed=1)
    result = verify(compiled, samples)
    assert result.passed, f"{result.max_abs_difference:g}: {result.first_difference}"
    assert float_warning(compiled) is None
    (name,) = result.outputs
    reference = oracle.run_all(oracle.pinned_session(onnx.load(tmp_path / "float.onnx")), samples.model)
    (wanted,) = oracle.run_all(oracle.pinned_session(compiled.model), samples.model).values()
    errors = np.abs(result.outputs[name] - wanted).mean()
    assert errors < 0.02 * np.abs(next(iter(reference.values())) - wanted).mean()


def test_lstm_emulated(tmp_path: Path) -> None:
    if missing := available(core("cortex-m4")):
        pytest.skip(missing)
    model = _lstm("forward", weights=QuantType.QInt8, per_channel=True, folder=tmp_path)
    compiled = compile_model(model, tmp_path, core="cortex-m4")
    assert verify(compiled, random_samples(compiled, 2, seed=1), "cortex-m4").passed


@pytest.mark.parametrize("fused", ["DynamicQuantizeMatMul", "MatMulIntegerToFloat"])
@pytest.mark.parametrize("bias", [False, True])
def test_fused_forms(fused: str, bias: bool, tmp_path: Path) -> None:
    net = DynamicNet(seed=4)
    x = net.float_input((2, 24))
    weights = net.constant(net.rng.integers(0, 256, (24, 10)).astype(np.uint8), "w")
    scale, zero = net.constant(np.float32(0.004), "w_scale"), net.constant(np.uint8(120), "w_zero")
    offset = [net.constant(net.rng.standard_normal(10).astype(np.float32), "bias")] if bias else []
    if fused == "DynamicQuantizeMatMul":
        operands = [x, weights, scale, zero]
    else:
        q, x_scale, x_zero = net.several("DynamicQuantizeLinear", x, outputs=3)
        operands = [q, weights, x_scale, scale, x_zero, zero]
    y = net.node(fused, *operands, *offset, domain="com.microsoft")
    net.outputs.append(helper.make_tensor_value_info(y, TensorProto.FLOAT, [2, 10]))
    graph = helper.make_graph(net.nodes, "small", net.inputs, net.outputs, net.initializers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    exact(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path)


RANGES = {
    "zeros": np.zeros(8),
    "one constant": np.full(8, 0.3),
    "only positive": np.linspace(0.1, 5, 8),
    "only negative": np.linspace(-5, -0.1, 8),
    "ties": np.array([-1.0, 254.0, 0.5, 1.5, 2.5, 3.5, -0.5, 126.5]),
    "subnormal step": np.array([0, 1e-39, 2e-39, 3e-39, 0, 0, 0, 1e-38]),
    "large": np.array([3e38, 1e38, 0, 1, -1e37, 5e37, 2, 3]),
}


@pytest.mark.parametrize("case", RANGES)
def test_ranges(case: str, tmp_path: Path) -> None:
    """DynamicQuantizeLinear alone, all three outputs, where its rounding is delicate."""
    from mcugen import oracle  # the reference itself

    net = DynamicNet()
    for name, kind in zip(
        net.several("DynamicQuantizeLinear", net.float_input((8,)), outputs=3),
        (TensorProto.UINT8, TensorProto.FLOAT, TensorProto.UINT8),
        strict=True,
    ):
        net._output(name, kind)
    model = net.model()
    x = RANGES[case].astype(np.float32)
    wanted = list(oracle.run(oracle.pinned_session(model), {"x": x}).values())
    compiled = compile_model(model, tmp_path)
    got = list(HostModel(compiled).run({"x": x}).values())
    assert np.array_equal(got[0].astype(np.int16) + 128, wanted[0])
    assert got[1].tobytes() == wanted[1].tobytes()
    assert int(got[2]) + 128 == int(wanted[2])


def _codes(net: DynamicNet, shape: tuple[int, ...], name: str, dtype: Any) -> str:
    """A model input of integers as they are."""
    net.inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape))
    return name


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_sums(dtype: Any, tmp_path: Path) -> None:
    """int32 sums as outputs: of operands and zero points that are inputs, or constants."""
    net = DynamicNet()
    a, b = _codes(net, (2, 3, 5), "a", dtype), _codes(net, (5, 4), "b", dtype)
    zero, zeros = _codes(net, (1,), "a_zero", dtype), _codes(net, (4,), "b_zeros", dtype)
    net._output(net.node("MatMulInteger", a, b, zero, zeros), TensorProto.INT32)
    net._output(net.node("MatMulInteger", a, _codes(net, (2, 5, 4), "c", dtype), zero), TensorProto.INT32)
    net._output(net.node("MatMulInteger", _codes(net, (5,), "row", dtype), b), TensorProto.INT32)
    constant = net.constant(net.rng.integers(0, 100, (5, 7)).astype(dtype), "constant")
    net._output(net.node("MatMulInteger", a, constant, zero, net.constant(np.array(3, dtype), "three")), 6)
    exact(net.model(), tmp_path)


def test_sums_of_convolutions(tmp_path: Path) -> None:
    net = DynamicNet()
    x, w = _codes(net, (2, 4, 7, 6), "x", np.uint8), _codes(net, (6, 2, 3, 2), "w", np.uint8)
    zero, w_zero = _codes(net, (), "x_zero", np.uint8), _codes(net, (1,), "w_zero", np.uint8)
    options = {"group": 2, "pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]}
    net._output(net.node("ConvInteger", x, w, zero, w_zero, **options), TensorProto.INT32)
    fixed = net.constant(net.rng.integers(0, 255, (3, 4, 3, 3)).astype(np.uint8), "fixed")
    real = net.node("Cast", net.node("ConvInteger", x, fixed, zero), to=TensorProto.FLOAT)
    net._output(net.node("Add", real, net.constant(np.float32([[[0.5]], [[1]], [[2]]]))), TensorProto.FLOAT)
    line = _codes(net, (1, 3, 9), "line", np.uint8)
    net._output(net.node("ConvInteger", line, _codes(net, (2, 3, 4), "taps", np.uint8)), TensorProto.INT32)
    exact(net.model(), tmp_path)


def test_attention(tmp_path: Path) -> None:
    """Products of two activations, both quantized at run time."""
    net = DynamicNet()
    q, q_scale, q_zero = net.several("DynamicQuantizeLinear", net.float_input((2, 4, 6)), outputs=3)
    k, k_scale, k_zero = net.several("DynamicQuantizeLinear", net.float_input((2, 6, 3), "keys"), outputs=3)
    sums = net.node("Cast", net.node("MatMulInteger", q, k, q_zero, k_zero), to=TensorProto.FLOAT)
    exact(net.finished(net.node("Mul", sums, net.node("Mul", q_scale, k_scale))), tmp_path)


@pytest.mark.parametrize("on", ["cortex-m3", "cortex-m55"])
def test_sums_emulated(on: str, tmp_path: Path) -> None:
    net = DynamicNet()
    sums = net.node("MatMulInteger", _codes(net, (3, 5), "a", np.uint8), _codes(net, (5, 4), "b", np.uint8))
    net._output(sums, TensorProto.INT32)
    image, weights = _codes(net, (1, 2, 6, 5), "x", np.uint8), _codes(net, (3, 2, 3, 3), "w", np.uint8)
    net._output(net.node("ConvInteger", image, weights, pads=[1, 1, 1, 1]), TensorProto.INT32)
    assert_exact(compile_model(net.model(), tmp_path, core=on), samples=2, on=on)


def test_groups_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    net = DynamicNet()
    x, w = _codes(net, (1, 4, 7, 6), "x", np.uint8), _codes(net, (6, 1, 3, 2), "w", np.uint8)
    net._output(net.node("ConvInteger", x, w, group=2, name="narrow"), TensorProto.INT32)
    with pytest.raises(
        UserError, match=r"narrow: 2 groups of weights \[6, 1, 3, 2\] do not fit an input of 4 channels"
    ):
        compile_model(net.model(), tmp_path)


def test_a_zero_point_a_row_is_refused(tmp_path: Path) -> None:
    net = DynamicNet()
    a, b = _codes(net, (2, 5), "a", np.uint8), _codes(net, (5, 4), "b", np.uint8)
    net._output(net.node("MatMulInteger", a, b, _codes(net, (2,), "zeros", np.uint8), name="rows"), TensorProto.INT32)
    with pytest.raises(UserError, match="rows: the input's zero point must be one value"):
        compile_model(net.model(), tmp_path)
