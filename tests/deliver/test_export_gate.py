"""What no target accepts, what every bundle holds, and that a failure leaves nothing behind."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from export_models import SHAPE, export, float_net, save_net
from onnx import TensorProto, helper

from mcugen.deliver.bundle import template
from mcugen.deliver.calibration import load_data
from mcugen.deliver.gate import infer, named, strip
from mcugen.errors import UserError
from mcugen.prove.feeds import Input


def _newer_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 14


def _newer_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 27


def _open_height(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"


def _data_dependent(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("NonZero", ["scores"], ["where"], "find"))
    model.graph.output.append(helper.make_tensor_value_info("where", TensorProto.INT64, [2, None]))


def _wrong_shape(model: onnx.ModelProto) -> None:
    weights = next(t for t in model.graph.initializer if t.name == "w1")
    weights.dims[1] = 3
    weights.raw_data = bytes(4 * 6 * 3 * 9)


@pytest.mark.parametrize(
    "spoil, words",
    [
        (_newer_ir, "IR version 14 is newer than 13"),
        (_newer_opset, "opset 27 is not supported"),
        (_open_height, "axis 2 is dynamic (height). Fix it with --shape x="),
        (_data_dependent, "find: the shape of its output 'where' is not fixed"),
        (_wrong_shape, "ONNX Runtime cannot run the model: "),
    ],
)
def test_refused_models(spoil: Callable[[onnx.ModelProto], None], words: str, tmp_path: Path) -> None:
    model = float_net()
    spoil(model)
    path = tmp_path / "bad.onnx"
    onnx.save(model, path)
    assert words in export(path, "--target", "ort", "-o", tmp_path / "out", code=2)["error"]
    assert [p.name for p in tmp_path.iterdir()] == ["bad.onnx"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--target", "ort", "--shape", "y=1,2"], "an input 'y' that the model does not have"),
        (["--target", "ort", "--soc", "SM8650"], "--soc is for --target qnn"),
        (["--target", "ort", "--fp16-ok"], "--fp16-ok is for --target qnn"),
        (["--target", "qnn", "--trt", "11"], "--trt is for --target tensorrt"),
        (["--target", "tensorrt", "--profile", "x=1,2:3,4"], "is not a profile"),
        (["--target", "tensorrt", "--profile", "x=4,2:3,2:5,2"], "is not a profile"),
        (["--target", "ort", "--inputs", "nowhere.npz"], "nowhere.npz: no such file"),
        (["--target", "ort", "--reference", "float.onnx"], "--reference is for prequantized models"),
    ],
)
def test_refused_options(arguments: list[str], words: str, net: Path, tmp_path: Path) -> None:
    assert words in export(net, *arguments, "-o", tmp_path / "out", code=2)["error"]
    assert not list(tmp_path.iterdir())


def test_quantized_models_must_be_announced(quantized: dict[str, Path], samples: Path, tmp_path: Path) -> None:
    out = ("--target", "ort", "-o", tmp_path / "out")
    assert "already quantized (qdq). Pass --prequantized" in export(quantized["ort"], *out, code=2)["error"]
    again = export(quantized["ort"], "--prequantized", "--calibration", samples, *out, code=2)
    assert "--calibration cannot quantize it again" in again["error"]


@pytest.mark.parametrize("values", [np.full((4, *SHAPE), np.nan, np.float32), np.ones((4, 3), np.float32)])
def test_unfit_samples(values: np.ndarray, net: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", x=values)
    export(net, "--target", "ort", "--inputs", tmp_path / "bad.npz", "-o", tmp_path / "out", code=2)
    assert not (tmp_path / "out").exists()


def test_names_and_stripping() -> None:
    model = float_net()
    model.graph.node[0].name = model.graph.node[1].name = ""
    model.graph.node[3].name = "relu"
    model.opset_import.append(helper.make_opsetid("com.microsoft.nchwc", 1))
    helper.set_model_props(model, {"secret": "path"})
    model.graph.node[2].doc_string = "stack trace"
    done = strip(named(model))
    assert [n.name for n in done.graph.node[:4]] == ["Conv_0", "BatchNormalization_1", "relu", "relu_1"]
    assert [(e.domain, e.version) for e in done.opset_import] == [("", 17)]
    assert not done.metadata_props and not done.graph.node[2].doc_string


def test_shapes_behind_contrib_operators_come_from_onnx_runtime() -> None:
    model = float_net()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.graph.node.append(helper.make_node("Gelu", ["scores"], ["y"], "gelu", domain="com.microsoft"))
    model.graph.output[0].CopyFrom(onnx.ValueInfoProto(name="y"))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    assert [d.dim_value for d in infer(model).graph.output[0].type.tensor_type.shape.dim] == [1, 5]


def test_every_bundle_is_complete_and_reproducible(net: Path, samples: Path, tmp_path: Path) -> None:
    arguments = ("--target", "ort", "--calibration", samples)
    manifest, again = (export(net, *arguments, "-o", tmp_path / name) for name in "ab")
    # ONNX Runtime itself writes .ort files in an order that changes from one time to the next.
    again["files"]["model.ort"] = manifest["files"]["model.ort"]
    assert manifest == again
    folder = tmp_path / "a"
    assert sorted(manifest["files"]) == sorted(p.name for p in folder.iterdir() if p.name != "manifest.json")
    for name, entry in manifest["files"].items():
        assert entry["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest(), name
    assert manifest["source_sha256"] == hashlib.sha256(net.read_bytes()).hexdigest()
    assert json.loads((folder / "manifest.json").read_text()) == manifest
    texts = [p.read_text() for p in folder.iterdir() if p.suffix in (".json", ".md", ".config")]
    assert str(tmp_path) not in "".join(texts)
    with np.load(folder / "reference_io.npz") as archive:
        assert archive["x"].shape == (24, *SHAPE) and archive["scores"].shape == (24, 1, 5)
    port = manifest["inputs"][0]
    assert (port["name"], port["dtype"], port["shape"]) == ("x", "float32", list(SHAPE)) and port["scale"] > 0


@pytest.mark.parametrize("name", ["run_ort.py", "run_qnn.py", "build_engine.py"])
def test_scripts_of_bundles_stand_alone(name: str) -> None:
    """They run where mcugen is not installed."""
    tree = ast.parse(template(name))
    found = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    found += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    others = {module.split(".")[0] for module in found} - sys.stdlib_module_names
    assert others <= {"numpy", "onnxruntime", "onnxruntime_qnn"}


def test_few_samples_are_filled_up(net: Path, tmp_path: Path) -> None:
    given = np.full((3, *SHAPE), 0.25, np.float32)
    np.savez(tmp_path / "few.npz", x=given)
    export(net, "--target", "ort", "--inputs", tmp_path / "few.npz", "-o", tmp_path / "out")
    with np.load(tmp_path / "out/reference_io.npz") as archive:
        assert len(archive["x"]) == 16 and np.array_equal(archive["x"][:3], given)
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["samples"]["source"] == "3 from few.npz, 13 random (seed 0)"


def test_images_are_normalized_as_told(tmp_path: Path) -> None:
    """Calibration and reference samples alike; the manifest says how."""
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (16, 10, 10, 3), np.uint8)
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, row in enumerate(pixels):
        image.fromarray(row).save(folder / f"{index:02}.png")
    model = float_net()
    weights = next(t for t in model.graph.initializer if t.name == "w1")
    wide = np.random.default_rng(1).normal(0, 0.2, (6, 3, 3, 3)).astype(np.float32)
    weights.CopyFrom(onnx.numpy_helper.from_array(wide, "w1"))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    onnx.save(model, tmp_path / "rgb.onnx")
    common = (tmp_path / "rgb.onnx", "--target", "ort", "--calibration", folder)
    options = ("--mean", "100,110,120", "--std", "50", "--pixels", "255", "--layout", "nchw")
    manifest = export(*common, *options, "-o", tmp_path / "out")
    assert manifest["options"]["images"] == {"mean": [100, 110, 120], "std": [50], "layout": "nchw", "top": 255}
    wanted = ((pixels - np.array([100, 110, 120])) / 50).transpose(0, 3, 1, 2).astype(np.float32)
    with np.load(tmp_path / "out/reference_io.npz") as archive:
        np.testing.assert_allclose(archive["x"][:, 0], wanted, atol=1e-6)
    reach = float(wanted.max() - wanted.min())
    assert manifest["inputs"][0]["scale"] == pytest.approx(reach / 255, rel=1e-3)  # calibrated on the same numbers


def test_images_are_no_integer_input(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "photos"
    folder.mkdir()
    image.new("RGB", (4, 4), (10, 200, 30)).save(folder / "a.png")
    with pytest.raises(UserError, match="the input is int8, images become real numbers"):
        load_data(folder, (Input("x", np.dtype(np.int8), (1, 3, 4, 4)),))


def test_folders_of_others_are_left_alone(net: Path, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("years of work")
    assert "holds something else" in export(net, "--target", "ort", "-o", theirs, code=2)["error"]
    assert [p.name for p in theirs.iterdir()] == ["thesis.txt"]
    export(net, "--target", "ort", "-o", mine)
    (mine / "stale").touch()
    export(net, "--target", "ort", "-o", mine)
    assert not (mine / "stale").exists()


def test_a_dynamic_batch_becomes_one(tmp_path: Path) -> None:
    manifest = export(save_net(tmp_path, batch="n"), "--target", "ort", "-o", tmp_path / "out")
    assert manifest["inputs"][0]["shape"] == list(SHAPE)


def test_tensors_may_have_any_name(tmp_path: Path) -> None:
    model = float_net()
    for node in model.graph.node:
        node.input[:] = ["file" if name == "x" else name for name in node.input]
        node.output[:] = ["a/`b|c" if name == "scores" else name for name in node.output]
    model.graph.input[0].name, model.graph.output[0].name = "file", "a/`b|c"
    onnx.save(model, tmp_path / "names.onnx")
    export(tmp_path / "names.onnx", "--target", "ort", "-o", tmp_path / "out")
    with np.load(tmp_path / "out/reference_io.npz") as archive:
        assert sorted(archive.files) == ["a/`b|c", "file"]
    assert "`a/?b?c`" in (tmp_path / "out/README.md").read_text()
