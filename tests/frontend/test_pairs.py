"""Two pairs in a row: the graph the pinned session runs, and what it computes, are what the compiler makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from checking import compile_model, exact, kernels
from onnx import numpy_helper
from small_models import DTYPES, Net, Tensor

from mcugen import UserError, oracle
from mcugen.frontend.pairs import merge_pairs

Pair = tuple[float, int]
PAIRS: dict[str, tuple[Pair, ...]] = {
    "narrower": ((0.05, 3), (0.03, -7)),
    "wider": ((0.03, -7), (0.05, 3)),
    "shifted": ((0.05, -100), (0.05, 90)),
    "coarse": ((2.5, 3), (1.75, 1)),
    "power of two": ((0.25, 0), (0.125, 1)),
    "last place": ((0.05, 3), (float(np.nextafter(np.float32(0.05), np.float32(1))), 3)),
    "tiny": ((1e-12, 3), (2e-12, 3)),
    "zero at the ends": ((0.05, -128), (0.03, 127 - 40)),
    "half between": ((0.1, 0), (0.1, 1)),
    "three": ((0.05, 3), (0.03, -7), (0.04, 20)),
    "four": ((0.05, 3), (0.03, -7), (0.07, 20), (0.01, 0)),
    "five": ((0.05, 3), (0.03, -7), (0.07, 20), (0.02, 0), (0.06, -1)),
    "equal": ((0.05, 3), (0.05, 3)),
}


def chain(
    dtype: str, pairs: Sequence[Pair], between: Sequence[str] = (), opset: int = 17, then: str = "Neg"
) -> onnx.ModelProto:
    """x -> Q - DQ -> `between` -> Q - DQ -> ... -> `then` -> Q - DQ -> y"""
    net = Net(dtype, opset=opset)
    real, x = net.float_input((2, 150)), None
    for number, pair in enumerate(pairs):
        for op in between if number else ():
            real = net.node(op, real, **({"to": onnx.TensorProto.FLOAT} if op == "Cast" else {}))
        x = net.quantize(real, *pair)
        real = net.real(x)
    assert x is not None
    if then:
        net.output(net.op(then, real, scale=x.scale, zero_point=5))
    else:
        net.nodes[-1].output[0] = "y"
        net._output("y", onnx.TensorProto.FLOAT)
    return net.model()


def params(model: onnx.ModelProto) -> list[tuple[str, float, int]]:
    """(operator, scale, zero point) of all Q and DQ nodes; uint8 zero points where ORT runs int8 ones as uint8."""
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    return [(n.op_type, float(constants[n.input[1]].item()), int(constants[n.input[2]].item())) for n in nodes]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", PAIRS)
def test_merged_as_the_pinned_session_merges(case: str, dtype: str, tmp_path: Path) -> None:
    """The parameters, and the bytes."""
    model = chain(dtype, PAIRS[case])
    assert params(merge_pairs(model)) == params(oracle.executed_graph(model))
    exact(model, tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_two_pairs(dtype: str) -> None:
    chance = np.random.default_rng(7)
    for _ in range(60):
        pairs = [(float(np.float32(2.0 ** chance.uniform(-6, 3))), int(chance.integers(-128, 128))) for _ in "ab"]
        if {zero for _, zero in pairs} == {-128, 127}:
            continue
        model = chain(dtype, pairs, then="")
        assert params(merge_pairs(model)) == params(oracle.executed_graph(model)), pairs


@pytest.mark.parametrize("dtype", ["uint16", "int16"])
def test_16_bits(dtype: str) -> None:
    for pairs in (((5e-4, 3), (3e-4, -7)), ((3e-4, -700), (5e-4, 900)), ((1e-3, 3), (7e-4, 2), (9e-4, 100))):
        model = chain(dtype, pairs, opset=21, then="")
        assert params(merge_pairs(model)) == params(oracle.executed_graph(model)), pairs


@pytest.mark.parametrize("opset", [10, 13, 19, 21, 23, 24, 25])
def test_every_opset(opset: int, tmp_path: Path) -> None:
    model = chain("uint8", PAIRS["narrower"], opset=opset)
    assert params(merge_pairs(model)) == params(oracle.executed_graph(model))
    exact(model, tmp_path)


@pytest.mark.parametrize("between", [["Identity"], ["Dropout"], ["Cast"], ["Identity", "Dropout"]], ids="-".join)
def test_nothing_between(between: list[str], tmp_path: Path) -> None:
    model = chain("uint8", PAIRS["narrower"], between)
    assert len(params(merge_pairs(model))) == 4
    exact(model, tmp_path)


END = 2**63 - 1
ZERO, ONE = np.float32(0), np.float32(1)
# What stands between two pairs: operator, operands (None: the tensor, else a constant), and whether ORT drops it.
NEUTRAL: dict[str, tuple[str, tuple[object, ...], bool]] = {
    "add 0": ("Add", (None, ZERO), True),
    "add -0 of one dimension": ("Add", (None, np.array([-0.0], np.float32)), True),
    "0 add": ("Add", (np.zeros((1, 1), np.float32), None), True),
    "add 0, more dimensions": ("Add", (None, np.zeros((1, 1, 1), np.float32)), False),
    "add zeros": ("Add", (None, np.zeros(150, np.float32)), False),
    "add the smallest": ("Add", (None, np.float32(1e-45)), False),
    "sub 0": ("Sub", (None, ZERO), True),
    "0 sub": ("Sub", (ZERO, None), False),
    "mul 1": ("Mul", (None, ONE), True),
    "1 mul": ("Mul", (ONE, None), True),
    "mul nearly 1": ("Mul", (None, np.nextafter(ONE, ZERO)), False),
    "div 1": ("Div", (None, ONE), True),
    "pow 1": ("Pow", (None, ONE), False),
    "slice": ("Slice", (None, [0], [END], [1]), True),
    "slice, all axes": ("Slice", (None, [0, 0], [END, END]), True),
    "slice, step 1": ("Slice", (None, [0], [END], [-1], [1]), True),
    "slice to the size": ("Slice", (None, [0], [150], [1]), False),
    "slice from -size": ("Slice", (None, [-150], [END], [1]), False),
    "slice to int32's end": ("Slice", (None, [0], [2**31 - 1], [1]), False),
    "expand": ("Expand", (None, [2, 150]), True),
    "expand, ones": ("Expand", (None, [1]), True),
    "tile": ("Tile", (None, [1, 1]), False),
    "reshape": ("Reshape", (None, [2, 150]), False),
}


@pytest.mark.parametrize("case", NEUTRAL)
def test_what_changes_nothing_between(case: str, tmp_path: Path) -> None:
    op, operands, dropped = NEUTRAL[case]
    net = Net("uint8")
    real = net.real(net.input((2, 150), 0.05, 3))
    names = [real if o is None else net.constant(np.array(o, np.int64) if isinstance(o, list) else o) for o in operands]
    net.output(net.op("Neg", net.quantize(net.node(op, *names), 0.03, -7), scale=0.03, zero_point=5))
    merged = params(merge_pairs(net.model()))
    assert len(merged) == (4 if dropped else 6)
    assert merged == params(oracle.executed_graph(net.model()))
    exact(net.model(), tmp_path)


def test_sizes_computed_from_shapes(tmp_path: Path) -> None:
    net = Net("uint8")
    real = net.real(net.input((2, 150), 0.05, 3))
    same = net.node("Expand", real, net.node("Shape", real))
    zero = net.node("Constant", value_float=0.0)
    net.output(net.op("Neg", net.quantize(net.node("Add", same, zero), 0.03, -7), scale=0.03))
    assert kernels(exact(net.model(), tmp_path)).count("mcugen_lut_s8") == 1


@pytest.mark.parametrize("between", [["Transpose"], ["Relu"], ["Transpose", "Transpose"], ["Neg"]], ids="-".join)
def test_something_between(between: list[str], tmp_path: Path) -> None:
    """Not in a row: both roundings stay."""
    model = chain("uint8", PAIRS["narrower"], between)
    assert len(params(merge_pairs(model))) == 6
    exact(model, tmp_path)


def _read_twice(net: Net, a: Tensor, b: Tensor) -> None:
    """The last DequantizeLinear, by two nodes."""
    real = net.real(b)
    net.output(net.op("Neg", real), "y")
    net.output(net.op("Abs", real), "z")


def _two_ends(net: Net, a: Tensor, b: Tensor) -> None:
    """Two DequantizeLinear at the end."""
    net.output(net.op("Neg", b), "y")
    net.output(net.op("Abs", b), "z")


def _is_output(net: Net, a: Tensor, b: Tensor) -> None:
    """The last DequantizeLinear makes an output, and goes on."""
    net.output(b, "y")
    net.output(net.op("Abs", "y"), "z")


def _two_operands(net: Net, a: Tensor, b: Tensor) -> None:
    real = net.real(b)
    net.output(net.op("Add", real, real, scale=0.07), "y")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("end", [_read_twice, _two_ends, _is_output, _two_operands])
def test_the_second_pair_may_have_readers(end: Callable[..., None], dtype: str, tmp_path: Path) -> None:
    model = in_a_row(dtype, end)
    assert len(params(merge_pairs(model))) == len(params(model)) - 2
    exact(model, tmp_path)


def in_a_row(dtype: str, end: Callable[..., None]) -> onnx.ModelProto:
    net = Net(dtype)
    a = net.input((2, 90), 0.05, 3)
    end(net, a, net.quantize(net.real(a), 0.03, -7))
    return net.model()


def _two_branches(net: Net, a: Tensor, b: Tensor) -> None:
    """The first pair is read by more than the second."""
    net.output(net.op("Neg", b), "y")
    net.output(net.op("Abs", a), "z")


def _duplicates(net: Net, a: Tensor, b: Tensor) -> None:
    """The same twice."""
    net.output(net.op("Neg", b), "y")
    net.output(net.op("Neg", net.quantize(net.real(a), 0.03, -7)), "z")


def _integer_ends(net: Net, a: Tensor, b: Tensor) -> None:
    """No DequantizeLinear at the end."""
    net.integer_output(b)


def _dead_ends(net: Net, a: Tensor, b: Tensor) -> None:
    """What nobody needs is a reader too."""
    net.real(a)
    net.output(net.op("Neg", b), "y")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("end", [_two_branches, _duplicates, _integer_ends, _dead_ends])
def test_pairs_that_stay(end: Callable[..., None], dtype: str, tmp_path: Path) -> None:
    model = in_a_row(dtype, end)
    assert len(params(merge_pairs(model))) == len(params(model))
    exact(model, tmp_path)


def test_a_pair_without_zero_points_stays(tmp_path: Path) -> None:
    net = Net("uint8")
    real = net.float_input((2, 90))
    for scale in (0.05, 0.03):
        real = net.node("QuantizeLinear", real, net.constant(np.float32(scale)))
        real = net.node("DequantizeLinear", real, net.constant(np.float32(scale)))
    net.output(net.op("Sqrt", real))
    assert len([n for n in merge_pairs(net.model()).graph.node if n.op_type == "QuantizeLinear"]) == 3
    exact(net.model(), tmp_path)


def test_constants_are_quantized_once(tmp_path: Path) -> None:
    net = Net("uint8")
    a = net.quantize(net.constant(np.linspace(-5, 5, 90, dtype=np.float32).reshape(1, 90)), 0.05, 3)
    b = net.quantize(net.real(a), 0.03, -7)
    net.output(net.op("Add", net.input((2, 90)), b, scale=0.1))
    exact(net.model(), tmp_path)


def test_an_output_behind_two_pairs(tmp_path: Path) -> None:
    model = chain("uint8", PAIRS["narrower"], then="")
    assert len(params(merge_pairs(model))) == 2
    exact(model, tmp_path, io="float")


def test_pairs_of_two_types_stay(tmp_path: Path) -> None:
    net = Net("uint8")
    real = net.real(net.input((2, 90), 0.05, 3))
    net.turn("int8")
    net.output(net.quantize(real, 0.03, -7))
    assert len(params(merge_pairs(net.model()))) == 4
    exact(net.model(), tmp_path)


@pytest.mark.parametrize("zeros", [(127, -128), (-128, 127)])
def test_ranges_without_a_number_in_common(zeros: tuple[int, int], tmp_path: Path) -> None:
    model = chain("uint8", [(0.1, zeros[0]), (0.1, zeros[1])])
    with pytest.raises(UserError, match="no range in common") as error:
        compile_model(model, tmp_path)
    assert error.value.origin == "QuantizeLinear_2"


def test_overridable_parameters_stay() -> None:
    """From IR version 4 on, an initializer that is an input too is only a default."""
    model = chain("uint8", PAIRS["narrower"])
    for tensor in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    assert len(params(merge_pairs(model))) == 6
    model.ir_version = 3
    assert len(params(merge_pairs(model))) == 4
