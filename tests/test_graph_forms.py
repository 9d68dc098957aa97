"""What exporters write around the layers: ports, names, shared initializers, missing outer Q/DQ, folded layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checking import assert_exact, compile_model, exact, exact_integer_form, kernels
from onnx import TensorProto, helper, numpy_helper
from small_models import DTYPES, Net

from mcugen import oracle


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("io", ["int8", "float"])
def test_integer_model_edges(io: str, dtype: str, tmp_path: Path) -> None:
    """No outer Q/DQ: the firmware's edge is the model's own, whatever --io asks for."""
    net = Net(dtype)
    y = net.conv(net.integer_input((1, 3, 6, 5)), (4, 3, 3, 3))
    net.integer_output(y)
    compiled = exact(net.model(), tmp_path, io=io)
    assert [port.type.dtype for port in (*compiled.inputs, *compiled.outputs)] == ["int8", "int8"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_output_that_is_used_inside(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.conv(net.input((1, 3, 6, 5)), (4, 3, 3, 3))
    net.output(x, "features")
    net.output(net.conv(x, (2, 4, 1, 1)), "map")
    assert {port.name for port in exact(net.model(), tmp_path).outputs} == {"features", "map"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("io", ["int8", "float"])
def test_one_tensor_under_two_output_names(io: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    y = net.op("Tanh", net.input((1, 90)), scale=1 / 128, zero_point=0)
    net.output(y, "first")
    net.output(y, "second")
    exact(net.model(), tmp_path, io=io)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("io", ["int8", "float"])
def test_an_input_that_is_an_output(io: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((1, 60))
    net.output(x, "echo")
    net.output(net.op("Neg", x), "negative")
    exact(net.model(), tmp_path, io=io)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_model_that_only_quantizes(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    net.output(net.input((1, 60)), "echo")
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_input_read_with_two_scales(dtype: str, tmp_path: Path) -> None:
    """One float input, quantized twice: the board has to quantize, or hold both."""
    net = Net(dtype)
    name = net.float_input((1, 60))
    a, b = net.quantize(name, 0.05, -3), net.quantize(name, 0.02, 9)
    net.output(net.op("Add", a, b, scale=0.07))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_unnamed_nodes(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    net.output(net.conv(net.conv(net.input((1, 3, 6, 5)), (4, 3, 3, 3)), (4, 4, 1, 1)))
    model = net.model()
    for node in model.graph.node:
        node.name = ""
    compiled = exact(model, tmp_path)
    names = [step.name for step in compiled.steps]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("dtype", DTYPES)
def test_shared_initializers(dtype: str, tmp_path: Path) -> None:
    """Equal scales, zero points and weights held once for the whole graph, as tf2onnx writes them."""
    net = Net(dtype)
    x = net.input((1, 4, 5, 5))
    for _ in range(2):
        net.rng = np.random.default_rng(9)
        x = net.conv(x, (4, 4, 1, 1), scale=0.2, zero_point=3)
    net.output(x)
    model = net.model()
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        key = f"{array.dtype}{array.shape}".encode() + array.tobytes()
        same[tensor.name] = first.setdefault(key, tensor.name)
    for node in model.graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
    kept = [tensor for tensor in model.graph.initializer if tensor.name in first.values()]
    assert len(kept) < len(model.graph.initializer) - 4
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    exact(model, tmp_path)


def test_initializers_listed_as_inputs(tmp_path: Path) -> None:
    """As IR version 3 had it."""
    net = Net()
    net.output(net.conv(net.input((1, 3, 5, 5)), (4, 3, 3, 3)))
    model = net.model()
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    assert [port.name for port in exact(model, tmp_path).inputs] == ["x"]


def test_constant_nodes_and_shape_computations_are_folded(tmp_path: Path) -> None:
    """Reshape to (Shape(x)[0], -1), as exporters from PyTorch write a Flatten."""
    net = Net()
    y = net.conv(net.input((1, 3, 5, 5)), (4, 3, 3, 3))
    real = net.real(y)
    batch = net.node("Gather", net.node("Shape", real), net.node("Constant", value=_tensor([0])))
    sizes = net.node("Concat", batch, net.node("Constant", value_ints=[-1]), axis=0)
    flat = net.quantize(net.node("Reshape", real, sizes), y.scale, y.zero_point - 128)
    net.output(net.gemm(flat, 3, 36))
    compiled = exact(net.model(), tmp_path)
    assert len(kernels(compiled)) == 3  # transpose of the input, conv, fully connected


def _tensor(values: list[int]) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [None, 0])
def test_batch_normalization_behind_a_convolution_is_folded(axis: int | None, dtype: str, tmp_path: Path) -> None:
    """ONNX Runtime runs the pair in float; the C is the integer form, equal to its canonical graph."""
    net = Net(dtype)
    weights, _ = net.weights((4, 3, 3, 3), axis=axis)
    real = net.node("Conv", net.real(net.input((1, 3, 6, 5))), weights)
    gamma, beta, mean = net.rng.normal(1, 0.4, (3, 4)).astype(np.float32)
    gamma[1] *= -1
    variance = net.rng.uniform(0.5, 2, 4).astype(np.float32)
    real = net.node("BatchNormalization", real, *(net.constant(a) for a in (gamma, beta, mean, variance)))
    net.output(net.quantize(real, 0.15, 4))
    compiled = exact_integer_form(net.model(), tmp_path)
    assert "mcugen_channel_lut_s8" not in kernels(compiled)


def test_dynamic_batch_is_one(tmp_path: Path) -> None:
    net = Net()
    net.output(net.conv(net.input(("N", 3, 6, 5)), (4, 3, 3, 3)))
    compiled = exact(net.model(), tmp_path)
    assert compiled.inputs[0].type.shape == (1, 3, 6, 5)


def test_a_symbol_is_one_number_everywhere(tmp_path: Path) -> None:
    net = Net()
    a, b = net.input((1, "T"), name="a"), net.input((1, "T"), 0.03, 9, name="b")
    net.output(net.op("Add", a, b, scale=0.07))
    compiled = compile_model(net.model(), tmp_path, shapes={"a": (1, 24)})
    assert [port.type.shape for port in compiled.inputs] == [(1, 24), (1, 24)]
    assert_exact(compiled)


def test_the_pinned_session_is_what_the_report_says() -> None:
    for dtype, key in (("uint8", "session.x64quantprecision"), ("int8", "session.qdqisint8allowed")):
        net = Net(dtype)
        net.output(net.conv(net.input((1, 3, 6, 5)), (4, 3, 3, 3)))
        options = oracle.session_options(net.model())
        assert {name for name in options if name.startswith("session.")} == {key}
