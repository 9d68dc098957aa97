"""What exporters write around the layers: ports, names, shared initializers, missing outer Q/DQ, folded layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from checking import assert_exact, compile_model, exact, exact_integer_form, kernels
from onnx import TensorProto, helper, numpy_helper
from small_models import DTYPES, Net, Tensor

from mcugen import UserError, oracle
from mcugen.prove.samples import random_samples
from mcugen.prove.verify import verify


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


@pytest.mark.parametrize("io", ["int8", "float"])
def test_an_input_that_is_an_output_by_name(io: str, tmp_path: Path) -> None:
    """The board needs it as real numbers, so it quantizes for itself."""
    net = Net()
    net.output(net.op("Neg", net.input((1, 60))))
    model = net.model()
    model.graph.output.append(model.graph.input[0])
    assert [port.type.dtype for port in exact(model, tmp_path, io=io).inputs] == ["float32"]


def test_the_same_output_twice(tmp_path: Path) -> None:
    net = Net()
    net.output(net.op("Neg", net.input((1, 60))))
    model = net.model()
    model.graph.output.append(model.graph.output[0])
    exact(model, tmp_path)


def _initializer(net: Net) -> str:
    return net.constant(np.arange(4, dtype=np.float32))


def _identity(net: Net) -> str:
    return net.node("Identity", _initializer(net))


def _quantized(net: Net) -> str:
    return net.real(net.quantize(_initializer(net)))


@pytest.mark.parametrize("make", [_initializer, _identity, _quantized])
def test_an_output_that_is_a_constant_is_refused(make: Callable[[Net], str], tmp_path: Path) -> None:
    net = Net()
    net.output(net.op("Neg", net.input((1, 60))))
    name = make(net)
    net._output(name, TensorProto.FLOAT, 1)
    with pytest.raises(UserError, match="is a constant") as error:
        compile_model(net.model(), tmp_path)
    assert error.value.origin == name


def test_what_nobody_reads(tmp_path: Path) -> None:
    """An input, and an initializer of a type that the firmware has not."""
    net = Net()
    net.constant(np.zeros((3, 3)))
    net.float_input((2, 3), "unused")
    net.output(net.op("Neg", net.input((1, 60))))
    assert {port.name for port in exact(net.model(), tmp_path).inputs} == {"x", "unused"}


@pytest.mark.parametrize("dtype", DTYPES)
def test_duplicate_subgraphs(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x, twins = net.input((1, 3, 6, 6)), []
    for _ in range(2):
        net.rng = np.random.default_rng(4)
        twins.append(net.conv(x, (4, 3, 3, 3), scale=0.4))
    net.output(net.op("Add", *twins, scale=0.7))
    exact(net.model(), tmp_path)


def test_only_an_inner_part_is_quantized(tmp_path: Path) -> None:
    net = Net()
    weights = net.constant(net.rng.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32))
    real = net.node("Relu", net.node("Conv", net.float_input((1, 3, 8, 8)), weights))
    inner = net.real(net.conv(net.quantize(real, 0.02, -128), (5, 4, 3, 3)))
    y = net.node("Softmax", net.node("Flatten", net.node("GlobalAveragePool", inner)), axis=-1)
    net._output(y, TensorProto.FLOAT)
    compiled = compile_model(net.model(), tmp_path)
    assert "proved" in {step.exactness for step in compiled.steps if "conv" in step.name}
    assert verify(compiled, random_samples(compiled, 8, seed=1)).passed


def test_a_chain_of_identities_and_dropouts(tmp_path: Path) -> None:
    net = Net()
    real = net.real(net.op("Neg", net.input((1, 60))))
    for op in ("Identity", "Dropout", "Identity"):
        real = net.node(op, real)
    net._output(real, TensorProto.FLOAT)
    assert len(exact(net.model(), tmp_path).steps) == 1


def test_a_scalar(tmp_path: Path) -> None:
    net = Net()
    net.output(net.op("Neg", net.input(())))
    exact(net.model(), tmp_path)


# Weights that are not written down as they are used. What ONNX Runtime runs in integers is integer here too.

_DATA = np.random.default_rng(5).integers(-127, 127, (6, 8)).astype(np.int8)


class Weights(Net):
    """Real weights [8, 6] of `_DATA`, in the ways that exporters write them."""

    def dq(self, integers: str, scale: Any = 0.01, **attributes: Any) -> str:
        zeros = np.zeros(np.shape(scale), np.int8)
        return self.node(
            "DequantizeLinear", integers, self.constant(np.float32(scale)), self.constant(zeros), **attributes
        )

    def turned(self, x: str) -> str:
        return self.node("Transpose", x, perm=[1, 0])

    def reshaped(self, x: str) -> str:
        return self.node("Reshape", x, self.shape(8, 6))


_SCALES = np.random.default_rng(6).uniform(0.005, 0.01, 6)
# name -> (weights, whether the layer is an integer one)
WEIGHTS: dict[str, tuple[Callable[[Weights], str], bool]] = {
    "Transpose of integers": (lambda n: n.dq(n.turned(n.constant(_DATA))), True),
    "Transpose": (lambda n: n.turned(n.dq(n.constant(_DATA))), True),
    "Transpose per channel": (lambda n: n.turned(n.dq(n.constant(_DATA), _SCALES, axis=0)), True),
    "Identity": (lambda n: n.node("Identity", n.dq(n.node("Identity", n.constant(_DATA.T)))), True),
    "Cast of integers": (
        lambda n: n.dq(n.node("Cast", n.constant(_DATA.T.astype(np.int32)), to=TensorProto.INT8)),
        True,
    ),
    "Cast": (lambda n: n.node("Cast", n.dq(n.constant(_DATA.T)), to=TensorProto.FLOAT), True),
    "Reshape of integers": (lambda n: n.dq(n.reshaped(n.constant(_DATA.ravel()))), True),
    "Reshape": (lambda n: n.reshaped(n.dq(n.constant(_DATA.ravel()))), False),
    "product": (lambda n: n.node("Mul", n.dq(n.constant(_DATA.T)), n.constant(np.float32(0.5))), False),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_through(case: str, dtype: str, tmp_path: Path) -> None:
    make, integer = WEIGHTS[case]
    net = Weights(dtype)
    net.output(net.quantize(net.node("MatMul", net.real(net.input((2, 8))), make(net)), 0.1, 4))
    model = net.model()
    assert any(node.op_type == "QLinearMatMul" for node in oracle.executed_graph(model).graph.node) == integer
    compiled = compile_model(model, tmp_path)
    assert all(step.exactness != "float" for step in compiled.steps) == integer
    result = verify(compiled, random_samples(compiled, 16, seed=1))
    assert result.bit_exact if integer else result.passed


def test_weights_that_are_read_both_ways(tmp_path: Path) -> None:
    """As they are by a layer, and through a Reshape."""
    net = Weights()
    x = net.real(net.input((2, 8)))
    weights = net.dq(net.constant(_DATA.T))
    a = net.quantize(net.node("MatMul", x, weights), 0.1, 4)
    b = net.quantize(net.node("MatMul", x, net.reshaped(weights)), 0.1, 4)
    net.output(a, "y")
    net.output(b, "z")
    compiled = compile_model(net.model(), tmp_path)
    assert verify(compiled, random_samples(compiled, 8, seed=1)).passed


# What tf2onnx writes around NHWC layers


def channels_first(net: Net, real: str) -> str:
    return net.node("Transpose", real, perm=[0, 3, 1, 2])


def channels_last(net: Net, real: str) -> str:
    return net.node("Transpose", real, perm=[0, 2, 3, 1])


def _transposes(net: Net, x: Tensor, weights: str) -> str:
    return net.node("Relu", net.node("Conv", channels_first(net, net.real(x)), weights, pads=[0, 0, 1, 1]))


def _padded(net: Net, x: Tensor, weights: str) -> str:
    real = net.node("Pad", channels_first(net, net.real(x)), net.shape(0, 0, 0, 0, 0, 0, 1, 1))
    return net.node("Conv", real, weights, strides=[2, 2])


def _padded_before(net: Net, x: Tensor, weights: str) -> str:
    real = net.node("Pad", net.real(x), net.shape(0, 0, 0, 0, 0, 1, 1, 0))
    return net.node("Conv", channels_first(net, real), weights, strides=[2, 2])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", [_transposes, _padded, _padded_before])
def test_forms_of_tf2onnx(make: Callable[[Net, Tensor, str], str], dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((1, 8, 8, 3))
    y = make(net, x, net.weights((4, 3, 3, 3))[0])
    net.output(net.quantize(channels_last(net, y), 0.25, -128 if make is _transposes else 4))
    compiled = exact(net.model(), tmp_path)
    assert [step.exactness for step in compiled.steps] == ["proved"]


def test_one_dimension_as_two(tmp_path: Path) -> None:
    """Unsqueeze - Conv - Squeeze, with transposes between."""
    net = Net()
    real = channels_first(net, net.node("Unsqueeze", net.real(net.input((1, 12, 3))), net.shape(1)))
    real = channels_last(net, net.node("Conv", real, net.weights((4, 3, 1, 3))[0]))
    net.output(net.quantize(net.node("Squeeze", real, net.shape(1)), 0.3, 3))
    assert len(exact(net.model(), tmp_path).steps) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_depthwise_weights_in_the_order_of_tensorflow(dtype: str, tmp_path: Path) -> None:
    net = Weights(dtype)
    data = net.rng.integers(-127, 127, (3, 3, 3, 1)).astype(np.int8)
    turned = net.node("Reshape", net.node("Transpose", net.constant(data), perm=[3, 2, 0, 1]), net.shape(3, 1, 3, 3))
    x = net.input((1, 3, 8, 8))
    net.output(net.quantize(net.node("Conv", net.real(x), net.dq(turned), group=3), 0.2, 3))
    exact(net.model(), tmp_path)


@pytest.mark.parametrize(
    "name", ["x" * 10_000, "größe/学习/🙂", "for", "12", " "], ids=["long", "unicode", "for", "12", "space"]
)
def test_names(name: str, tmp_path: Path) -> None:
    net = Net()
    net.output(net.conv(net.input((1, 3, 6, 6), name=name), (4, 3, 3, 3)), f"{name}o")
    model = net.model()
    model.graph.name = name
    for index, node in enumerate(model.graph.node):
        node.name = f"{name}{index}"
    exact(model, tmp_path)


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


def _named_by_output_dtype(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without zero points of activations, which must be 0; QuantizeLinear says of what type its codes are."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.input[0] not in constants:
            zero = constants[node.input.pop()]
            if node.op_type == "QuantizeLinear":
                node.attribute.append(helper.make_attribute("output_dtype", zero.data_type))
    return model


def _in_constant_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    constants = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in model.graph.initializer]
    nodes = [*constants, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


@pytest.mark.parametrize("form", [_named_by_output_dtype, _in_constant_nodes])
@pytest.mark.parametrize("dtype", DTYPES)
def test_types_of_activations_in_other_forms(
    dtype: str, form: Callable[[onnx.ModelProto], onnx.ModelProto], tmp_path: Path
) -> None:
    """The reference runs the same integer kernels as where initializers hold the zero points."""
    net = Net(dtype, opset=21)
    zero = {"zero_point": net.zero_of(Tensor("", np.float32(1), 0))}
    x = net.copy("MaxPool", net.input((1, 3, 8, 8), **zero), kernel_shape=[2, 2])
    y = net.conv(x, (6, 3, 3, 3), **zero)
    y = net.op("Add", y, y, scale=float(y.scale) * 2, **zero)
    net.output(net.op("GlobalAveragePool", y, scale=y.scale, **zero))
    plain, model = net.model(), form(net.model())
    assert oracle.session_options(model) == oracle.session_options(plain)
    ran, wanted = ([node.op_type for node in oracle.executed_graph(either).graph.node] for either in (model, plain))
    assert {"QLinearConv", "QLinearAdd"} <= set(ran)
    assert ran == wanted or dtype == "uint8"  # needs no name, and keeps its copies where it has none
    exact(model, tmp_path)


def test_pairs_whose_types_output_dtype_names(tmp_path: Path) -> None:
    """Two in a row, which the reference merges, as it does where zero points name the types."""
    net = Net("int8", opset=21)
    x = net.input((2, 90), 0.05, 0)
    net.output(net.op("Sqrt", net.quantize(net.real(x), 0.03, 0), zero_point=0))
    exact(_named_by_output_dtype(net.model()), tmp_path)
