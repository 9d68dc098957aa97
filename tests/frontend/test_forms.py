"""Older forms of operators, and QOperator nodes, become the one form that the compiler knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from checking import exact, kernels
from small_models import Net, qlinear_weights, qoperator

from mcugen.frontend import read
from mcugen.ir import Graph, format_graph


def graph_of(model: onnx.ModelProto, folder: Path) -> Graph:
    onnx.save(model, folder / "m.onnx")
    return read(folder / "m.onnx").graph


def _after(graph: Graph, op: str) -> list[object]:
    """The constants that the node `op` takes behind its first input."""
    (node,) = (node for node in graph.nodes if node.op == op)
    return [None if not name else graph.data(name).tolist() for name in node.inputs[1:]]


def test_clip_attributes(tmp_path: Path) -> None:
    net = Net(opset=10)
    net.output(net.quantize(net.node("Clip", net.real(net.input((1, 4))), min=-1.0, max=2.0)))
    assert _after(graph_of(net.model(), tmp_path), "Clip") == [-1.0, 2.0]


def test_clip_with_one_bound(tmp_path: Path) -> None:
    net = Net(opset=10)
    net.output(net.quantize(net.node("Clip", net.real(net.input((1, 4))), max=2.0)))
    graph = graph_of(net.model(), tmp_path)
    assert _after(graph, "Clip")[-1] == 2.0


def test_pad_attributes(tmp_path: Path) -> None:
    net = Net(opset=10)
    net.output(net.quantize(net.node("Pad", net.real(net.input((1, 4))), pads=[0, 1, 0, 2], value=0.5)))
    graph = graph_of(net.model(), tmp_path)
    assert _after(graph, "Pad") == [[0, 1, 0, 2], 0.5]
    assert graph.type("y").shape == (1, 7)


@pytest.mark.parametrize("op, shape, result", [("Squeeze", (1, 4, 1), (1, 4)), ("Unsqueeze", (1, 4), (1, 4, 1))])
def test_axes_attribute(op: str, shape: tuple[int, ...], result: tuple[int, ...], tmp_path: Path) -> None:
    net = Net(opset=11)
    x = net.input(shape)
    net.output(net.quantize(net.node(op, net.real(x), axes=[2]), x.scale, net.zero_of(x)))
    assert graph_of(net.model(), tmp_path).type("y").shape == result


@pytest.mark.parametrize("opset, axis", [(11, 1), (13, -1)])
def test_softmax_has_its_opsets_default_axis(opset: int, axis: int, tmp_path: Path) -> None:
    net = Net(opset=opset)
    net.output(net.op("Softmax", net.input((2, 4)), scale=1 / 256, zero_point=-128))
    (node,) = (node for node in graph_of(net.model(), tmp_path).nodes if node.op == "Softmax")
    assert node.attrs["axis"] == axis


def test_old_forms_run(tmp_path: Path) -> None:
    """All of them in one model of opset 10."""
    net = Net(opset=10)
    x = net.input((1, 2, 4, 4))
    zero = net.zero_of(x)
    padded = net.quantize(net.node("Pad", net.real(x), pads=[0, 0, 1, 1, 0, 0, 1, 1]), x.scale, zero)
    clipped = net.quantize(net.node("Clip", net.real(padded), min=-4.0, max=5.0), 0.04, 9)
    wide = net.quantize(net.node("Unsqueeze", net.real(clipped), axes=[0]), 0.04, 9)
    net.output(net.quantize(net.node("Neg", net.node("Squeeze", net.real(wide), axes=[0, 1])), 0.05, 3))
    assert "arm_pad_s8" in kernels(exact(net.model(), tmp_path))


def test_constant_nodes_where_every_initializer_had_to_be_an_input(tmp_path: Path) -> None:
    net = Net(opset=10)
    net.output(net.copy("MaxPool", net.input((1, 2, 4, 4)), kernel_shape=[2, 2]))
    model = net.model()
    constants = [
        onnx.helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in model.graph.initializer
    ]
    nodes = [*constants, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(nodes)
    model.ir_version = 3
    exact(model, tmp_path)


def test_qlinear_conv_becomes_a_quantized_conv(tmp_path: Path) -> None:
    graph = graph_of(qlinear_weights("QLinearConv", (1, 2, 4, 4), (3, 2, 3, 3)), tmp_path)
    assert [node.op for node in graph.nodes] == ["DequantizeLinear"] * 3 + ["Conv", "QuantizeLinear"]
    assert {origin for node in graph.nodes for origin in node.origin} == {"only"}
    text = format_graph(graph)
    assert "const int8[3,2,3,3], const float32[3], const int8[3]) axis=0" in text
    assert "DequantizeLinear(const int32[3], const float32[3]) axis=0" in text  # the bias, at scale x * w


def test_bias_scale_of_qgemm_is_the_product(tmp_path: Path) -> None:
    graph = graph_of(qlinear_weights("QGemm", (2, 14), (6, 14), transB=1), tmp_path)
    x, w, b = (node for node in graph.nodes if node.op == "DequantizeLinear")
    product = graph.data(x.inputs[1]) * graph.data(w.inputs[1])
    np.testing.assert_array_equal(graph.data(b.inputs[1]), product)


def test_channels_last_pools_are_transposed(tmp_path: Path) -> None:
    model = qoperator("QLinearAveragePool", [(1, 4, 4, 3)], kernel_shape=[2, 2], channels_last=1)
    ops = [node.op for node in graph_of(model, tmp_path).nodes]
    assert ops == ["DequantizeLinear", "Transpose", "AveragePool", "Transpose", "QuantizeLinear"]
