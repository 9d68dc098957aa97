"""What a TensorFlow Lite converter writes, brought into the form delegates look for; the values stay the same."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from export_models import check, export
from onnx import TensorProto, helper, numpy_helper

from mcugen import oracle
from mcugen.deliver import qnn
from mcugen.deliver.gate import infer
from mcugen.deliver.qdq_units import qdq_units
from mcugen.deliver.reference import agreement, differing
from mcugen.deliver.wires import Wires

needs_qnn = pytest.mark.skipif(find_spec("onnxruntime_qnn") is None, reason="onnxruntime-qnn is not installed")


def converted() -> onnx.ModelProto:
    """int8 [1, 6, 6, 2] -> Transpose - Conv - Reshape - MatMul - Add -> int8 [1, 3]; copies move int8."""
    chance = np.random.default_rng(3)
    tensors: list[onnx.TensorProto] = []

    def constant(data: Any, dtype: Any) -> str:
        tensors.append(numpy_helper.from_array(np.asarray(data, dtype), f"c{len(tensors)}"))
        return tensors[-1].name

    def linear(op: str, x: str, y: str, scale: float, zero: int = 0, dtype: Any = np.int8) -> onnx.NodeProto:
        return helper.make_node(op, [x, constant(scale, np.float32), constant(zero, dtype)], [y], f"{y}_node")

    def weights(name: str, *shape: int) -> onnx.NodeProto:
        return linear("DequantizeLinear", constant(chance.integers(-127, 128, shape), np.int8), name, 0.01)

    def bias(name: str, count: int, scale: float) -> onnx.NodeProto:
        data = constant(chance.integers(-900, 900, count), np.int32)
        return linear("DequantizeLinear", data, name, scale, dtype=np.int32)

    sizes = constant([-1, 64], np.int64)
    nodes = [
        helper.make_node("Transpose", ["x"], ["xt"], "to_nchw", perm=[0, 3, 1, 2]),
        linear("DequantizeLinear", "xt", "xf", 0.05, 3),
        weights("w1", 4, 2, 3, 3),
        bias("b1", 4, 0.05 * 0.01),
        helper.make_node("Conv", ["xf", "w1", "b1"], ["cf"], "conv"),
        linear("QuantizeLinear", "cf", "cq", 0.1, -20),
        helper.make_node("Reshape", ["cq", sizes], ["rq"], "flat"),
        linear("DequantizeLinear", "rq", "rf", 0.1, -20),
        weights("w2", 64, 3),
        bias("b2", 3, 0.1 * 0.01),
        helper.make_node("MatMul", ["rf", "w2"], ["mf"], "product"),
        helper.make_node("Add", ["b2", "mf"], ["af"], "add"),
        linear("QuantizeLinear", "af", "y", 0.5, 7),
    ]
    ports = [
        helper.make_tensor_value_info("x", TensorProto.INT8, [1, 6, 6, 2]),
        helper.make_tensor_value_info("y", TensorProto.INT8, [1, 3]),
    ]
    graph = helper.make_graph(nodes, "converted", ports[:1], ports[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def operators(model: onnx.ModelProto) -> list[str]:
    short = {"QuantizeLinear": "Q", "DequantizeLinear": "DQ"}
    constants = {tensor.name for tensor in model.graph.initializer}
    return [short.get(n.op_type, n.op_type) for n in model.graph.node if n.input[0] not in constants]


def test_units_and_values() -> None:
    before = infer(converted())
    after = qdq_units(before)
    assert " ".join(operators(after)) == "DQ Transpose Q DQ Conv Q DQ Reshape Q DQ Gemm Q"
    assert not qnn._float_left(before, fp16_ok=False).passed and qnn._float_left(after, fp16_ok=False).passed
    feeds = {"x": np.random.default_rng(0).integers(-128, 128, (64, 1, 6, 6, 2), np.int8)}
    # Unoptimized: each model computes what it says. (ORT's own fusions differ: it leaves MatMul and Add in float.)
    results = [oracle.run_all(oracle.plain_session(model), feeds) for model in (before, after)]
    assert len(np.unique(results[0]["y"])) > 20
    assert differing(*results) == 0


def shared_product(graph: onnx.GraphProto) -> None:
    graph.output.append(helper.make_tensor_value_info("mf", TensorProto.FLOAT, [1, 3]))


def float_bias(graph: onnx.GraphProto) -> None:
    graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "plain"))
    next(n for n in graph.node if n.name == "add").input[0] = "plain"


def wide_bias(graph: onnx.GraphProto) -> None:
    """[1, 3] is no bias of a Gemm that QNN knows."""
    source = next(n for n in graph.node if n.name == "b2_node").input[0]
    tensor = next(t for t in graph.initializer if t.name == source)
    tensor.dims.insert(0, 1)


@pytest.mark.parametrize("spoil", [shared_product, float_bias, wide_bias])
def test_what_is_no_bias_stays(spoil: Callable[[onnx.GraphProto], None]) -> None:
    model = converted()
    spoil(model.graph)
    after = qdq_units(infer(model))
    assert "MatMul" in operators(after) and "Gemm" not in operators(after)


def no_zero_point(graph: onnx.GraphProto) -> None:
    """A Q without one makes uint8: the type would change."""
    for name in ("cq_node", "rf_node"):
        node = next(n for n in graph.node if n.name == name)
        graph.initializer.remove(next(t for t in graph.initializer if t.name == node.input[2]))
        del node.input[2]
    graph.value_info.append(helper.make_tensor_value_info("rq", TensorProto.UINT8, [1, 64]))


def test_a_copy_of_unknown_scale_stays() -> None:
    model = converted()
    no_zero_point(model.graph)
    assert " ".join(operators(qdq_units(infer(model)))) == "DQ Transpose Q DQ Conv Q Reshape DQ Gemm Q"


def test_a_chain_of_copies_is_wrapped_one_by_one() -> None:
    model = converted()
    nodes = model.graph.node
    place = next(i for i, n in enumerate(nodes) if n.name == "flat")
    nodes[place].input[0] = "turned"
    nodes.insert(place, helper.make_node("Transpose", ["cq"], ["turned"], "turn", perm=[0, 2, 3, 1]))
    after = qdq_units(infer(model))
    assert " ".join(operators(after)) == "DQ Transpose Q DQ Conv Q DQ Transpose Q DQ Reshape Q DQ Gemm Q"


def test_an_autoencoder_has_no_classes() -> None:
    """Its output has the shape of its input: which value is the largest says nothing."""
    x, y = np.zeros((4, 1, 5)), np.eye(4, 5).reshape(4, 1, 5)
    assert agreement({"y": y[::-1]}, {"y": y}, {"x": x}) is None
    assert agreement({"y": y[::-1]}, {"y": y}, {"x": x[..., :3]}) == 0.0
    assert agreement({"y": y}, {"y": y}, {"x": x[..., :3]}) == 1.0


def test_the_manifest_finds_scales_through_copies(tmp_path: Path) -> None:
    """The integer input is transposed before anything reads its scale."""
    onnx.save(converted(), tmp_path / "converted.onnx")
    manifest = export(tmp_path / "converted.onnx", "--prequantized", "--target", "ort", "-o", tmp_path / "out")
    ports = [(p["name"], p["dtype"], p["scale"], p["zero_point"]) for p in manifest["inputs"] + manifest["outputs"]]
    assert ports == [("x", "int8", np.float32(0.05), 3), ("y", "int8", 0.5, 7)]


def test_scales_of_operands_and_results() -> None:
    """Of QOperator nodes, the scale behind the operand that was asked for."""
    numbers = {f"s{i}": np.float32(i) for i in range(1, 4)} | {f"z{i}": np.uint8(10 * i) for i in range(1, 4)}
    node = helper.make_node("QLinearAdd", "a s1 z1 b s2 z2 s3 z3".split(), ["y"], domain="com.microsoft")
    tensors = [numpy_helper.from_array(value, name) for name, value in numbers.items()]
    wires = Wires(helper.make_model(helper.make_graph([node], "g", [], [], tensors)))
    found = [wires.scale_of_input("a"), wires.scale_of_input("b"), wires.scale_of_output("y")]
    assert [(s.scale, s.zero_point, s.dtype) for s in found if s] == [(i, 10 * i, np.uint8) for i in (1, 2, 3)]
    assert wires.scale_of_input("y") is None and wires.scale_of_output("a") is None


def test_a_cast_has_no_scale() -> None:
    """What is quantized behind it are other numbers than the input's codes."""
    nodes = [
        helper.make_node("Cast", ["x"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("QuantizeLinear", ["real", "s", "z"], ["q"]),
    ]
    tensors = [numpy_helper.from_array(np.float32(2), "s"), numpy_helper.from_array(np.uint8(1), "z")]
    wires = Wires(helper.make_model(helper.make_graph(nodes, "g", [], [], tensors)))
    assert wires.scale_of_input("x") is None and wires.scale_of_input("real") is not None


@needs_qnn
def test_htp_takes_it_whole(tmp_path: Path) -> None:
    onnx.save(converted(), tmp_path / "converted.onnx")
    arguments = (tmp_path / "converted.onnx", "--prequantized", "--target", "qnn", "-o", tmp_path / "out")
    manifest = export(*arguments)
    assert manifest["verified"] and all(check(manifest, f"Q{number}")["passed"] for number in range(1, 7))
