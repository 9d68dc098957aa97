"""Operators that become simpler ones: reductions, many operands, normalizations. Against ONNX Runtime's own kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from checking import compile_model, exact, exact_integer_form, kernels
from float_layers import layer, near, rand, some, together
from onnx import TensorProto
from small_models import DTYPES, Net

from mcugen import UserError, oracle
from mcugen.prove.host import HostModel
from mcugen.step import TABLE

_AXES = np.array([1, 3])


def several(op: str, *shapes: list[int]) -> onnx.ModelProto:
    """`op` on float inputs of the given shapes."""
    net = Net()
    names = [net.float_input(shape, f"x{number}") for number, shape in enumerate(shapes)]
    net._output(net.node(op, *names, name="only"), TensorProto.FLOAT)
    return net.model()


def positive(op: str, *, keepdims: int = 1) -> onnx.ModelProto:
    """`op` of values above 0."""
    net = Net(opset=20)
    exponentials = net.node("Exp", net.float_input([2, 3, 4, 5]))
    y = net.node(op, exponentials, net.constant(_AXES), name="only", keepdims=keepdims)
    net._output(y, TensorProto.FLOAT)
    return net.model()


def constant_left() -> onnx.ModelProto:
    net = Net(opset=20)
    y = net.node("MatMul", net.constant(rand(4, 6)), net.float_input([2, 6, 5]), name="only")
    net._output(y, TensorProto.FLOAT)
    return net.model()


def group_normalization(shape: list[int], groups: int) -> onnx.ModelProto:
    """With a layer behind it: onnx infers no shape of this operator."""
    net = Net(opset=21)
    scale, bias = (net.constant(rand(shape[1], seed=seed)) for seed in (1, 2))
    y = net.node("GroupNormalization", net.float_input(shape), scale, bias, name="only", num_groups=groups)
    net._output(net.node("Softplus", y), TensorProto.FLOAT, len(shape))
    return net.model()


def scaled(op: str, factor: float) -> onnx.ModelProto:
    """x + op(factor * x)."""
    net = Net(opset=20)
    x = net.float_input([2, 3, 50])
    y = net.node(op, net.node("Mul", x, net.constant(np.float32(factor))), name="only")
    net._output(net.node("Add", x, y), TensorProto.FLOAT)
    return net.model()


NEAR: dict[str, onnx.ModelProto] = {
    **{op: layer(op, [2, 3, 4, 5], _AXES) for op in ("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp")},
    "ReduceProd": layer("ReduceProd", [2, 3, 4, 5], _AXES, keepdims=0),
    "ReduceL2, all": layer("ReduceL2", [2, 3, 4], keepdims=0),
    "ReduceLogSumExp, dims dropped": layer("ReduceLogSumExp", [2, 3, 4], np.array([1]), keepdims=0),
    "ReduceLogSum": positive("ReduceLogSum", keepdims=0),
    "LogSoftmax": layer("LogSoftmax", [3, 12]),
    "LogSoftmax, other axis": layer("LogSoftmax", [2, 7, 3], axis=1),
    "LogSoftmax, coerced": layer("LogSoftmax", [2, 7, 3], axis=1, opset=11),
    "GroupNormalization": group_normalization([2, 6, 3, 4], 3),
    "RMSNormalization": layer("RMSNormalization", [2, 5, 24], rand(24), opset=23),
    "RMSNormalization, two axes": layer("RMSNormalization", [2, 5, 6], rand(5, 6), axis=1, opset=23),
    "MeanVarianceNormalization": layer("MeanVarianceNormalization", [2, 3, 4, 5], axes=[0, 2, 3]),
    "LayerNormalization, all read": layer("LayerNormalization", [2, 5, 24], rand(24), rand(24), outputs=3),
    "LayerNormalization, one scale": layer("LayerNormalization", [2, 5, 24], rand(1), rand(24)),
    "LpNormalization": layer("LpNormalization", [3, 20]),
    "LpNormalization, p = 1": layer("LpNormalization", [3, 5, 4], axis=1, p=1),
    "InstanceNormalization, 1-D": layer("InstanceNormalization", [2, 3, 25], rand(3), rand(3)),
    "InstanceNormalization, 3-D": layer("InstanceNormalization", [1, 3, 4, 5, 3], rand(3), rand(3)),
    "Pow": layer("Pow", [3, 40], np.float32(3.5)),
    "Pow, cube": layer("Pow", [3, 40], np.float32(3)),
    "Pow, of two": several("Pow", [3, 40], [3, 40]),
    **{op: layer(op, [2, 3, 50]) for op in ("Selu", "Mish", "Softsign")},
    "Celu": layer("Celu", [2, 3, 50], alpha=0.7),
    "Swish": layer("Swish", [2, 3, 50], alpha=0.8, opset=24),
}

GEMM = {"alpha": 0.3, "beta": 1.7}
NEAR |= {
    "Gemm": layer("Gemm", [2, 12], rand(12, 5), rand(5), **GEMM),
    "Gemm, transposed": layer("Gemm", [12, 2], rand(5, 12), rand(1, 5), transA=1, transB=1, **GEMM),
    "Gemm, bias of one value": layer("Gemm", [2, 12], rand(12, 5), rand(1), **GEMM),
    "Gemm, bias a row": layer("Gemm", [2, 12], rand(12, 5), rand(2, 1), **GEMM),
    "Gemm, of activations": several("Gemm", [2, 12], [12, 5], [2, 5]),
    "MatMul, constant left": constant_left(),
}

EXACT: dict[str, onnx.ModelProto] = {
    "Sum": several("Sum", [2, 5], [2, 5], [5]),
    "Sum of two": several("Sum", [2, 5], [2, 5]),
    "Sum of one": several("Sum", [2, 5]),
    "Mean": several("Mean", [2, 5], [2, 5], [5]),
    "Max": several("Max", [2, 5], [5], [2, 5], [2, 1]),
    "Min": several("Min", [2, 5], [5], [2, 5]),
    "Round": scaled("Round", 5),
    "Sign": scaled("Sign", 1),
    "ThresholdedRelu": layer("ThresholdedRelu", [2, 3, 50], alpha=0.3),
}


_PARTS = 4


def by_opset(cases: dict[str, onnx.ModelProto]) -> dict[int, onnx.ModelProto]:
    """All cases of an opset in one model: one program to build."""
    opsets = {name: model.opset_import[0].version for name, model in cases.items()}
    return {
        opset: together({name: model for name, model in cases.items() if opsets[name] == opset})
        for opset in sorted(set(opsets.values()))
    }


@pytest.mark.parametrize("part", range(_PARTS))
def test_near(part: int, tmp_path: Path) -> None:
    for model in by_opset(some(NEAR, part, _PARTS)).values():
        near(compile_model(model, tmp_path))


@pytest.mark.parametrize("opset", by_opset(EXACT))
def test_exact(opset: int, tmp_path: Path) -> None:
    exact(by_opset(EXACT)[opset], tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["Max", "Min"])
def test_the_largest_of_several_stays_in_integers(op: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    inputs = [net.input((2, 3, 5), 0.03 + 0.01 * k, 4 * k, f"x{k}") for k in range(4)]
    net.output(net.op(op, *inputs, scale=0.045, zero_point=-7))
    compiled = exact(net.model(), tmp_path)
    assert kernels(compiled) == [f"mcugen_{op.lower()}_s8"] * 3
    assert {step.exactness for step in compiled.steps} == {TABLE}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["Sum", "Mean"])
def test_sums_of_several_run_in_float_as_in_onnx_runtime(op: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    inputs = [net.input((2, 3, 50), 0.03 + 0.01 * k, 4 * k, f"x{k}") for k in range(3)]
    net.output(net.op(op, *inputs, scale=0.06, zero_point=-7))
    assert "mcugen_f32_add" in kernels(exact(net.model(), tmp_path))


def test_power_of_special_values(tmp_path: Path) -> None:
    """C's rules for zeros, infinities and NaN; elsewhere a unit in the last place."""
    values = np.float32([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 2, -2, 0.5, -3, 3, 1e-40, 3e38, -2.5, 16777217])
    bases, exponents = (part.reshape(-1) for part in np.meshgrid(values, values))
    chance = np.random.default_rng(0)
    bases = np.concatenate([bases, np.exp(chance.uniform(-20, 20, 4000))]).astype(np.float32)
    exponents = np.concatenate([exponents, chance.uniform(-9, 9, 4000)]).astype(np.float32)
    model = several("Pow", [bases.size], [bases.size])
    feeds = {"x0": bases, "x1": exponents}
    (wanted,) = oracle.run(oracle.plain_session(model), feeds).values()
    (got,) = HostModel(compile_model(model, tmp_path)).run(feeds).values()
    special = ~np.isfinite(wanted) | (wanted == 0)
    np.testing.assert_array_equal(got[special], wanted[special])
    np.testing.assert_array_equal(np.signbit(got[wanted == 0]), np.signbit(wanted[wanted == 0]))
    error = np.abs(got[~special].astype(np.float64) - wanted[~special])
    assert np.all(error <= np.spacing(np.abs(wanted[~special])))


def _attention(outputs: int = 1, **attributes: object) -> onnx.ModelProto:
    """Two heads, after projections; what is larger than the query passes."""
    net = Net(opset=23)
    x = net.float_input([1, 5, 8])
    parts = [net.node("MatMul", x, net.constant(rand(8, 8, seed=seed))) for seed in range(3)]
    ends = ["y", "key", "value", "scores"]
    heads = {"q_num_heads": 2, "kv_num_heads": 2}
    net.nodes.append(
        onnx.helper.make_node("Attention", parts, ends[:outputs], name="head/Attention", **heads, **attributes)
    )
    for name in ends[:outputs:3]:
        net._output(name, TensorProto.FLOAT)
    larger = net.node("CastLike", net.node("Greater", "y", parts[0]), x)
    net._output(net.node("Mul", "y", larger), TensorProto.FLOAT)
    return net.model()


def test_attention_by_its_definition(tmp_path: Path) -> None:
    near(compile_model(_attention(is_causal=1), tmp_path))


def test_attention_whose_scores_are_an_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Attention") as caught:
        compile_model(_attention(4), tmp_path)
    assert caught.value.origin == "head/Attention"


EINSUMS: dict[str, tuple[list[int], ...]] = {
    "bhqd,bhkd->bhqk": ([1, 2, 5, 4], [1, 2, 6, 4]),
    "aecd,abcd->acbe": ([1, 5, 2, 4], [1, 6, 2, 4]),
    "bqd,dhk->bqhk": ([1, 5, 6], [6, 2, 4]),
    "i,j->ij": ([5], [4]),
    "ij,jk": ([3, 4], [4, 5]),
    "bik,bkj->bj": ([2, 3, 4], [2, 4, 5]),
    "b i j -> j b": ([2, 3, 4],),
}


def einsum(equation: str, *shapes: list[int]) -> onnx.ModelProto:
    net = Net()
    names = [net.float_input(shape, f"x{number}") for number, shape in enumerate(shapes)]
    net._output(net.node("Einsum", *names, name="only", equation=equation), TensorProto.FLOAT)
    return net.model()


def test_einsum(tmp_path: Path) -> None:
    cases = {f"case{number}": einsum(equation, *EINSUMS[equation]) for number, equation in enumerate(EINSUMS)}
    near(compile_model(together(cases), tmp_path))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("constant", [False, True])
def test_einsum_of_quantized_tensors_is_an_integer_form(dtype: str, constant: bool, tmp_path: Path) -> None:
    net = Net(dtype)
    a = net.input((1, 5, 6))
    b = net.weights((6, 7), axis=1)[0] if constant else net.real(net.input((6, 7), name="b"))
    net.output(net.quantize(net.node("Einsum", net.real(a), b, equation="bqd,dk->bqk"), 0.05, 3))
    exact_integer_form(net.model(), tmp_path)


@pytest.mark.parametrize(
    "equation, shapes",
    [("ii->i", ([4, 4],)), ("...i->i...", ([2, 3],)), ("i,j,k->ijk", ([2], [3], [4])), ("ij,j->i", ([2, 3], [1]))],
)
def test_einsum_that_is_no_product_of_matrices(equation: str, shapes: tuple[list[int], ...], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"only: Einsum .* each letter once .* as MatMul and Transpose"):
        compile_model(einsum(equation, *shapes), tmp_path)
