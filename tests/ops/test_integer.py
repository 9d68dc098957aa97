"""Integers that were never real numbers: arithmetic, comparisons and choices, and heads that compute with positions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from checking import compile_model, exact, kernels
from float_layers import together
from onnx import TensorProto, helper
from small_models import DTYPES, Net

from mcugen import UserError, oracle
from mcugen.prove.host import HostModel
from mcugen.prove.samples import random_samples
from mcugen.prove.verify import verify

KINDS = {"int32": TensorProto.INT32, "int64": TensorProto.INT64}
ARITHMETIC = ("Add", "Sub", "Mul", "Min", "Max")
COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")


def whole(net: Net, shape: list[int], dtype: str, name: str) -> str:
    net.inputs.append(helper.make_tensor_value_info(name, KINDS[dtype], shape))
    return name


@pytest.mark.parametrize("dtype", KINDS)
def test_every_operation_on_special_values(dtype: str, tmp_path: Path) -> None:
    """All pairs; sums and products wrap around, quotients are cut off, remainders have the divisor's sign."""
    info = np.iinfo(dtype)
    values = np.array([0, 1, -1, 2, 7, -7, 46341, info.max, info.max - 1, info.min, info.min + 1], dtype)
    a, b = (part.reshape(-1) for part in np.meshgrid(values, values))
    models: dict[str, onnx.ModelProto] = {}
    feeds: dict[str, np.ndarray] = {}
    for op in (*ARITHMETIC, *COMPARISONS, "Div", "Mod", "Where", "Clip", "Relu"):
        net = Net()
        operands = [whole(net, [a.size], dtype, "a")]
        if op in ("Div", "Mod"):
            operands.append(net.constant(np.resize(np.array([1, 2, 3, 7, info.max], dtype), a.shape)))
        elif op == "Clip":
            operands += [net.constant(np.array(end, dtype)) for end in (-3, 100)]
        elif op != "Relu":
            operands.append(whole(net, [b.size], dtype, "b"))
            feeds[f"{op}/b"] = b
        if op == "Where":
            operands.insert(0, net.node("Greater", *operands))
        feeds[f"{op}/a"] = a
        kind = TensorProto.BOOL if op in COMPARISONS else KINDS[dtype]
        if dtype == "int64" or op != "Relu":  # ORT has no Relu of int64
            net._output(net.node(op, *operands), kind)
            models[op] = net.model()
    models.pop("Relu" if dtype == "int64" else "", None)
    feeds = {name: array for name, array in feeds.items() if name.split("/")[0] in models}
    model = together(models)
    got = HostModel(compile_model(model, tmp_path)).run(feeds)
    for name, want in oracle.run(oracle.plain_session(model), feeds).items():
        np.testing.assert_array_equal(got[name], want, name)


def test_broadcast(tmp_path: Path) -> None:
    models = {}
    for dtype in KINDS:
        for op, a, b in (("Add", [2, 3, 4], [3, 1]), ("Sub", [1, 4], [5, 2, 1]), ("Equal", [2, 1, 3], [4, 1])):
            net = Net()
            y = net.node(op, whole(net, a, dtype, "a"), whole(net, b, dtype, "b"))
            net._output(net.node("Cast", y, to=TensorProto.FLOAT), TensorProto.FLOAT)
            models[f"{op}_{dtype}"] = net.model()
    compiled = compile_model(together(models), tmp_path)
    chance = np.random.default_rng(0)
    feeds = {p.name: chance.integers(-2, 3, p.type.shape, p.type.dtype) for p in compiled.inputs}
    got = HostModel(compiled).run(feeds)
    for name, want in oracle.run(oracle.plain_session(together(models)), feeds).items():
        assert len(np.unique(want)) > 1
        np.testing.assert_array_equal(got[name], want, name)


@pytest.mark.parametrize("dtype", KINDS)
def test_reductions(dtype: str, tmp_path: Path) -> None:
    net = Net()
    x = whole(net, [3, 4, 5], dtype, "x")
    for op in ("ReduceSum", "ReduceMin", "ReduceMax"):
        for axes, keepdims in (((1,), 1), ((0, 2), 0), ((0, 1, 2), 0)):
            inputs = [net.node("Identity", x)]
            extra: dict[str, object] = {"axes": list(axes)}
            if op == "ReduceSum":
                inputs, extra = [*inputs, net.axes(*axes)], {}
            net._output(net.node(op, *inputs, keepdims=keepdims, **extra), KINDS[dtype])
    exact(net.model(), tmp_path)


def test_a_sum_that_a_double_does_not_hold_ends_the_run(tmp_path: Path) -> None:
    """ONNX Runtime rounds it, in an order of its own; up to 2^53, nothing is rounded."""
    net = Net()
    net._output(net.node("ReduceSum", whole(net, [3], "int64", "x"), net.axes(0), keepdims=0), TensorProto.INT64)
    model = net.model()
    host, session = HostModel(compile_model(model, tmp_path)), oracle.plain_session(model)
    for most in ([2**53 - 1, 1, 0], [-(2**52), 2, -(2**52) + 2]):
        feeds = {"x": np.array(most)}
        assert [*host.run(feeds).values()] == [*oracle.run(session, feeds).values()] == [sum(most)]
    for more in ([2**53, 1, 0], [2**53 - 1, 3, -3], [0, 0, -(2**63)], [2**63 - 1, 1, 0]):
        with pytest.raises(UserError, match="a sum of int64 numbers is beyond 2\\^53"):
            host.run({"x": np.array(more)})


def test_objects_are_counted(tmp_path: Path) -> None:
    """How many pixels have each class, as uint8: compared, cast, added up, cast."""
    net = Net()
    best = net.node("ArgMax", net.float_input((1, 5, 6, 4)), axis=1)
    hot = net.node("Equal", best, net.constant(np.arange(5).reshape(5, 1, 1)))
    found = net.node("ReduceSum", net.node("Cast", hot, to=TensorProto.INT64), net.axes(2, 3), keepdims=0)
    net._output(net.node("Cast", found, to=TensorProto.UINT8), TensorProto.UINT8)
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot(axis: int, tmp_path: Path) -> None:
    """Of indices on both sides of 0, and of some that have no place; of real numbers and of integers."""
    net = Net()
    at, depth = whole(net, [3, 5], "int64", "at"), net.constant(np.array([4]))
    for kind, values in ((TensorProto.FLOAT, np.float32([-1, 2.5])), (TensorProto.INT64, np.array([7, 9]))):
        net._output(net.node("OneHot", at, depth, net.constant(values), axis=axis), kind)
    compiled = compile_model(net.model(), tmp_path)
    result = verify(compiled, random_samples(compiled, 16, seed=1))
    assert result.bit_exact and all(len(np.unique(array)) == 2 for array in result.outputs.values())


@pytest.mark.parametrize("dtype", DTYPES)
def test_best_boxes_of_a_detector(dtype: str, tmp_path: Path) -> None:
    """As DETR's and CenterNet's heads: TopK over classes and places, class and place by division, boxes gathered."""
    net = Net(dtype)
    x = net.conv(net.input((1, 3, 5, 4)), (7, 3, 1, 1))
    rows = net.copy("Reshape", net.copy("Transpose", x, perm=[0, 2, 3, 1]), net.shape(1, 20, 7))
    split = net.node("Split", net.real(rows), net.shape(3, 4), axis=2)
    net.nodes[-1].output.append("boxes")
    scores = net.quantize(net.node("Reshape", split, net.shape(1, 60)), x.scale, net.zero_of(x))
    best = net.node("TopK", net.real(scores), net.constant(np.array([6])), axis=1)
    net.nodes[-1].output.append("found")
    three = net.constant(np.array(3))
    place = net.node("Unsqueeze", net.node("Div", "found", three), net.shape(2))
    at = net.node("Expand", place, net.shape(1, 6, 4))
    net._output(best, TensorProto.FLOAT)
    net._output(net.node("Mod", "found", three), TensorProto.INT64)
    net._output(net.node("GatherElements", "boxes", at, axis=1), TensorProto.FLOAT)
    used = kernels(exact(net.model(), tmp_path))
    assert {"mcugen_top_k_s8", "mcugen_arithmetic_s64", "mcugen_gather_s64"} <= set(used)
    assert not any(kernel.startswith("mcugen_dequantize") for kernel in used)


@pytest.mark.parametrize("dtype", DTYPES)
def test_class_of_each_pixel(dtype: str, tmp_path: Path) -> None:
    """A segmentation head: the best class, its mask, the others' pixels marked with -1."""
    net = Net(dtype)
    x = net.conv(net.input((1, 3, 6, 5)), (4, 3, 1, 1))
    best = net.node("ArgMax", net.real(x), axis=1)
    mask = net.node("Not", net.node("Equal", best, net.constant(np.array(0))))
    small = net.node("Cast", best, to=TensorProto.INT32)
    net._output(mask, TensorProto.BOOL)
    net._output(net.node("Where", mask, small, net.constant(np.int32(-1))), TensorProto.INT32)
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_image_of_bytes_is_cast_and_scaled(dtype: str, tmp_path: Path) -> None:
    """8-bit pixels -> Cast -> (x - mean) / deviation -> Q: one table."""
    net = Net(dtype)
    net.inputs.append(helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(net.dtype), [1, 1, 6, 5]))
    real = net.node("Sub", net.node("Cast", "x", to=TensorProto.FLOAT), net.constant(np.float32(117.3)))
    x = net.quantize(net.node("Div", real, net.constant(np.float32(58.1))), 0.02, 5)
    net.output(net.conv(x, (4, 1, 3, 3)))
    assert "mcugen_lut_s8" in kernels(exact(net.model(), tmp_path))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("shape, axis, k", [((3, 40), -1, 4), ((2, 7, 3), 1, 7)], ids=str)
def test_top_k_of_codes(shape: tuple[int, ...], axis: int, k: int, largest: int, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.op("Floor", net.input(shape), scale=1.0)
    values = net.node("TopK", net.real(x), net.constant(np.array([k])), axis=axis, largest=largest)
    net.nodes[-1].output.append("positions")
    net.output(net.quantize(values, 1.0))
    net._output("positions", TensorProto.INT64)
    assert "mcugen_top_k_s8" in kernels(exact(net.model(), tmp_path))


REFUSED = {
    "divisor at run time": ("Div", ("b",), {}, "constant divisors above 0"),
    "divisor of 0": ("Mod", (np.array([3, 0, 1, 1]),), {}, "constant divisors above 0"),
    "fmod": ("Mod", (np.array(3),), {"fmod": 1}, "fmod = 1"),
    "product": ("ReduceProd", (), {"keepdims": 0}, "ReduceProd on int64 numbers is not supported"),
    "no kernel": ("Abs", (), {}, "Abs on int64 numbers is not supported"),
    "one hot of what is not known": ("OneHot", (np.array(3), "b"), {}, "a constant depth and constant values"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str, tmp_path: Path) -> None:
    op, others, attributes, message = REFUSED[case]
    net = Net()
    a = whole(net, [4], "int64", "a")
    sizes = [2] if op == "OneHot" else [4]
    operands = [whole(net, sizes, "int64", o) if isinstance(o, str) else net.constant(o) for o in others]
    net._output(net.node(op, a, *operands, name="head/only", **attributes), TensorProto.INT64)
    with pytest.raises(UserError, match=message) as caught:
        compile_model(net.model(), tmp_path)
    assert caught.value.origin == "head/only" and caught.value.hint
