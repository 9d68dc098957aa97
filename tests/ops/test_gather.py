"""Indices computed at run time: Gather and Scatter in all of ONNX's forms, embeddings, and indices that are outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from checking import assert_exact, compile_model, exact, kernels
from click.testing import CliRunner
from float_layers import rand, together
from onnx import TensorProto, helper
from small_models import DTYPES, Net

from mcugen import UserError, oracle
from mcugen.cli import main
from mcugen.emit.artefact import Compiled
from mcugen.emit.codegen import c_sources
from mcugen.prove.board import run_on_board
from mcugen.prove.host import HostModel

ELEMENT = {"int32": TensorProto.INT32, "int64": TensorProto.INT64}


def indices(net: Net, shape: list[int], dtype: str = "int64", name: str = "at") -> str:
    net.inputs.append(helper.make_tensor_value_info(name, ELEMENT[dtype], shape))
    return name


def model_of(build: Callable[[Net], str], kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    net = Net()
    net._output(build(net), kind)
    return net.model()


def gather(op: str, data: list[int], at: list[int], dtype: str = "int64", **attributes: int) -> onnx.ModelProto:
    return model_of(lambda net: net.node(op, net.float_input(data), indices(net, at, dtype), **attributes))


def scatter(op: str, data: list[int], at: list[int], updates: list[int], **attributes: int) -> onnx.ModelProto:
    return model_of(
        lambda net: net.node(op, net.float_input(data), indices(net, at), net.float_input(updates, "new"), **attributes)
    )


FORMS = {
    "Gather": gather("Gather", [5, 3], [4]),
    "Gather, int32": gather("Gather", [2, 5, 3], [2, 2], "int32", axis=1),
    "Gather, last axis": gather("Gather", [4, 3], [2, 5], axis=-1),
    "Gather, one": gather("Gather", [7, 2], []),
    "GatherElements": gather("GatherElements", [4, 5, 3], [4, 2, 3], axis=1),
    "GatherElements, of a part": gather("GatherElements", [4, 5, 3], [2, 6, 2], "int32", axis=-2),
    "GatherElements, last axis": gather("GatherElements", [3, 8], [3, 8], axis=1),
    "GatherND": gather("GatherND", [4, 3, 5, 2], [6, 2]),
    "GatherND, of elements": gather("GatherND", [3, 2, 2], [4, 3]),
    "GatherND, batches": gather("GatherND", [2, 4, 5, 3], [2, 6, 2], batch_dims=1),
    "ScatterElements": scatter("ScatterElements", [3, 6], [3, 2], [3, 2], axis=1),
    "ScatterElements, middle": scatter("ScatterElements", [2, 6, 4], [2, 3, 4], [2, 3, 4], axis=1),
    "ScatterND": scatter("ScatterND", [4, 5, 3], [6, 2], [6, 3]),
}


@pytest.mark.parametrize("optimize", ["speed", "balanced"])
def test_forms(optimize: str, tmp_path: Path) -> None:
    exact(together(FORMS), tmp_path, optimize=optimize)


@pytest.mark.parametrize("view", [False, True])
@pytest.mark.parametrize("op", ["ScatterElements", "ScatterND"])
def test_updates_that_are_the_data(op: str, view: bool, tmp_path: Path) -> None:
    """They are read while the output is written, so it cannot take their bytes."""

    def build(net: Net) -> str:
        updates = net.float_input([6, 3])
        data = net.node("Reshape", net.node("Reshape", updates, net.shape(18)), net.shape(6, 3)) if view else updates
        at = indices(net, [6, 1] if op == "ScatterND" else [6, 3])
        return net.node(op, data, at, updates)

    exact(model_of(build), tmp_path)


def embedding(net: Net, form: str, dtype: str = "int64") -> str:
    """Words of 6 numbers each, of a vocabulary of 9, as tools leave them quantized."""
    at = indices(net, [2, 4], dtype)
    real, _ = net.weights((9, 6), axis=0 if form == "a scale a word" else None, dtype=net.dtype)
    if form == "float":
        return net.node("Gather", net.constant(rand(9, 6)), at)
    return net.node("Gather", real, at)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", ["a scale", "a scale a word", "float"])
def test_embedding_before_a_layer(form: str, dtype: str, tmp_path: Path) -> None:
    """token ids -> vectors -> a layer: with one scale the table is in flash as it is, 1 byte a number."""
    net = Net(dtype)
    x = net.quantize(embedding(net, form), 0.02, 3)
    net.output(net.gemm(net.copy("Reshape", x, net.shape(8, 6)), 5, 6))
    compiled = exact(net.model(), tmp_path)
    assert kernels(compiled)[0] == "mcugen_gather_s64"
    tables = [compiled.graph.data(n) for n in compiled.graph.nodes[0].inputs[:1]]
    assert [t.dtype for t in tables if t is not None] == ([np.int8])


@pytest.mark.parametrize("dtype", DTYPES)
def test_embedding_of_codes_stays_in_codes_before_float(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    net._output(net.node("Abs", embedding(net, "a scale", "int32")), TensorProto.FLOAT)
    compiled = exact(net.model(), tmp_path)
    assert kernels(compiled)[:2] == ["mcugen_gather_s32", "mcugen_dequantize_s8_f32"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_positions_of_a_layer_pick_from_its_input(dtype: str, tmp_path: Path) -> None:
    """ArgMax -> Gather, everything in codes; the output of a layer in another layout."""
    net = Net(dtype)
    x = net.conv(net.input((1, 3, 6, 4)), (5, 3, 3, 3))
    found = net.node("ArgMax", net.real(x), axis=1, keepdims=0)
    one = net.node("Gather", found, net.constant(np.array(0)), axis=0)
    row = net.node("Gather", one, net.constant(np.array(1)), axis=0)
    net.output(net.copy("Gather", x, row, axis=1))
    assert "mcugen_gather_s64" in kernels(exact(net.model(), tmp_path))


@pytest.mark.parametrize("activations", ["int8", "uint8", ""])
@pytest.mark.parametrize("table", [np.int8, np.uint8])
def test_rows_of_8_bits_stay_in_8_bits(activations: str, table: type, tmp_path: Path) -> None:
    """An embedding with a scale a row, whatever the type of the activations beside it."""
    net = Net(activations or "int8")
    rows, _ = net.weights((40, 12), dtype=table, zero_point=3)
    net._output(net.node("Gather", rows, indices(net, [2, 5])), TensorProto.FLOAT)
    if activations:
        net.output(net.op("Sigmoid", net.input((2, 7)), scale=1 / 256, zero_point=-128))
    compiled = exact(net.model(), tmp_path)
    assert kernels(compiled).count("mcugen_gather_s64") == 2
    sizes = [compiled.graph.values[name].data.nbytes for name in _tables(compiled)]
    assert sorted(sizes) == [40 * 4, 40 * 12]


def _tables(compiled: Compiled) -> list[str]:
    return [node.inputs[0] for node in compiled.graph.nodes if node.op == "gather"]


def test_rows_that_are_quantized_again_are_a_table_of_that_scale(tmp_path: Path) -> None:
    net = Net()
    rows, _ = net.weights((40, 12))
    net.output(net.quantize(net.node("Gather", rows, indices(net, [2, 5]))))
    assert kernels(exact(net.model(), tmp_path)) == ["mcugen_gather_s64"]


def test_indices_through_copies_and_casts_are_drawn_in_range(tmp_path: Path) -> None:
    """Random samples stay within the axis, whatever only moves the indices before they are read."""
    net = Net()
    at = net.node("Concat", indices(net, [2, 1], "int32"), indices(net, [2, 2], "int32", "more"), axis=1)
    at = net.node("Transpose", net.node("Cast", at, to=TensorProto.INT64), perm=[1, 0])
    net._output(net.node("Gather", net.float_input([3, 2]), at), TensorProto.FLOAT)
    exact(net.model(), tmp_path, samples=50)


def test_an_index_outside_ends_the_run_with_an_error(tmp_path: Path) -> None:
    """ONNX Runtime gives up on the very same indices; with others the C runs again."""
    model = together({"Gather": FORMS["Gather, int32"], "ND": FORMS["GatherND"]})
    compiled = compile_model(model, tmp_path)
    assert "SMALL_ERR_KERNEL, and outputs without meaning:\n * an index" in c_sources(compiled)["small.h"]
    host, session = HostModel(compiled), oracle.plain_session(model)
    feeds = {p.name: np.ones(p.type.shape, p.type.dtype) for p in compiled.inputs}
    (first, second) = [p.name for p in compiled.inputs if p.type.dtype != "float32"]
    for name, at, outside in (
        (first, (1, 1), (5, -6, 2**31 - 1, -(2**31))),
        (second, (5, 1), (3, -4, 2**32, -(2**63))),
    ):
        for index in outside:
            wrong = {key: array.copy() for key, array in feeds.items()}
            wrong[name][at] = index
            with pytest.raises(UserError):
                oracle.run(session, wrong)
            with pytest.raises(UserError, match="small_run gave up on these inputs: an index"):
                host.run(wrong)
        for index in (-1, 0, 2):
            right = {key: array.copy() for key, array in feeds.items()}
            right[name][at] = index
            got = host.run(right)
            for key, want in oracle.run(session, right).items():
                np.testing.assert_array_equal(got[key], want)


def test_samples_with_an_index_outside_are_named(tmp_path: Path) -> None:
    path, data = tmp_path / "small.onnx", tmp_path / "words.npz"
    onnx.save(FORMS["Gather"], path)
    np.savez(data, x=np.ones((3, 5, 3), np.float32), at=np.array([[0, 1, 2, 3], [4, -5, 0, 0], [0, 0, 5, 0]]))
    result = CliRunner().invoke(main, ["verify", str(path), "--inputs", str(data)])
    assert result.exit_code == 2 and "sample 2: ONNX Runtime does not run the model" in result.stderr
    assert "Feed indices within their axes" in result.stderr


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
def test_on_a_board(core: str, tmp_path: Path) -> None:
    model = together({name: FORMS[name] for name in ("Gather, int32", "GatherElements", "ScatterND")})
    compiled = compile_model(model, tmp_path, core=core)
    assert_exact(compiled, samples=2, on=core)
    outside = {p.name: np.full((1, *p.type.shape), 7, p.type.dtype) for p in compiled.inputs}
    with pytest.raises(UserError, match="small_run gave up"):
        run_on_board(compiled, outside)


REFUSED = {
    "added up": (scatter("ScatterElements", [3, 2], [3, 2], [3, 2], reduction="add"), "reduction = add"),
    "a part": (scatter("ScatterElements", [3, 2], [1, 1], [1, 1]), r"of data \[3, 2\] by indices \[1, 1\]"),
    "more than there is": (gather("GatherElements", [4, 3], [4, 5]), r"of data \[4, 3\] by indices \[4, 5\]"),
    "other batches": (gather("GatherND", [2, 4, 3], [3, 5, 1], batch_dims=1), "is not supported"),
    "updates of another shape": (scatter("ScatterND", [4, 3], [2, 1], [3, 3]), "is not supported"),
    "updates of other elements": (scatter("ScatterElements", [3, 6], [3, 2], [3, 3], axis=1), "is not supported"),
    "five indices": (gather("GatherND", [2, 2, 2, 2, 2], [3, 5]), "At most 4 indices"),
    "constant, outside": (
        model_of(lambda net: net.node("GatherND", net.float_input([3, 2]), net.constant(np.array([[3]])))),
        "an index is outside",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str, tmp_path: Path) -> None:
    model, message = REFUSED[case]
    with pytest.raises(UserError, match=message) as caught:
        compile_model(model, tmp_path)
    assert caught.value.origin and caught.value.hint
