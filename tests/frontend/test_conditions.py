"""If with a constant condition is its branch; what depends on data is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from checking import compile_model, exact
from onnx import TensorProto, helper, numpy_helper
from small_models import Net

from mcugen import UserError
from mcugen.frontend.conditions import take_branches

SHAPE = [1, 40]


def branch(name: str, nodes: list[onnx.NodeProto], *constants: onnx.TensorProto) -> onnx.GraphProto:
    result = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, SHAPE)
    return helper.make_graph(nodes, name, [], [result], list(constants))


def conditional(net: Net, condition: str, x: str, **branches: onnx.GraphProto) -> str:
    given = {
        "then_branch": branch("then", [helper.make_node("Neg", [x], ["out"], name="same")]),
        "else_branch": branch("else", [helper.make_node("Abs", [x], ["out"], name="same")]),
    }
    return net.node("If", condition, **{**given, **branches})


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in take_branches(model).graph.node if node.op_type in ("Neg", "Abs", "Max", "If")]


@pytest.mark.parametrize("condition, kept", [(True, "Neg"), (False, "Abs")])
def test_a_constant(condition: bool, kept: str, tmp_path: Path) -> None:
    net = Net()
    x = net.real(net.input(SHAPE))
    net.output(net.quantize(conditional(net, net.constant(np.array(condition)), x)))
    assert operators(net.model()) == [kept]
    exact(net.model(), tmp_path)


def test_a_comparison_of_shapes(tmp_path: Path) -> None:
    """As PyTorch writes a squeeze."""
    net = Net()
    x = net.real(net.input(SHAPE))
    size = net.node("Gather", net.node("Shape", x), net.constant(np.array(0)))
    net.output(net.quantize(conditional(net, net.node("Equal", size, net.constant(np.array(1))), x)))
    assert operators(net.model()) == ["Neg"]
    exact(net.model(), tmp_path)


def test_two_with_the_same_inner_names_and_constants(tmp_path: Path) -> None:
    net = Net()
    x = net.real(net.input(SHAPE))
    for level in (0.3, -0.4):
        limit = numpy_helper.from_array(np.float32(level), "level")
        then = branch("then", [helper.make_node("Max", [x, "level"], ["out"], name="same")], limit)
        x = conditional(net, net.constant(np.array(True)), x, then_branch=then)
    net.output(net.quantize(x))
    assert operators(net.model()) == ["Max", "Max"]
    exact(net.model(), tmp_path)


def test_one_in_another(tmp_path: Path) -> None:
    net = Net()
    x = net.real(net.input(SHAPE))
    inner = Net()
    inner.nodes = [helper.make_node("Abs", [x], ["before"])]
    conditional(inner, "yes", "before")
    yes = numpy_helper.from_array(np.array(True), "yes")
    net.output(
        net.quantize(conditional(net, net.constant(np.array(True)), x, then_branch=branch("t", inner.nodes, yes)))
    )
    assert operators(net.model()) == ["Abs", "Neg"]
    exact(net.model(), tmp_path)


def test_a_branch_that_hands_on_what_is_outside(tmp_path: Path) -> None:
    net = Net()
    x = net.real(net.input(SHAPE))
    then = branch("then", [helper.make_node("Identity", [x], ["out"])])
    then.output[0].name = "out"
    net.output(net.quantize(conditional(net, net.constant(np.array(True)), x, then_branch=then)))
    exact(net.model(), tmp_path)


def test_a_condition_that_depends_on_data_is_refused(tmp_path: Path) -> None:
    net = Net()
    x = net.real(net.input(SHAPE))
    least = net.node("ReduceMax", x, keepdims=0)
    net.output(net.quantize(conditional(net, net.node("Less", least, net.constant(np.float32(0))), x)))
    with pytest.raises(UserError, match="control flow") as error:
        compile_model(net.model(), tmp_path)
    assert error.value.origin.startswith("If_")


@pytest.mark.parametrize("kind", ["initializer", "Constant"])
def test_external_data_in_a_branch_stays_below_the_folder(kind: str, tmp_path: Path) -> None:
    net = Net()
    x = net.real(net.input(SHAPE))
    outside = TensorProto(name="k", data_type=TensorProto.FLOAT, dims=[40], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="/etc/hostname")
    nodes: list[Any] = [helper.make_node("Max", [x, "k"], ["out"])]
    if kind == "Constant":
        nodes.insert(0, helper.make_node("Constant", [], ["k"], value=outside))
    then = branch("then", nodes, *([outside] if kind == "initializer" else []))
    net.output(net.quantize(conditional(net, net.constant(np.array(True)), x, then_branch=then)))
    with pytest.raises(UserError, match="outside the model's folder"):
        compile_model(net.model(), tmp_path)
