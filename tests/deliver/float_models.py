"""Small float models and sample data, made by code with fixed seeds: what the quantization tests start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from mcugen.cli import main

IMAGE = (1, 3, 8, 8)
CLASSES = 4


class Graph:
    """Nodes and constants of one float model, added in order."""

    def __init__(self, seed: int) -> None:
        self.chance = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, *shape: int, positive: bool = False) -> str:
        name = f"w{len(self.constants)}"
        array = self.chance.uniform(0.5, 1.5, shape) if positive else self.chance.normal(0, 0.4, shape)
        self.constants.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def node(self, op: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        output = f"{name or op}_{len(self.nodes)}_out"
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=name, **attributes))
        return output

    def model(self, inputs: dict[str, Any], y: str, shape: Any, opset: int = 17) -> onnx.ModelProto:
        self.nodes[-1].output[0] = "y"
        for node in self.nodes[:-1]:
            assert y not in node.input
        feeds = [helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in inputs.items()]
        result = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "small", feeds, [result], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def classifier(opset: int = 17, batch: int | str = 1) -> onnx.ModelProto:
    """Conv + BatchNormalization + Relu, a second (unnamed) Conv, pooling, Gemm, Softmax: four classes."""
    g = Graph(39)
    x = g.node("Conv", "x", g.constant(6, 3, 3, 3), g.constant(6), name="stem", pads=[1, 1, 1, 1])
    x = g.node("BatchNormalization", x, *(g.constant(6, positive=slot in (0, 3)) for slot in range(4)), name="norm")
    x = g.node("Relu", x, name="stem_relu")
    x = g.node("Conv", x, g.constant(8, 6, 3, 3), g.constant(8), strides=[2, 2])
    x = g.node("Relu", x)
    x = g.node("GlobalAveragePool", x, name="pool")
    x = g.node("Flatten", x, name="flat")
    x = g.node("Gemm", x, g.constant(CLASSES, 8), g.constant(CLASSES), name="head", transB=1)
    y = g.node("Softmax", x, name="softmax", axis=1)
    return g.model({"x": [batch, *IMAGE[1:]]}, y, [batch, CLASSES], opset)


def autoencoder() -> onnx.ModelProto:
    """Two layers, output shaped as the input: there are no classes."""
    g = Graph(5)
    x = g.node("Relu", g.node("Gemm", "x", g.constant(4, 16), g.constant(4), name="in", transB=1), name="act")
    y = g.node("Gemm", x, g.constant(16, 4), g.constant(16), name="out", transB=1)
    return g.model({"x": [1, 16]}, y, [1, 16])


def two_inputs() -> onnx.ModelProto:
    g = Graph(7)
    a = g.node("Gemm", "a", g.constant(6, 8), name="left", transB=1)
    b = g.node("Gemm", "b", g.constant(6, 8), name="right", transB=1)
    y = g.node("Add", a, b, name="sum")
    return g.model({"a": [1, 8], "b": [1, 8]}, y, [1, 6])


def saved(model: onnx.ModelProto, folder: Path, name: str = "float.onnx") -> Path:
    path = folder / name
    onnx.save(model, path)
    return path


def images(count: int, seed: int = 0) -> np.ndarray:
    """Patches whose mean and contrast differ, so that the classifier gives different classes."""
    chance = np.random.default_rng(seed)
    mean = chance.normal(0, 1.0, (count, 3, 1, 1))
    return (mean + chance.normal(0, 0.5, (count, *IMAGE[1:]))).astype(np.float32)


def archive(folder: Path, name: str = "x.npz", **arrays: np.ndarray) -> Path:
    path = folder / name
    np.savez(path, **arrays)
    return path


def mcugen(*arguments: object) -> Result:
    """The command line, in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]
