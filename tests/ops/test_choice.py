"""Comparisons, logic, choices and order: bool tensors of one byte, int64 positions. Against the pinned session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from checking import compile_model, exact, kernels, transposes
from float_layers import rand, some, together
from onnx import TensorProto, helper
from small_models import DTYPES, Net

from mcugen import oracle
from mcugen.emit.canonical import from_native, to_native
from mcugen.errors import UserError
from mcugen.prove.host import HostModel

_COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
Build = Callable[[Net], tuple[str, int]]


def graph_of(build: Build, opset: int = 20) -> onnx.ModelProto:
    """A model whose output, and its type, `build` returns."""
    net = Net(opset=opset)
    net._output(*build(net))
    return net.model()


def bools(net: Net, shape: list[int], name: str) -> str:
    net.inputs.append(helper.make_tensor_value_info(name, TensorProto.BOOL, shape))
    return name


def rounded(net: Net, shape: list[int], name: str) -> str:
    """Few values, so that some are equal."""
    return net.node("Round", net.node("Mul", net.float_input(shape, name), net.constant(np.float32(3))))


def comparison(op: str, a: list[int], b: list[int]) -> Build:
    return lambda net: (net.node(op, rounded(net, a, "a"), rounded(net, b, "b")), TensorProto.BOOL)


def logic(op: str, *shapes: list[int]) -> Build:
    return lambda net: (net.node(op, *(bools(net, s, f"x{k}") for k, s in enumerate(shapes))), TensorProto.BOOL)


def where(condition: list[int], a: list[int], b: list[int]) -> Build:
    def build(net: Net) -> tuple[str, int]:
        operands = bools(net, condition, "c"), net.float_input(a, "a"), net.float_input(b, "b")
        return net.node("Where", *operands), TensorProto.FLOAT

    return build


def masked(net: Net) -> tuple[str, int]:
    """An attention mask of an exporter: where the mask is 0, minus infinity, as bool, moved and cast."""
    mask = net.node("Equal", rounded(net, [2, 1, 4], "mask"), net.constant(np.float32(0)))
    turned = net.node("Transpose", net.node("Not", mask), perm=[0, 2, 1])
    both = net.node("And", turned, net.constant(np.tri(4, dtype=bool)))
    scores = net.node("Where", both, net.float_input([2, 4, 4], "scores"), net.constant(np.float32(-np.inf)))
    factor = net.node("Cast", net.node("Concat", both, both, axis=2), to=TensorProto.FLOAT)
    twice = net.node("Concat", net.node("Softmax", scores, axis=1), scores, axis=2)
    return net.node("Where", net.node("Cast", factor, to=TensorProto.BOOL), twice, factor), TensorProto.FLOAT


def one(op: str, shape: list[int], *constants: Any, **attributes: Any) -> Build:
    def build(net: Net) -> tuple[str, int]:
        return net.node(op, net.float_input(shape), *map(net.constant, constants), **attributes), TensorProto.FLOAT

    return build


EXACT: dict[str, onnx.ModelProto] = {
    name: graph_of(build)
    for name, build in {
        **{op: comparison(op, [2, 3, 5], [2, 3, 5]) for op in _COMPARISONS},
        "Less, row": comparison("Less", [2, 3, 5], [5]),
        "Equal, column with row": comparison("Equal", [3, 1], [2, 1, 5]),
        **{op: logic(op, [2, 3, 5], [3, 1]) for op in ("And", "Or", "Xor")},
        "Not": logic("Not", [2, 3, 5]),
        "Equal of bools": logic("Equal", [2, 3, 5], [3, 1]),
        "Where": where([2, 3, 5], [2, 3, 5], [2, 3, 5]),
        "Where, rows and columns": where([3, 1], [2, 1, 5], [5]),
        "Where, one condition": where([1], [2, 3, 5], [2, 3, 5]),
        "a mask": masked,
        "Trilu": one("Trilu", [2, 4, 5]),
        "Trilu, lower": one("Trilu", [5, 4], np.array(1), upper=0),
        "CumSum": one("CumSum", [3, 40], np.array(1)),
        "CumSum, exclusive, reverse": one("CumSum", [3, 20, 2], np.array(-2), exclusive=1, reverse=1),
        "Cast of a float": one("Cast", [3, 4], to=TensorProto.FLOAT),
    }.items()
}


@pytest.mark.parametrize("part", range(4))
def test_exact(part: int, tmp_path: Path) -> None:
    exact(together(some(EXACT, part, 4)), tmp_path)


def test_positions_become_real_numbers(tmp_path: Path) -> None:
    assert "mcugen_f32_from_int64" in kernels(compile_model(graph_of(_arg_max_of_codes), tmp_path))
    exact(graph_of(_arg_max_of_codes), tmp_path)


def test_positions_are_moved(tmp_path: Path) -> None:
    net = Net()
    found = net.node("ArgMax", net.real(net.input((3, 8, 2))), axis=1, keepdims=0)
    net._output(net.node("Transpose", found, perm=[1, 0]), TensorProto.INT64)
    exact(net.model(), tmp_path)


def _arg_max_of_codes(net: Net) -> tuple[str, int]:
    found = net.node("ArgMax", net.real(net.input((3, 8))), axis=1)
    return net.node("Cast", found, to=TensorProto.FLOAT), TensorProto.FLOAT


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("shape, axis, k", [((3, 12), -1, 4), ((2, 7, 3), 1, 7), ((9,), 0, 1)], ids=str)
def test_top_k(shape: tuple[int, ...], axis: int, k: int, largest: int, tmp_path: Path) -> None:
    """Values of an island behind codes: many are equal."""
    net = Net()
    x = net.node("Round", net.real(net.input(shape, 0.03)))
    values = net.node("TopK", x, net.constant(np.array([k])), axis=axis, largest=largest)
    net.nodes[-1].output.append("positions")
    net._output(values, TensorProto.FLOAT)
    net._output("positions", TensorProto.INT64)
    exact(net.model(), tmp_path)


def test_top_k_whose_values_are_not_read(tmp_path: Path) -> None:
    net = Net()
    net.node("TopK", net.float_input((2, 9)), net.constant(np.array([3])))
    net.nodes[-1].output.append("positions")
    net._output("positions", TensorProto.INT64)
    exact(net.model(), tmp_path)


def test_special_values(tmp_path: Path) -> None:
    """NaN equals nothing, zeros of both signs equal each other."""
    values = np.float32([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-40])
    a, b = (part.reshape(-1) for part in np.meshgrid(values, values))
    model = together({op: graph_of(_plain(op, a.size)) for op in _COMPARISONS})
    feeds = {f"{op}/{name}": array for op in _COMPARISONS for name, array in (("a", a), ("b", b))}
    got = HostModel(compile_model(model, tmp_path)).run(feeds)
    for name, want in oracle.run(oracle.plain_session(model), feeds).items():
        np.testing.assert_array_equal(got[name], want, name)


_KINDS = {
    TensorProto.FLOAT: [0, -0.0, 1.7, -1.7, 2.5, 3e9, -3e9, 1e20, -(2.0**31), 2.0**31, np.nan, np.inf, -np.inf, 1e-40],
    TensorProto.INT32: [0, 1, -1, 2**31 - 1, -(2**31), 2**24 + 1],
    TensorProto.INT64: [0, 1, -1, 2**63 - 1, -(2**63), 2**31, 2**32, 2**53 + 1, 2**40 + 5],
    TensorProto.BOOL: [0, 1],
}


@pytest.mark.parametrize("byte", [TensorProto.INT8, TensorProto.UINT8])
def test_every_cast_of_special_values(byte: int, tmp_path: Path) -> None:
    """What no integer holds becomes the lowest one, as on the CPU that ONNX Runtime runs on."""
    feeds, models = {}, {}
    kinds = _KINDS | {byte: [0, 1, 127] + ([-128, -1] if byte == TensorProto.INT8 else [128, 255])}
    for kind, values in kinds.items():
        array = np.array(values).astype(helper.tensor_dtype_to_np_dtype(kind))
        for to in kinds.keys() - {kind}:
            if kind == byte and to == TensorProto.BOOL:
                continue
            net = Net()
            net.inputs.append(helper.make_tensor_value_info("x", kind, array.shape))
            net._output(net.node("Cast", "x", to=to), to)
            models[f"{kind}_{to}"] = net.model()
            feeds[f"{kind}_{to}/x"] = array
    model = together(dict(sorted(models.items())))
    compiled = compile_model(model, tmp_path)
    got = HostModel(compiled).run({name: from_native(array) for name, array in feeds.items()})
    for name, want in oracle.run(oracle.plain_session(model), feeds).items():
        np.testing.assert_array_equal(to_native(compiled.graph.type(name), got[name]), want, name)


def _plain(op: str, size: int) -> Build:
    return lambda net: (net.node(op, net.float_input([size], "a"), net.float_input([size], "b")), TensorProto.BOOL)


@pytest.mark.parametrize("dtype", DTYPES)
def test_where_between_codes(dtype: str, tmp_path: Path) -> None:
    """An integer choice; the operand of other parameters passes a table, the constant is quantized."""
    net = Net(dtype)
    condition = bools(net, [3, 1], "c")
    a, b = net.input((2, 3, 5), 0.04, 3, "a"), net.input((2, 3, 5), 0.03, -9, "b")
    chosen = net.op("Where", condition, a, b, scale=0.04, zero_point=3)
    net.output(net.op("Where", condition, net.constant(rand(5)), chosen, scale=0.04, zero_point=3))
    assert sorted(kernels(exact(net.model(), tmp_path))) == ["mcugen_lut_s8", "mcugen_where_s8", "mcugen_where_s8"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_where_in_any_layout(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.conv(net.input((1, 3, 5, 4)), (4, 3, 3, 3))
    condition = net.constant(net.rng.random((4, 1, 2)) > 0.5)
    zero = net.constant(np.float32(0))
    y = net.op("Where", condition, x, zero, scale=x.scale, zero_point=net.zero_of(x))
    net.output(net.conv(y, (3, 4, 1, 1)))
    assert transposes(exact(net.model(), tmp_path)) == 2


def _cast_to_short(net: Net) -> tuple[str, int]:
    return net.node("Cast", net.float_input([3]), to=TensorProto.INT16), TensorProto.INT16


def _positions_padded(net: Net) -> tuple[str, int]:
    found = net.node("ArgMax", net.real(net.input((3, 8))), axis=1)
    return net.node("Pad", found, net.constant(np.array([0, 0, 0, 1]))), TensorProto.INT64


def _unsorted(net: Net) -> tuple[str, int]:
    y = net.node("TopK", net.float_input((2, 9)), net.constant(np.array([3])), sorted=0)
    net.nodes[-1].output.append("positions")
    return y, TensorProto.FLOAT


REFUSED: dict[str, tuple[Build, str]] = {
    "cast": (_cast_to_short, "Cast on float32 numbers is not supported"),
    "positions": (_positions_padded, "Pad of int64 numbers"),
    "unsorted": (_unsorted, "sorted = 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str, tmp_path: Path) -> None:
    build, message = REFUSED[case]
    with pytest.raises(UserError, match=message) as caught:
        compile_model(graph_of(build), tmp_path)
    assert caught.value.origin
