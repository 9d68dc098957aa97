"""A small float network, samples for it, and the command line: what the tests of export share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from mcugen.cli import main

SHAPE = (1, 2, 10, 10)
CLASSES = 5


def float_net(*, batch: int | str = 1, seed: int = 0) -> onnx.ModelProto:
    """conv - batch norm - relu - max pool - conv - clip - global average - gemm; input `x`, output `scores`."""
    chance = np.random.default_rng(seed)
    tensors: list[onnx.TensorProto] = []

    def constant(name: str, data: Any) -> str:
        tensors.append(numpy_helper.from_array(np.asarray(data, np.float32), name))
        return name

    def normal(name: str, *shape: int) -> str:
        return constant(name, chance.normal(0, np.prod(shape[1:]) ** -0.5, shape))

    w1, w2, w3 = normal("w1", 6, 2, 3, 3), normal("w2", 8, 6, 3, 3), normal("w3", CLASSES, 8)
    b2, b3 = constant("b2", chance.normal(0, 0.1, 8)), constant("b3", np.zeros(CLASSES))
    limits = [constant("low", 0.0), constant("high", 6.0)]
    norm = [constant(n, chance.uniform(0.5, 1.5, 6)) for n in ("gain", "shift", "mean", "variance")]
    nodes = [
        helper.make_node("Conv", ["x", w1], ["a"], "conv1", pads=[1] * 4),
        helper.make_node("BatchNormalization", ["a", *norm], ["b"], "norm"),
        helper.make_node("Relu", ["b"], ["c"], "relu"),
        helper.make_node("MaxPool", ["c"], ["d"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["d", w2, b2], ["e"], "conv2"),
        helper.make_node("Clip", ["e", *limits], ["f"], "clip"),
        helper.make_node("GlobalAveragePool", ["f"], ["g"], "mean"),
        helper.make_node("Flatten", ["g"], ["h"], "flat"),
        helper.make_node("Gemm", ["h", w3, b3], ["scores"], "fc", transB=1),
    ]
    ports = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *SHAPE[1:]]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, CLASSES]),
    ]
    graph = helper.make_graph(nodes, "net", ports[:1], ports[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def save_net(folder: Path, **options: Any) -> Path:
    path = folder / "net.onnx"
    onnx.save(float_net(**options), path)
    return path


def save_samples(folder: Path, count: int = 24) -> Path:
    path = folder / "samples.npz"
    np.savez(path, x=np.random.default_rng(1).normal(0, 1, (count, *SHAPE)).astype(np.float32))
    return path


def run(*arguments: object) -> Result:
    """`mcugen ...`, in this process."""
    return CliRunner().invoke(main, [str(a) for a in arguments])


def export(*arguments: object, code: int = 0) -> dict[str, Any]:
    """`mcugen export ... --json`: the manifest, or {"error": the message}."""
    result = run("export", *arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if code == 0 else {"error": " ".join(result.stderr.split())}


def check(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    return next(c for c in manifest["checks"] if c["id"] == name)
