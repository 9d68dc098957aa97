"""int8 and uint8 in one model: what meets in one type runs in integer kernels, the rest as ONNX Runtime runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from checking import exact, exact_integer_form, kernels
from small_models import DTYPES, Net, Tensor, qlinear_weights

from mcugen import oracle
from mcugen.emit.artefact import Compiled
from mcugen.emit.codegen import c_sources

OTHER = {"int8": "uint8", "uint8": "int8"}


def integer_form(compiled: Compiled) -> bool:
    return any("integer form" in note for step in compiled.steps for note in step.notes)


def camera(io: str) -> Net:
    """A uint8 image before an int8 net whose scores are uint8."""
    net = Net("uint8")
    image = (net.integer_input if io == "integer" else net.input)((1, 3, 9, 9), 1 / 255, -128)
    net.turn("int8")
    x = net.quantize(net.real(image), 1 / 128, -3)
    x = net.conv(x, (6, 3, 3, 3), strides=[2, 2], then="Relu", zero_point=-128)
    x = net.op("Add", x, net.conv(x, (6, 6, 3, 3), pads=[1] * 4), scale=x.scale)
    x = net.gemm(net.copy("Flatten", net.op("GlobalAveragePool", x, scale=x.scale)), 10, 6)
    net.turn("uint8")
    y = net.op("Softmax", x, scale=1 / 256, zero_point=-128, axis=1)
    net.integer_output(y, 2) if io == "integer" else net.output(y)
    return net


@pytest.mark.parametrize("io", ["integer", "int8", "float"])
def test_camera_net(io: str, tmp_path: Path) -> None:
    compiled = exact(camera(io).model(), tmp_path, io="int8" if io == "integer" else io)
    assert not integer_form(compiled)
    if io != "float":
        assert [port.type.model_dtype for port in (*compiled.inputs, *compiled.outputs)] == ["uint8", "uint8"]


Build = Callable[[Net, Tensor, Tensor], str]  # (net, x, z in another type) -> the real result


def _copied(net: Net, x: Tensor, z: Tensor) -> str:
    return net.node("Concat", net.node("MaxPool", net.real(x), kernel_shape=[1, 1]), net.real(z), axis=1)


def _chosen(net: Net, x: Tensor, z: Tensor) -> str:
    condition = net.constant(net.rng.integers(0, 2, (1, 4, 6, 6)).astype(bool))
    return net.node("Where", condition, net.real(x), net.real(z))


def _scattered(net: Net, x: Tensor, z: Tensor) -> str:
    at = net.constant(net.rng.permuted(np.tile(np.arange(4), (1, 6, 6, 1)), axis=-1).transpose(0, 3, 1, 2))
    return net.node("ScatterElements", net.real(x), at, net.real(z), axis=1)


def _largest(net: Net, x: Tensor, z: Tensor) -> str:
    values = net.node("TopK", net.real(x), net.shape(3))
    net.nodes[-1].output.append("positions")
    net._output("positions", onnx.TensorProto.INT64)
    return values


def _padded(net: Net, x: Tensor, z: Tensor) -> str:
    return net.node("Pad", net.real(x), net.shape(0, 0, 1, 0, 0, 0, 0, 2), net.constant(np.float32(0.7)))


def _channels(net: Net, x: Tensor, z: Tensor) -> str:
    numbers = net.rng.uniform(0.3, 2, (4, 4)).astype(np.float32)
    return net.node("BatchNormalization", net.real(x), *(net.constant(row) for row in numbers))


def _resized(net: Net, x: Tensor, z: Tensor) -> str:
    return net.node("Resize", net.real(x), "", net.constant(np.float32([1, 1, 2, 2])), mode="linear")


def _both(op: str) -> Build:
    return lambda net, x, z: net.node(op, net.real(x), net.real(z))


def _one(op: str, **attributes: object) -> Build:
    return lambda net, x, z: net.node(op, net.real(x), **attributes)


EXACT: dict[str, Build] = {
    **{op: _both(op) for op in ("Add", "Mul", "Sub", "Div", "Min", "Max")},
    **{op: _one(op) for op in ("Identity", "Sigmoid", "LeakyRelu", "Relu", "GlobalAveragePool", "Transpose")},
    "ReduceMean": _one("ReduceMean", axes=[2, 3]),
    "Softmax": _one("Softmax", axis=1),
    "Clip": lambda net, x, z: net.node("Clip", net.real(x), *(net.constant(np.float32(end)) for end in (-1.0, 2.5))),
    "Concat": _copied,
    "ScatterElements": _scattered,
    "TopK": _largest,
    "Where": _chosen,
    "Pad": _padded,
    "BatchNormalization": _channels,
    "Resize": _resized,
}


IN_FLOAT = ("Mul", "Softmax", "GlobalAveragePool", "Resize")  # with tensors of float32, where types differ


def meeting(build: Build, dtype: str, result: str) -> onnx.ModelProto:
    """x in one type, z in the other, both after an operator of their own type; the result quantized to `result`."""
    net = Net(dtype)
    x = net.op("Abs", net.input((1, 4, 6, 6)), zero_point=-90)
    net.turn(OTHER[dtype])
    z = net.op("Neg", net.input((1, 4, 6, 6), name="z"), scale=0.04, zero_point=40)
    net.turn(result)
    y = net.quantize(build(net, x, z), 0.06, -20)
    net.output(net.op("Add", y, y, scale=0.11))
    net.output(net.op("Mul", z, z) if net.dtype == z.dtype else z, "z_out")
    return net.model()


@pytest.mark.parametrize("result", DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_types_that_meet(name: str, dtype: str, result: str, tmp_path: Path) -> None:
    compiled = exact(meeting(EXACT[name], dtype, result), tmp_path, samples=4)
    assert not integer_form(compiled)
    in_float = any("f32" in kernel for kernel in kernels(compiled))
    assert in_float == (name in IN_FLOAT and (dtype != result or name in ("Mul", "Resize")))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "AveragePool", "Gemm", "MatMul", "MatMul of two"])
def test_layers_between_types_keep_their_integer_form(op: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((2, 8) if op.startswith(("Gemm", "MatMul")) else (1, 4, 6, 6))
    net.turn(OTHER[dtype])
    if op == "Conv":
        y = net.conv(x, (5, 4, 3, 3), then="Relu", zero_point=-128)
    elif op == "ConvTranspose":
        y = net.op(op, x, net.weights((4, 3, 2, 2), axis=None)[0], scale=0.5)
    elif op == "AveragePool":
        y = net.op(op, x, kernel_shape=[2, 2], pads=[1, 1, 0, 0])
    elif op == "Gemm":
        y = net.gemm(x, 5, 8)
    elif op == "MatMul":
        y = net.op(op, x, net.weights((8, 5), axis=None)[0], scale=0.3)
    else:
        y = net.op("MatMul", x, net.input((8, 3), name="z"), scale=0.05)
    net.output(y)
    exact_integer_form(net.model(), tmp_path)


def test_weights_of_uint8_beside_int8(tmp_path: Path) -> None:
    """ONNX Runtime has no kernel for them."""
    net = Net("int8")
    net.output(net.conv(net.input((1, 3, 6, 6)), (4, 3, 3, 3), w_dtype=np.uint8, w_zero=128))
    exact_integer_form(net.model(), tmp_path)


def constants_of(model: onnx.ModelProto, op: str, slot: int) -> list[str]:
    """Types of the constants that nodes `op` have there, as the pinned session runs them."""
    graph = oracle.executed_graph(model).graph
    dtypes = {i.name: onnx.helper.tensor_dtype_to_np_dtype(i.data_type).name for i in graph.initializer}
    return [dtypes[node.input[slot]] for node in graph.node if node.op_type == op]


@pytest.mark.parametrize("form", ["QLinearConv", "QLinearMatMul", "QGemm"])
def test_qoperator_weights_of_int8_beside_uint8(form: str, tmp_path: Path) -> None:
    """And a uint8 layer in an int8 model needs no CPU with VNNI."""
    shapes = ((1, 3, 6, 6), (4, 3, 3, 3)) if form == "QLinearConv" else ((2, 8), (8, 4))
    model = qlinear_weights(form, *shapes, bias=form != "QLinearMatMul")
    net = Net("int8")
    net.output(net.op("Neg", net.input((1, 5), name="other")), "second")
    for field in ("node", "input", "output", "initializer"):
        mine = getattr(net.model().graph, field)
        for item in mine:
            item.name = f"{item.name} too" if field in ("node", "initializer") else item.name
            if field == "node":
                known = {i.name for i in net.initializers}
                item.input[:] = [f"{name} too" if name in known else name for name in item.input]
        getattr(model.graph, field).extend(mine)
    assert constants_of(model, form, 3) == ["uint8"]
    exact(model, tmp_path)


def test_a_dynamic_layer_in_an_int8_model(tmp_path: Path) -> None:
    net = Net("int8")
    x = net.gemm(net.input((2, 8)), 6, 8)
    q, scale, zero = (f"dynamic_{part}" for part in ("q", "scale", "zero"))
    net.nodes.append(onnx.helper.make_node("DynamicQuantizeLinear", [net.real(x)], [q, scale, zero], name="dynamic"))
    weights = net.constant(net.rng.integers(-127, 128, (6, 5)).astype(np.int8))
    sums = net.node("MatMulInteger", q, weights, zero, net.constant(np.int8(0)))
    real = net.node("Cast", sums, to=onnx.TensorProto.FLOAT)
    y = net.node("Mul", real, net.node("Mul", scale, net.constant(np.float32(0.01))))
    net.output(net.quantize(y, 0.05, 3))
    assert constants_of(net.model(), "DynamicQuantizeMatMul", 1) == ["uint8"]
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("zero", [True, False])
def test_constants_of_int8_beside_uint8(zero: bool, tmp_path: Path) -> None:
    """ONNX Runtime would add them in float in a model with int8 activations."""
    net = Net("uint8")
    x = net.input((1, 8))
    parts = [net.constant(np.float32(0.03)), *([net.constant(np.int8(5))] if zero else [])]
    codes = net.rng.integers(-128, 128, (1, 8)).astype(np.int8)
    x = net.op("Add", x, net.node("DequantizeLinear", net.constant(codes), *parts), scale=0.07)
    x = net.gemm(x, 6, 8)
    net.turn("int8")
    net.output(net.op("Neg", x, scale=x.scale))
    model = net.model()
    compiled = exact(model, tmp_path)
    assert "mcugen_add_s8" in kernels(compiled) and not integer_form(compiled)
    assert constants_of(model, "QLinearAdd", 3) == constants_of(model, "QGemm", 3) == ["uint8"]


def test_casts_between_the_types(tmp_path: Path) -> None:
    net = Net("uint8")
    x = net.integer_input((1, 60))
    net.turn("int8")
    y = net.quantize(net.node("Cast", x.name, to=onnx.TensorProto.FLOAT), 2.0, -40)
    net.integer_output(y)
    wide = net.node("Cast", net.node("Cast", x.name, to=onnx.TensorProto.INT32), to=onnx.TensorProto.INT8)
    net._output(wide, onnx.TensorProto.INT8)
    direct = net.node("Cast", y.name, to=onnx.TensorProto.UINT8)
    net._output(direct, onnx.TensorProto.UINT8)
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["Add", "Mul", "Conv", "Gemm", "AveragePool"])
def test_the_same_numbers_in_another_type(op: str, dtype: str, tmp_path: Path) -> None:
    """A table between equal scales: a layer before it makes the other type at once, sums round in their own."""
    net = Net(dtype)
    x = net.input((1, 3, 16, 16) if op != "Gemm" else (16, 40), 0.05, 7)
    if op in ("Add", "Mul"):
        x = net.op(op, x, net.input((1, 3, 16, 16), 0.05, -3, name="z"), scale=0.1, zero_point=5)
    elif op == "Conv":
        x = net.conv(x, (4, 3, 3, 3))
    elif op == "Gemm":
        x = net.gemm(x, 9, 40)
    else:
        x = net.op(op, x, scale=0.05, kernel_shape=[2, 2])
    zero = net.zero_of(x)
    net.turn(OTHER[dtype])
    net.output(net.quantize(net.node("Relu", net.real(x)), x.scale, zero))
    compiled = exact(net.model(), tmp_path)
    assert kernels(compiled).count("mcugen_lut_s8") == (op not in ("Conv", "Gemm"))


@pytest.mark.parametrize("first", DTYPES)
def test_rows_that_are_fed(first: str, tmp_path: Path) -> None:
    net = Net(first)
    x = net.conv(net.integer_input((1, 3, 12, 10)), (4, 3, 3, 3), then="Relu", zero_point=-128)
    net.turn(OTHER[first])
    x = net.conv(net.quantize(net.real(x), x.scale, -128), (5, 4, 3, 3))
    net.integer_output(x, 4)
    compiled = exact(net.model(), tmp_path, feed="rows", samples=4)
    assert compiled.feed is not None and compiled.feed.type.model_dtype == first


@pytest.mark.parametrize("between", ["Identity", "Transpose", "Flatten"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_type_alone_costs_nothing(dtype: str, between: str, tmp_path: Path) -> None:
    """The same scale, and a zero point that moves with the type: no byte changes; only Cast sees the difference."""
    net = Net(dtype)
    image = net.integer_input((1, 3, 8, 8), 1 / 255, -128)
    net.turn(OTHER[dtype])
    x = net.quantize(net.real(image), image.scale, -128)
    y = net.op("Add", net.conv(x, (3, 3, 1, 1)), net.op("AveragePool", x, kernel_shape=[1, 1]), scale=0.1)
    net._output(net.node("Cast", net.node(between, x.name), to=onnx.TensorProto.INT32), onnx.TensorProto.INT32)
    net.output(y)
    model = net.model()
    assert "mcugen_lut_s8" in kernels(exact(model, tmp_path))
    model.graph.output.pop(0)
    fed = exact(model, tmp_path)
    assert "mcugen_lut_s8" not in kernels(fed)


def test_rows_that_pass_a_table(tmp_path: Path) -> None:
    compiled = exact(camera("integer").model(), tmp_path, feed="rows", samples=4)
    assert "mcugen_lut_s8" in kernels(compiled)


def test_rows_of_a_camera(tmp_path: Path) -> None:
    """A uint8 image whose numbers an int8 convolution reads."""
    net = Net("uint8")
    image = net.integer_input((1, 3, 12, 12), 1 / 255, -128)
    net.turn("int8")
    x = net.conv(net.quantize(net.real(image), image.scale, -128), (4, 3, 3, 3), strides=[2, 2])
    net.integer_output(net.conv(x, (2, 4, 3, 3)), 4)
    compiled = exact(net.model(), tmp_path, feed="rows", samples=4)
    assert [step.kernel for step in compiled.steps if "lut" in step.kernel] == []
    header = next(text for name, text in c_sources(compiled).items() if name == f"{compiled.name}.h")
    assert "128 less than the model's uint8" in header
