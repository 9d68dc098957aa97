"""The TensorRT bundle: every rule is broken once, the numeric check once, and the scripts say what they should."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from export_models import check, export, save_net
from onnx import TensorProto, helper, numpy_helper

from mcugen.deliver.tensorrt_checks import RULES, structure


def _node(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(n for n in model.graph.node if n.name == name)


def _give(model: onnx.ModelProto, node: str, slot: int, data: Any) -> None:
    """A constant of its own for one input."""
    name = f"own_{node}_{slot}"
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(data), name))
    _node(model, node).input[slot] = name


def _insert(model: onnx.ModelProto, before: str, node: onnx.NodeProto) -> None:
    place = next(i for i, n in enumerate(model.graph.node) if n.name == before)
    model.graph.node.insert(place, node)


def unsigned(model: onnx.ModelProto) -> None:
    _give(model, "f_DequantizeLinear", 2, np.uint8(0))


def no_zero_point(model: onnx.ModelProto) -> None:
    del _node(model, "f_DequantizeLinear").input[2]


def shifted(model: onnx.ModelProto) -> None:
    _give(model, "f_QuantizeLinear", 2, np.int8(3))


def zero_scale(model: onnx.ModelProto) -> None:
    for node in ("f_QuantizeLinear", "f_DequantizeLinear"):
        _give(model, node, 1, np.float32(0))


def infinite_scale(model: onnx.ModelProto) -> None:
    for node in ("f_QuantizeLinear", "f_DequantizeLinear"):
        _give(model, node, 1, np.float32(np.inf))


def activation_per_channel(model: onnx.ModelProto) -> None:
    for node in ("f_QuantizeLinear", "f_DequantizeLinear"):
        _give(model, node, 1, np.full(8, 0.1, np.float32))
        _give(model, node, 2, np.zeros(8, np.int8))


def wrong_axis(model: onnx.ModelProto) -> None:
    for name in ("w2_QuantizeLinear", "w2_DequantizeLinear"):
        del _node(model, name).attribute[:]
        _node(model, name).attribute.append(helper.make_attribute("axis", 1))
        _give(model, name, 1, np.full(6, 0.01, np.float32))
        _give(model, name, 2, np.zeros(6, np.int8))


def sizes_disagree(model: onnx.ModelProto) -> None:
    _give(model, "w2_DequantizeLinear", 2, np.zeros(3, np.int8))


def integer_bias(model: onnx.ModelProto) -> None:
    _give(model, "conv2", 2, np.zeros(8, np.int32))
    data = _node(model, "conv2").input[2]
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.01), "bias_scale"))
    _insert(model, "conv2", helper.make_node("DequantizeLinear", [data, "bias_scale"], ["real_bias"], "bias_dq"))
    _node(model, "conv2").input[2] = "real_bias"


def dynamic(model: onnx.ModelProto) -> None:
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["dq", "ds", "dz"], "dynamic")
    model.graph.node.insert(0, node)


def float_weights(model: onnx.ModelProto) -> None:
    _give(model, "conv2", 1, np.ones((8, 6, 3, 3), np.float32))


def foreign(model: onnx.ModelProto) -> None:
    _node(model, "mean").domain = "com.microsoft"


def old_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 8


def integer_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT8


def open_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"


def unpaired(model: onnx.ModelProto) -> None:
    _give(model, "f_DequantizeLinear", 1, np.float32(0.5))


def lonely(model: onnx.ModelProto) -> None:
    _node(model, "mean").input[0] = _node(model, "f_QuantizeLinear").output[0]


def computed_limit(model: onnx.ModelProto) -> None:
    clip = _node(model, "clip")
    _insert(model, "clip", helper.make_node("ReduceMax", ["x"], ["limit"], "limit", keepdims=0))
    clip.input[2] = "limit"


def unfolded(model: onnx.ModelProto) -> None:
    conv = _node(model, "conv2")
    after = conv.output[0]
    conv.output[0] = "raw"
    norm = helper.make_node("BatchNormalization", ["raw", *["ones"] * 4], [after], "norm")
    model.graph.initializer.append(numpy_helper.from_array(np.ones(8, np.float32), "ones"))
    _insert(model, "clip", norm)


BREAKS: list[tuple[Callable[[onnx.ModelProto], None], str, str]] = [
    (unsigned, "T01", "f_DequantizeLinear"),
    (no_zero_point, "T01", "f_DequantizeLinear"),
    (shifted, "T02", "f_QuantizeLinear"),
    (zero_scale, "T03", "f_QuantizeLinear, f_DequantizeLinear"),
    (infinite_scale, "T03", "f_QuantizeLinear, f_DequantizeLinear"),
    (activation_per_channel, "T04", "f_QuantizeLinear, f_DequantizeLinear"),
    (wrong_axis, "T04", "w2_QuantizeLinear, w2_DequantizeLinear"),
    (sizes_disagree, "T05", "w2_DequantizeLinear"),
    (integer_bias, "T06", "bias_dq"),
    (dynamic, "T07", "dynamic"),
    (float_weights, "T08", "conv2"),
    (foreign, "T09", "mean (com.microsoft.GlobalAveragePool)"),
    (old_opset, "T10", "opset 8; TensorRT 10 reads 9 to 20"),
    (integer_input, "T11", "x"),
    (open_batch, "T12", "x"),
    (unpaired, "T13", "f_QuantizeLinear"),
    (lonely, "T13", "f_QuantizeLinear"),
    (computed_limit, "T15", "clip"),
    (unfolded, "T17", "norm"),
]


def test_every_rule_is_broken_once(quantized: dict[str, Path]) -> None:
    assert {name for _, name, _ in BREAKS} == {rule.__name__.upper() for rule, _ in RULES}
    assert all(c.passed for c in structure(onnx.load(quantized["tensorrt"]), 10, {}))


@pytest.mark.parametrize("spoil, rule, names", BREAKS, ids=[spoil.__name__ for spoil, _, _ in BREAKS])
def test_rules(spoil: Callable[[onnx.ModelProto], None], rule: str, names: str, quantized: dict[str, Path]) -> None:
    model = onnx.load(quantized["tensorrt"])
    spoil(model)
    failed = {c.id: c.detail for c in structure(model, 10, {}) if not c.passed}
    assert failed[rule].startswith(f"{names}. "), failed


def test_a_profile_satisfies_t12(quantized: dict[str, Path]) -> None:
    model = onnx.load(quantized["tensorrt"])
    open_batch(model)
    assert all(c.passed for c in structure(model, 10, {"x": ()}))


def test_export_from_float(net: Path, samples: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = export(net, "--target", "tensorrt", "--calibration", samples, "-o", out)
    assert manifest["verified"] and not manifest["engine_built"] and not manifest["latency_measured"]
    assert manifest["precision"] == "int8" and len(manifest["checks"]) == len(RULES) + 1
    script = (out / "build.sh").read_text()
    assert "--int8" in script and "--fp16" not in script and (out / "build.sh").stat().st_mode & 0o111
    subprocess.run(["sh", "-n", str(out / "build.sh")], check=True)
    assert json.loads((out / "ort_trt_options.json").read_text())["trt_int8_enable"] == "1"
    assert {c["id"]: c["passed"] for c in json.loads((out / "trtcheck.json").read_text())}["T17"] is True


def test_trtexec_gets_its_arguments(net: Path, tmp_path: Path) -> None:
    """build.sh is run with a stand-in that prints what it is given."""
    out = tmp_path / "out"
    export(net, "--target", "tensorrt", "--fp16", "-o", out)
    stand_in = tmp_path / "trtexec"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    done = subprocess.run(
        [str(out / "build.sh"), "--skipInference"],
        env={"TRTEXEC": str(stand_in), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.splitlines()
    assert words[:2] == ["--onnx=model_trt.onnx", "--saveEngine=model.engine"] and words[-1] == "--skipInference"
    assert "--fp16" in words and "--int8" not in words


def test_version_11_is_strongly_typed(net: Path, samples: Path, tmp_path: Path) -> None:
    manifest = export(
        net, "--target", "tensorrt", "--trt", "11", "--fp16", "--calibration", samples, "-o", tmp_path / "out"
    )
    script = (tmp_path / "out/build.sh").read_text()
    assert "--int8" not in script and "--fp16" not in script
    model = onnx.load(tmp_path / "out/model_trt.onnx")
    assert model.opset_import[0].version >= 19
    assert any(t.data_type == TensorProto.FLOAT16 for t in model.graph.initializer)
    assert manifest["inputs"][0]["dtype"] == "float32" and check(manifest, "numeric")["passed"]


def _as_symmetric(model: onnx.ModelProto) -> None:
    """uint8 rewritten as int8 of the same reach with zero point 0, int32 biases as float: the structure is right."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    biases = []
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        scale, zero = (constants[name] for name in node.input[1:3])
        if zero.dtype == np.uint8:
            _give(model, node.name, 1, np.asarray(scale * np.float32(max(int(zero), 255 - int(zero)) / 127)))
            _give(model, node.name, 2, np.int8(0))
        elif zero.dtype == np.int32:
            real = (constants[node.input[0]] * scale).astype(np.float32)
            model.graph.initializer.append(numpy_helper.from_array(real, node.output[0]))
            biases.append(node)
    for node in biases:
        model.graph.node.remove(node)


def test_a_lost_relu_is_found_by_numbers_only(
    quantized: dict[str, Path], net: Path, samples: Path, tmp_path: Path
) -> None:
    """uint8 with zero point 0 is a Relu by itself; symmetric int8 is none."""
    model = onnx.load(quantized["ort"])
    assert not any(node.op_type == "Relu" for node in model.graph.node)
    _as_symmetric(model)
    path = tmp_path / "rewritten.onnx"
    onnx.save(model, path)
    assert all(c.passed for c in structure(model, 10, {})), [c for c in structure(model, 10, {}) if not c.passed]
    arguments = (path, "--prequantized", "--target", "tensorrt", "--inputs", samples, "-o", tmp_path / "out")
    assert "numeric outputs follow the float model" in export(*arguments, "--reference", net, code=1)["error"]
    manifest = export(*arguments)
    assert check(manifest, "numeric")["passed"] is None and not manifest["verified"]


def test_profiles_leave_the_batch_open(samples: Path, tmp_path: Path) -> None:
    net = save_net(tmp_path, batch="n")
    profile = "x=1,2,10,10:4,2,10,10:8,2,10,10"
    arguments = (net, "--target", "tensorrt", "--calibration", samples, "-o", tmp_path / "out")
    manifest = export(*arguments, "--profile", profile)
    assert manifest["inputs"][0]["shape"] == ["x_0", 2, 10, 10]
    assert "--optShapes=x:4x2x10x10" in (tmp_path / "out/build.sh").read_text()
    assert json.loads((tmp_path / "out/build.json").read_text())["profiles"]["x"]["max"] == [8, 2, 10, 10]


def test_a_profile_the_model_cannot_follow(net: Path, tmp_path: Path) -> None:
    """Its Reshape is fixed to one sample."""
    model = onnx.load(net)
    shape = numpy_helper.from_array(np.array([1, 200], np.int64), "shape")
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "shape"], ["y"], "reshape")],
        "g",
        [model.graph.input[0]],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 200])],
        [shape],
    )
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.save(helper.make_model(graph, opset_imports=model.opset_import, ir_version=8), tmp_path / "fixed.onnx")
    arguments = (tmp_path / "fixed.onnx", "--target", "tensorrt", "-o", tmp_path / "out")
    found = export(*arguments, "--profile", "x=1,2,10,10:4,2,10,10:8,2,10,10", code=2)
    assert "does not run at every shape of the profile" in found["error"]


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="tensorrt is installed")
def test_the_script_without_tensorrt(net: Path, tmp_path: Path) -> None:
    export(net, "--target", "tensorrt", "-o", tmp_path / "out")
    for arguments, words in (((), "tensorrt cannot be imported"), (("--check",), "no TensorrtExecutionProvider")):
        command = [sys.executable, str(tmp_path / "out/build_engine.py"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and words in done.stderr


@pytest.mark.skipif(find_spec("tensorrt_rtx") is not None, reason="tensorrt-rtx is installed")
def test_the_extra_check_asks_for_its_package(net: Path, tmp_path: Path) -> None:
    found = export(net, "--target", "tensorrt", "--check-with", "tensorrt-rtx", "-o", tmp_path / "out", code=2)
    assert "pip install tensorrt-rtx" in found["error"] and not (tmp_path / "out").exists()


@pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed")
def test_tensorrt_rtx_builds_the_model(net: Path, samples: Path, tmp_path: Path) -> None:
    arguments = ("--target", "tensorrt", "--trt", "11", "--calibration", samples, "--check-with", "tensorrt-rtx")
    assert check(export(net, *arguments, "-o", tmp_path / "out"), "tensorrt-rtx")["passed"]
