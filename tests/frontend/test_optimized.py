"""Models as ONNX Runtime saves them after optimization, with its own fused operators: compiled from the saved file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from checking import compile_model, exact_integer_form, saved_by_ort
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from small_models import DTYPES, Net, Tensor

from mcugen import UserError
from mcugen.prove.samples import random_samples
from mcugen.prove.verify import Verification, verify

BASIC, EXTENDED = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC, ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED


def check(model: onnx.ModelProto, folder: Path) -> Verification:
    compiled = compile_model(model, folder)
    result = verify(compiled, random_samples(compiled, 6, seed=1))
    assert result.passed, f"{result.mismatches} of {result.values} differ. {result.first_difference}"
    assert all(len(np.unique(array)) > 2 for array in result.outputs.values())
    return result


def fused(model: onnx.ModelProto) -> set[str]:
    """Operators of ONNX Runtime's own in the model."""
    return {n.op_type for n in model.graph.node if n.domain or n.op_type.startswith("Simplified")}


class FloatNet(Net):
    """Layers on real numbers; weights are such that values neither grow nor vanish."""

    def random(self, *shape: int, spread: float = 1.0) -> str:
        depth = int(np.prod(shape[1:])) or 1
        return self.constant((self.rng.normal(0, spread, shape) / depth**0.5).astype(np.float32), "w")

    def number(self, value: float) -> str:
        return self.constant(np.float32(value))

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        return self.node("MatMul", x, self.random(inputs, outputs, spread=3.0 * (outputs / inputs) ** 0.5))

    def finished(self, y: str, *more: str, rank: int | None = None) -> onnx.ModelProto:
        for name in (y, *more):
            self._output(name, TensorProto.FLOAT, rank)
        return self.model()


def convolutions() -> onnx.ModelProto:
    net = FloatNet()
    x = net.float_input((1, 4, 7, 6))
    for op in ("Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "Clip"):
        x = net.node("Conv", x, net.random(4, 4, 3, 3, spread=2.0), net.random(4), pads=[1] * 4)
        ends = [net.number(-0.1), net.number(0.6)] if op == "Clip" else []
        x = net.node(op, x, *ends, **({"alpha": 0.2} if op in ("LeakyRelu", "HardSigmoid") else {}))
    return net.finished(x)


def folded() -> onnx.ModelProto:
    """BatchNormalization and a sum behind convolutions."""
    net = FloatNet()
    x = net.float_input((1, 4, 7, 6))
    parameters = [net.constant(np.abs(net.rng.normal(1, 0.2, 4)).astype(np.float32)) for _ in range(4)]
    y = net.node("BatchNormalization", net.node("Conv", x, net.random(4, 4, 1, 1)), *parameters)
    return net.finished(net.node("Relu", net.node("Add", net.node("Conv", x, net.random(4, 4, 1, 1)), y)))


def gemms() -> onnx.ModelProto:
    net = FloatNet()
    x = net.float_input((2, 12))
    for op in ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Softplus", "Elu", "HardSigmoid"):
        x = net.node(op, net.node("Gemm", x, net.random(12, 12, spread=2.0), net.random(12), transB=1))
    return net.finished(x)


def attention() -> onnx.ModelProto:
    net = FloatNet()
    x, k = net.float_input((2, 5, 12)), net.float_input((2, 5, 12), "k")
    scores = net.node("MatMul", x, net.node("Transpose", k, perm=[0, 2, 1]))
    weights = net.node("Softmax", net.node("Mul", scores, net.number(0.25)), axis=-1)
    return net.finished(net.node("MatMul", weights, x))


def gelu(kind: str) -> Callable[[], onnx.ModelProto]:
    def make() -> onnx.ModelProto:
        net = FloatNet()
        x = net.linear(net.float_input((2, 5, 12)), 12, 16)
        if kind == "QuickGelu":
            y = net.node("Mul", x, net.node("Sigmoid", net.node("Mul", x, net.number(1.702))))
        elif kind == "FastGelu":
            cube = net.node("Mul", net.node("Pow", x, net.number(3)), net.number(0.044715))
            inner = net.node("Mul", net.node("Add", x, cube), net.number(np.sqrt(2 / np.pi)))
            wave = net.node("Add", net.node("Tanh", inner), net.number(1))
            y = net.node("Mul", net.node("Mul", x, net.number(0.5)), wave)
        else:
            wave = net.node("Add", net.node("Erf", net.node("Div", x, net.number(np.sqrt(2)))), net.number(1))
            y = net.node("Mul", net.node("Mul", x, wave), net.number(0.5))
        return net.finished(net.linear(y, 16, 4))

    return make


def normalized(kind: str, opset: int) -> Callable[[], onnx.ModelProto]:
    def make() -> onnx.ModelProto:
        net = FloatNet(opset=opset)
        axes = {"axes": [-1]} if opset < 18 else {}
        axis = [] if opset < 18 else [net.constant(np.array([-1]))]
        x = net.float_input((2, 5, 12))
        y = net.linear(x, 12, 12)
        if kind == "SkipLayerNormalization":
            y = net.node("Add", y, x)
        if kind != "SimplifiedLayerNormalization":
            y = net.node("Sub", y, net.node("ReduceMean", y, *axis, **axes))
        variance = net.node("ReduceMean", net.node("Pow", y, net.number(2)), *axis, **axes)
        y = net.node("Div", y, net.node("Sqrt", net.node("Add", variance, net.number(1e-5))))
        y = net.node("Mul", y, net.random(12))
        return net.finished(y if kind.startswith("Simpl") else net.node("Add", y, net.random(12)))

    return make


# name -> (model, operators of ONNX Runtime's own that the file saved at EXTENDED holds)
FLOAT: dict[str, tuple[Callable[[], onnx.ModelProto], set[str]]] = {
    "convolutions": (convolutions, {"FusedConv"}),
    "folded": (folded, set()),
    "gemms": (gemms, {"FusedGemm"}),
    "attention": (attention, {"FusedMatMul"}),
    **{kind: (gelu(kind), {kind}) for kind in ("Gelu", "FastGelu", "QuickGelu")},
    "LayerNormalization 13": (normalized("LayerNormalization", 13), set()),
    **{
        f"{kind} {opset}": (normalized(kind, opset), {kind})
        for kind in ("SkipLayerNormalization", "SimplifiedLayerNormalization")
        for opset in (13, 18)
    },
}


@pytest.mark.parametrize("case", FLOAT)
def test_float_models_within_their_tolerance(case: str, tmp_path: Path) -> None:
    make, own = FLOAT[case]
    model = saved_by_ort(make(), EXTENDED, tmp_path)
    assert fused(model) == own
    check(model, tmp_path)


def quantized(dtype: str) -> onnx.ModelProto:
    net = Net(dtype)
    x = net.conv(net.input((1, 3, 8, 8)), (4, 3, 3, 3), pads=[1] * 4, then="Relu", zero_point=-128)
    y = net.conv(x, (4, 1, 3, 3), group=4, pads=[1] * 4)
    x = net.op("Add", x, y, scale=max(x.scale, y.scale) * 1.3)
    x = net.op("AveragePool", x, scale=x.scale, kernel_shape=[2, 2], strides=[2, 2])
    x = net.op("Concat", x, x, scale=x.scale, axis=1)
    x = net.op("Mul", x, net.op("Sigmoid", x, scale=1 / 256, zero_point=-128), scale=x.scale * 0.7)
    x = net.copy("Flatten", net.op("GlobalAveragePool", x, scale=x.scale))
    x = net.gemm(x, 6, 8)
    x = net.op("LeakyRelu", x, scale=x.scale, zero_point=-30, alpha=0.1)
    net.output(net.op("Softmax", x, scale=1 / 256, zero_point=-128, axis=-1))
    return net.model()


def products(dtype: str) -> onnx.ModelProto:
    net = Net(dtype)
    x, k = net.input((1, 6, 8)), net.input((1, 6, 8), name="k")
    scores = net.op("MatMul", x, net.copy("Transpose", k, perm=[0, 2, 1]), scale=0.3)
    weights = net.op("Softmax", scores, scale=1 / 256, zero_point=-128, axis=-1)
    net.output(net.op("MatMul", weights, x, scale=0.03))
    return net.model()


def choices(dtype: str) -> onnx.ModelProto:
    """Where becomes QLinearWhere: of codes with parameters of their own."""
    net = Net(dtype)
    net.inputs.append(helper.make_tensor_value_info("c", TensorProto.BOOL, [6, 1]))
    a, b = net.input((2, 6, 8), 0.04, 3, "a"), net.input((6, 8), 0.03, -9, "b")
    net.output(net.op("Where", "c", a, b, scale=0.05, zero_point=2))
    return net.model()


@pytest.mark.parametrize("level", [BASIC, EXTENDED], ids=["basic", "extended"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", [quantized, products, choices])
def test_quantized_models_are_exact(
    make: Callable[[str], onnx.ModelProto], dtype: str, level: Any, tmp_path: Path
) -> None:
    model = saved_by_ort(make(dtype), level, tmp_path)
    assert bool(fused(model)) == (level == EXTENDED)
    assert check(model, tmp_path).bit_exact


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["Gelu", "FastGelu", "QuickGelu"])
def test_functions_between_quantized_tensors_are_exact(op: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    real = net.node(op, net.real(net.input((1, 200))), domain="com.microsoft")
    net.output(net.quantize(real, 0.03, -70))
    model = net.model()
    model.graph.output[0].type.CopyFrom(model.graph.input[0].type)
    assert check(model, tmp_path).bit_exact


@pytest.mark.parametrize("make", [gemms, normalized("LayerNormalization", 17)], ids=["gemms", "normalized"])
def test_dynamic_models(make: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    onnx.save(make(), tmp_path / "float.onnx")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "dynamic.onnx", weight_type=QuantType.QInt8)
    model = saved_by_ort(onnx.load(tmp_path / "dynamic.onnx"), EXTENDED, tmp_path)
    assert fused(model) == {"DynamicQuantizeMatMul"}
    check(model, tmp_path)


def test_int8_saved_without_the_pinned_option(tmp_path: Path) -> None:
    """ONNX Runtime then turns a part of the model into uint8, and has no kernel for a product of both."""
    options = ort.SessionOptions()
    options.graph_optimization_level = EXTENDED
    options.optimized_model_filepath = str(tmp_path / "saved.onnx")
    ort.InferenceSession(products("int8").SerializeToString(), options, providers=["CPUExecutionProvider"])
    compiled = exact_integer_form(onnx.load(tmp_path / "saved.onnx"), tmp_path)
    assert {value.type.model_dtype for value in compiled.graph.values.values()} >= {"int8", "uint8"}


def test_layouts_of_one_cpu_are_refused(tmp_path: Path) -> None:
    """The level above EXTENDED blocks channels as this machine's registers want them."""
    model = saved_by_ort(convolutions(), ort.GraphOptimizationLevel.ORT_ENABLE_ALL, tmp_path)
    with pytest.raises(UserError, match="layout") as error:
        compile_model(model, tmp_path)
    assert "ORT_ENABLE_EXTENDED" in error.value.hint


# Nodes that the optimizer writes in larger models, by themselves


def single(op: str, *shapes: tuple[int, ...], bias: int = 0, **attributes: Any) -> onnx.ModelProto:
    """One node over inputs of these shapes and, where given, a constant bias."""
    net = FloatNet()
    operands = [net.float_input(shape, name) for name, shape in zip("ab", shapes, strict=False)]
    operands += [net.random(bias)] if bias else []
    return net.finished(net.node(op, *operands, domain="com.microsoft", **attributes), rank=len(shapes[0]))


def _conv_sum() -> onnx.ModelProto:
    net = FloatNet()
    weights, bias = net.random(4, 3, 3, 3), net.random(4)
    x, z = net.float_input((1, 3, 6, 6)), net.float_input((1, 4, 4, 4), "z")
    y = net.node("FusedConv", x, weights, bias, z, domain="com.microsoft", activation="Relu")
    return net.finished(y, rank=4)


def _with_sum(op: str, parameters: int) -> onnx.ModelProto:
    """The sum of its operands is an output too."""
    net = FloatNet()
    x, skip = net.float_input((2, 5, 12)), net.float_input((2, 5, 12), "skip")
    inputs = [x, skip, *(net.random(12) for _ in range(parameters))]
    net.nodes.append(helper.make_node(op, inputs, ["y", "", "", "sum"], name="only", domain="com.microsoft"))
    return net.finished("y", "sum", rank=3)


def _attention(mask: int = 0, *, bias: bool = True, added: bool = False, **attributes: Any) -> onnx.ModelProto:
    """mask: its dimensions."""
    net = FloatNet()
    operands = [net.float_input((2, 5, 12)), net.random(12, 24), net.random(24) if bias else "", "", "", ""]
    if mask:
        net.inputs.append(helper.make_tensor_value_info("mask", TensorProto.INT32, (2, 5, 5)[:mask]))
        operands[3] = "mask"
    if added:
        operands[5] = net.float_input((1, 2, 5, 5), "added")
    y = net.node("Attention", *operands, domain="com.microsoft", num_heads=2, **attributes)
    return net.finished(y, rank=3)


def _nhwc(dtype: str) -> onnx.ModelProto:
    """What the level above EXTENDED makes of quantized convolutions and pools."""
    net = Net(dtype)
    x = net.integer_input((1, 6, 7, 3))
    scale = net.constant(net.rng.uniform(0.005, 0.01, 4).astype(np.float32))
    w = (
        net.constant(net.rng.integers(-127, 127, (4, 3, 3, 3)).astype(np.int8)),
        scale,
        net.constant(np.zeros(4, np.int8)),
    )
    result = net.params(0.2, net.zero(5))
    bias = net.constant(net.rng.integers(-9000, 9000, 4).astype(np.int32))
    x_params = net.params(x.scale, x.zero_point)
    own = {"domain": "com.microsoft"}
    y = net.node("QLinearConv", x.name, *x_params, *w, *result, bias, channels_last=1, **own)
    net.integer_output(Tensor(net.node("NhwcMaxPool", y, kernel_shape=[2, 2], **own), np.float32(0.2), 0), 4)
    return net.model()


SINGLE: dict[str, Callable[[], onnx.ModelProto]] = {
    "FusedConv with a sum": _conv_sum,
    "FusedMatMul of both transposed": lambda: single(
        "FusedMatMul", (2, 5, 3), (2, 4, 5), transA=1, transB=1, alpha=0.5
    ),
    "FusedMatMul of transposed batches": lambda: single("FusedMatMul", (5, 2, 3), (2, 3, 4), transBatchA=1),
    "FusedMatMul of all transposed": lambda: single(
        "FusedMatMul", (3, 2, 6, 5), (4, 2, 6, 3), transBatchA=1, transA=1, transBatchB=1, transB=1, alpha=0.5
    ),
    "TransposeMatMul": lambda: single("TransposeMatMul", (5, 3), (5, 4), transA=1),
    "BiasGelu": lambda: single("BiasGelu", (2, 12), bias=12),
    "FastGelu with a bias": lambda: single("FastGelu", (2, 12), bias=12),
    "SkipLayerNormalization": lambda: _with_sum("SkipLayerNormalization", 3),
    "SkipSimplifiedLayerNormalization": lambda: _with_sum("SkipSimplifiedLayerNormalization", 2),
    "Attention": lambda: _attention(qkv_hidden_sizes=[8, 8, 8], scale=0.7),
    "Attention, masked": lambda: _attention(2, mask_filter_value=-3.0, qkv_hidden_sizes=[6, 6, 12]),
    "Attention, sum with a tensor": lambda: _attention(added=True),
}


@pytest.mark.parametrize("case", SINGLE)
def test_single_operators(case: str, tmp_path: Path) -> None:
    check(SINGLE[case](), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_channels_last_is_exact(dtype: str, tmp_path: Path) -> None:
    assert check(_nhwc(dtype), tmp_path).bit_exact


REFUSED: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "a deviation": (lambda: _outputs(_with_sum("SkipLayerNormalization", 1), 2), "cannot be outputs"),
    "a type": (lambda: single("QuickGelu", (1, 4), alpha="much"), "attribute alpha is of the wrong type"),
    "an activation": (
        lambda: single("FusedGemm", (1, 4), (4, 4), activation="Magic"),
        "activation Magic is not supported",
    ),
    "no operands": (lambda: single("FusedMatMul", (1, 4)), "cannot be inferred"),
    "a mask of lengths": (lambda: _attention(1), "a mask of 1 dimensions"),
    "a causal mask": (lambda: _attention(unidirectional=1), "a causal mask"),
    "other heads": (lambda: _attention(qkv_hidden_sizes=[7, 7, 10]), "24 columns of weights for 2 heads"),
    "an embedding": (lambda: single("EmbedLayerNormalization", (1, 4)), "EmbedLayerNormalization is not supported"),
    "an unknown operator": (lambda: single("Magic", (1, 4)), "com.microsoft.Magic is not supported"),
}


def _outputs(model: onnx.ModelProto, slot: int) -> onnx.ModelProto:
    model.graph.node[0].output[slot] = "more"
    return model


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    make, message = REFUSED[case]
    model = make()
    with pytest.raises(UserError, match=message):
        compile_model(model, tmp_path)
