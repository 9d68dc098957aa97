"""`mcugen quantize`: every option, every silent trap of the tools it calls, and the way on to exact C."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from checking import CMSIS_NN, assert_exact
from click.testing import Result
from float_models import CLASSES, Graph, archive, autoencoder, classifier, images, mcugen, operators, saved, two_inputs
from onnx import TensorProto, numpy_helper

from mcugen import oracle, pipeline
from mcugen.deliver.calibration import Images, load_data
from mcugen.deliver.cortex_m import CortexM
from mcugen.deliver.quantize_options import TARGETS
from mcugen.deliver.quantize_options import Options as QuantizeOptions
from mcugen.errors import UserError
from mcugen.prove.feeds import Input
from mcugen.prove.program import library_of
from mcugen.prove.toolchain import available
from mcugen.step import FLOAT, PROVED
from mcugen.target import core

SHARED = Path(__file__).parents[3] / "shared" / "models"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return saved(classifier(), tmp_path)


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    return archive(tmp_path, x=images(24))


def run(model: Path, *options: object, target: str = "ort", output: str = "q.onnx") -> tuple[Result, Path]:
    path = model.parent / output
    return mcugen("quantize", model, "--for", target, "-o", path, *options), path


def done(model: Path, *options: object, target: str = "ort", output: str = "q.onnx") -> tuple[dict[str, Any], Path]:
    """The JSON of a run that must succeed."""
    result, path = run(model, *options, "--json", target=target, output=output)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout), path


def refused(model: Path, *options: object, target: str = "ort") -> str:
    """The message of a run that must fail on the user's input and write nothing."""
    result, path = run(model, *options, target=target)
    assert result.exit_code == 2, result.output
    assert not path.exists()
    return " ".join(result.stderr.split())


def scales(path: Path) -> dict[str, np.ndarray]:
    """Scales of all Q and DQ nodes, by the tensor they quantize."""
    graph = onnx.load(path).graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    nodes = [n for n in graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    return {n.input[0]: constants[n.input[1]] for n in nodes}


def zero_point_types(path: Path) -> set[int]:
    """Types of the activations' zero points."""
    graph = onnx.load(path).graph
    constants = {i.name: i.data_type for i in graph.initializer}
    return {constants[n.input[2]] for n in graph.node if n.op_type == "QuantizeLinear"}


# The way on: quantize -> build -> verify


@pytest.mark.parametrize("form, kind", [("qdq", TensorProto.INT8), ("qoperator", TensorProto.UINT8)])
@pytest.mark.parametrize("grain", ["--per-channel", "--per-tensor"])
def test_cortex_m_compiles_and_is_bit_exact(form: str, kind: int, grain: str, model: Path, samples: Path) -> None:
    found, path = done(model, "--calibration", samples, "--format", form, grain, target="cortex-m")
    assert found["bit_exact"] is True
    assert found["score"]["agreement"] > 90
    assert zero_point_types(path) == {kind}
    assert_exact(pipeline.compile(path, pipeline.Options()), samples=32)


def test_build_and_verify_take_the_result(model: Path, samples: Path) -> None:
    _, path = done(model, "--calibration", samples, target="cortex-m")
    built = mcugen("build", path, "-o", path.parent / "out")
    assert built.exit_code == 0, built.stderr
    verified = mcugen("verify", path, "--inputs", samples, "--json")
    assert verified.exit_code == 0, verified.stderr
    assert json.loads(verified.stdout)["bit_exact"]


def test_batchnorm_is_folded_and_unnamed_nodes_are_named(model: Path, samples: Path) -> None:
    _, path = done(model, "--calibration", samples)
    assert "BatchNormalization" not in operators(path)
    names = [node.name for node in onnx.load(path).graph.node]
    assert all(names) and len(set(names)) == len(names)


def test_same_input_same_bytes(model: Path, samples: Path) -> None:
    written = [done(model, "--calibration", samples, output=name)[1].read_bytes() for name in ("a.onnx", "b.onnx")]
    assert written[0] == written[1]


# Targets


def test_ort_takes_unsigned_activations(model: Path, samples: Path) -> None:
    found, path = done(model, "--calibration", samples)
    assert zero_point_types(path) == {TensorProto.UINT8}
    assert found["bit_exact"] is None
    assert found["float_bytes"] == model.stat().st_size and found["bytes"] == path.stat().st_size


def test_qnn_takes_unsigned_activations_and_signed_weights(model: Path, samples: Path) -> None:
    found, path = done(model, "--calibration", samples, target="qnn")
    assert zero_point_types(path) == {TensorProto.UINT8}
    weights = [i.data_type for i in onnx.load(path).graph.initializer if len(i.dims) == 4]
    assert weights == [TensorProto.INT8] * 2
    assert found["score"]["sqnr_db"] > 20


def test_tensorrt_is_symmetric_without_quantized_bias(model: Path, samples: Path) -> None:
    found, path = done(model, "--calibration", samples, target="tensorrt")
    graph = onnx.load(path).graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    quantizers = [n for n in graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    for node in quantizers:
        zero = constants[node.input[2]]
        assert zero.dtype == np.int8 and not zero.any()
    assert operators(path).count("Relu") == 2  # symmetric ranges do not absorb it
    assert not any(array.dtype == np.int32 for array in constants.values())
    assert found["score"]["agreement"] > 90


# Options


@pytest.mark.parametrize("target", ["cortex-m", "ort"])
def test_per_tensor_and_per_channel(target: str, model: Path, samples: Path) -> None:
    for option, sizes in (("--per-channel", {6, 8, 4, 1}), ("--per-tensor", {1})):
        _, path = done(model, "--calibration", samples, option, target=target)
        assert {scale.size for scale in scales(path).values()} == sizes


def test_methods_find_different_ranges(model: Path, tmp_path: Path) -> None:
    """Few outliers: entropy and percentile cut them off, minmax does not. (ORT's own entropy equals its minmax.)"""
    x = images(24)
    x[0, 0, 0, 0] = 40.0
    data = archive(tmp_path, "outlier.npz", x=x)
    found = {}
    for method in (["minmax"], ["entropy"], ["percentile", "--percentile", 99]):
        _, path = done(model, "--calibration", data, "--method", *method)
        found[method[0]] = float(scales(path)["x"])
    assert found["minmax"] > 1.5 * found["entropy"] and found["minmax"] > 1.5 * found["percentile"]


def test_samples_limits_calibration(model: Path, samples: Path) -> None:
    first, _ = done(model, "--calibration", samples, "--samples", 5)
    assert first["samples"] == 5


def test_exclude_leaves_a_node_in_float(model: Path, samples: Path) -> None:
    _, path = done(model, "--calibration", samples, "--exclude", "head", "--exclude", "softmax")
    graph = onnx.load(path).graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    constants = {i.name for i in graph.initializer}
    head = next(n for n in graph.node if n.op_type == "Gemm")
    assert head.input[1] in constants and makers.get(head.input[1]) is None
    assert "Gemm" in [n.op_type for n in oracle.executed_graph(onnx.load(path)).graph.node]


def test_exclude_that_onnx_runtime_would_undo(model: Path, samples: Path) -> None:
    """Between Q and DQ on both sides, ORT 1.31 quantizes a Gemm's or Conv's weights when it loads the model."""
    for target in ("ort", "qnn", "cortex-m"):
        words = refused(model, "--calibration", samples, "--exclude", "head", target=target)
        assert words.startswith("error: head: ONNX Runtime quantizes the layer again")


def test_exclude_follows_a_node_that_was_folded(model: Path, samples: Path) -> None:
    """The BatchNormalization went into the convolution: excluding it excludes that."""
    _, path = done(model, "--calibration", samples, "--exclude", "norm")
    constants = {i.name for i in onnx.load(path).graph.initializer}
    convs = [n for n in onnx.load(path).graph.node if n.op_type == "Conv"]
    assert [n.input[1] in constants for n in convs] == [True, False]


@pytest.mark.parametrize("name", ["pool", "pool_5_out"])
def test_override_by_node_or_tensor(name: str, model: Path, samples: Path) -> None:
    for target in ("ort", "qnn"):
        _, path = done(model, "--calibration", samples, "--override", f"{name}=u16", target=target)
        assert TensorProto.UINT16 in zero_point_types(path)


def test_dynamic_takes_matmul_and_gemm_only(model: Path) -> None:
    found, path = done(model, "--mode", "dynamic")
    assert "MatMulInteger" in operators(path) and operators(path).count("Conv") == 2
    assert found["score"] is None  # no samples were given


def test_dynamic_excludes_a_gemm_by_its_own_name(model: Path) -> None:
    """ORT renames it before it looks for the name: nothing is left to quantize, which is an error."""
    assert "nothing was quantized" in refused(model, "--mode", "dynamic", "--exclude", "head")


def test_dynamic_with_other_operators(model: Path, samples: Path) -> None:
    found, path = done(model, "--mode", "dynamic", "--op-type", "Conv", "--data", samples)
    assert operators(path).count("ConvInteger") == 2 and "MatMul" in operators(path)
    assert found["score"]["agreement"] > 90


@pytest.mark.parametrize("target", ["ort", "qnn", "tensorrt"])
def test_fp16_keeps_float_inputs(target: str, model: Path, samples: Path) -> None:
    found, path = done(model, "--mode", "fp16", "--data", samples, target=target)
    graph = onnx.load(path).graph
    assert {i.data_type for i in graph.initializer} >= {TensorProto.FLOAT16}
    assert graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert found["score"]["sqnr_db"] > 40


def test_fp16_excludes_a_node(model: Path) -> None:
    _, path = done(model, "--mode", "fp16", "--exclude", "head")
    types = {i.name: i.data_type for i in onnx.load(path).graph.initializer}
    head = next(n for n in onnx.load(path).graph.node if n.op_type == "Gemm")
    assert types[head.input[1]] == TensorProto.FLOAT


def test_old_opset_is_raised_for_per_channel(samples: Path, tmp_path: Path) -> None:
    old = saved(classifier(opset=11), tmp_path, "old.onnx")
    found, path = done(old, "--calibration", samples)
    assert onnx.load(path).opset_import[0].version >= 13
    assert found["score"]["agreement"] > 90


def test_dynamic_batch_becomes_one(samples: Path, tmp_path: Path) -> None:
    model = saved(classifier(batch="n"), tmp_path, "batch.onnx")
    _, path = done(model, "--calibration", samples, target="cortex-m")
    assert [d.dim_value for d in onnx.load(path).graph.input[0].type.tensor_type.shape.dim] == [1, 3, 8, 8]


def test_shape_fixes_an_input(samples: Path, tmp_path: Path) -> None:
    free = classifier()
    free.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "h"
    path = saved(free, tmp_path, "free.onnx")
    assert "--shape x=1,h,3,8".replace("1,h,3,8", "1,3,h,8") in refused(path, "--calibration", samples)
    done(path, "--calibration", samples, "--shape", "x=1,3,8,8")


def test_two_inputs(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    data = {name: chance.normal(0, 1, (16, 8)).astype(np.float32) for name in ("a", "b")}
    model = saved(two_inputs(), tmp_path)
    found, _ = done(model, "--calibration", archive(tmp_path, **data), target="cortex-m")
    assert found["bit_exact"] is True
    for name, rows in data.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for index, row in enumerate(rows):
            np.save(tmp_path / "data" / name / f"{index:02}.npy", row)
    again, _ = done(model, "--calibration", tmp_path / "data", target="cortex-m")
    assert again["score"] == found["score"]


def test_a_scalar_input(tmp_path: Path) -> None:
    g = Graph(7)
    y = g.node("Sigmoid", g.node("Mul", "x", g.constant(4), name="scaled"), name="curve")
    x = archive(tmp_path, x=np.linspace(-1, 1, 16, dtype=np.float32))
    found, _ = done(saved(g.model({"x": []}, y, [4]), tmp_path), "--calibration", x, target="cortex-m")
    assert found["bit_exact"] is True


def test_what_onnx_runtimes_quantizer_refuses(tmp_path: Path) -> None:
    """It gives the bias of a transposed convolution as many scales as one group has channels."""
    g = Graph(7)
    y = g.node("ConvTranspose", "x", g.constant(4, 3, 2, 2), g.constant(6), name="up", group=2)
    model = saved(g.model({"x": [1, 4, 5, 5]}, y, [1, 6, 6, 6]), tmp_path)
    x = archive(tmp_path, x=np.random.default_rng(0).normal(0, 1, (4, 4, 5, 5)).astype(np.float32))
    assert "quantizer refuses the model" in refused(model, "--calibration", x)
    found, _ = done(model, "--calibration", x, "--per-tensor", target="cortex-m")
    assert found["bit_exact"] is True


# The gate


def test_autoencoder_is_gated_on_sqnr(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(0, 1, (20, 16)).astype(np.float32)
    found, _ = done(saved(autoencoder(), tmp_path), "--calibration", archive(tmp_path, x=x), "--gate", 1)
    assert found["score"]["task"] == "regress" and found["score"]["loss_points"] is None


def labels_of(model: Path, x: np.ndarray) -> np.ndarray:
    """The float model's own answers: it is always right."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model)
    answers = np.array([session.run(None, {"x": row[None]})[0].argmax() for row in x])
    assert len(set(answers.tolist())) == CLASSES  # else the gate would prove nothing
    return answers


def test_gate_on_labels(model: Path, tmp_path: Path) -> None:
    x = images(200, seed=9)
    labels = labels_of(model, x)
    data = archive(tmp_path, "eval.npz", x=x)
    right = archive(tmp_path, "right.npz", labels=labels)
    common = ("--calibration", data, "--data", data)
    found, path = done(model, *common, "--labels", right, "--gate", 50)
    assert found["score"]["accuracy"] == pytest.approx(100 - found["score"]["loss_points"])
    path.unlink()
    wrong = archive(tmp_path, "narrow.npz", x=np.clip(x[:2], -0.02, 0.02))
    result, path = run(model, "--calibration", wrong, "--data", data, "--labels", right, "--gate", 1)
    assert result.exit_code == 1 and not path.exists()


@pytest.mark.parametrize("target", ["ort", "qnn", "tensorrt"])
def test_auto_mixed_raises_the_noisiest_until_the_gate_passes(target: str, model: Path, tmp_path: Path) -> None:
    """One outlier spoils the input's range; 8 bits fail a strict gate, and fewer raised tensors than allowed pass."""
    x = images(60, seed=4)
    spoiled = x.copy()
    spoiled[0] = 30 * np.sign(spoiled[0])
    calibration = archive(tmp_path, "c.npz", x=spoiled)
    data = archive(tmp_path, "d.npz", x=x)
    common = ("--calibration", calibration, "--data", data)
    plain, path = done(model, *common, target=target)
    gate = plain["score"]["loss_points"]
    assert gate > 0, "the outlier must cost something"
    failed, _ = run(model, *common, "--gate", gate, target=target, output="failed.onnx")
    assert failed.exit_code == 1
    path.unlink()
    mixed, path = done(model, *common, "--gate", gate, "--auto-mixed", 10, target=target)
    assert 1 <= len(mixed["raised"]) < 10
    assert mixed["score"]["loss_points"] < gate
    if target != "tensorrt":
        assert TensorProto.UINT16 in zero_point_types(path)
    assert mixed["cortex_m"] is None


def test_auto_mixed_tells_what_float_layers_cost_on_cortex_m(model: Path, tmp_path: Path) -> None:
    """The compiled C has float steps beside exact ones, and both firmwares are measured."""
    x = images(60, seed=4)
    data = archive(tmp_path, "d.npz", x=x)
    x[0] = 30 * np.sign(x[0])
    common = ("--calibration", archive(tmp_path, x=x), "--data", data, "--auto-mixed", 10, "--gate")
    gate = done(model, *common, 100, target="cortex-m")[0]["score"]["loss_points"]
    assert gate > 0, "the outlier must cost something"
    found, path = done(model, *common, gate, target="cortex-m")
    assert found["raised"] and found["score"]["loss_points"] < gate
    compiled = pipeline.compile(path, pipeline.Options(library=library_of(CMSIS_NN)))
    assert PROVED in {step.exactness for step in compiled.steps}
    assert any(step.kernel.startswith("mcugen_f32") for step in compiled.steps)
    before, after = found["cortex_m"]["all_8_bit"], found["cortex_m"]["mixed"]
    assert after["arena_bytes"] == compiled.plan.arena_bytes >= before["arena_bytes"]
    if not available(core("cortex-m4")):
        profiled = mcugen("profile", path, "--inputs", tmp_path / "x.npz", "--json")
        wanted = json.loads(profiled.stdout)
        for key in ("flash_bytes", "ram_bytes", "instructions"):
            assert after[key] == wanted[key] != before[key]
        assert after["library"] == before["library"] == wanted["library"]


def test_auto_mixed_gives_up_when_all_is_float(model: Path, samples: Path) -> None:
    spoiled = archive(model.parent, "far.npz", x=images(24) * 40)
    common = ("--calibration", spoiled, "--data", samples, "--gate", 1e-6, "--auto-mixed", 50)
    result, path = run(model, *common, target="cortex-m")
    assert result.exit_code == 1 and not path.exists()
    assert "until no layer was left in 8 bits" in " ".join(result.stderr.split())


def test_costs_as_people_read_them() -> None:
    found = CortexM("cortex-m4", "bundled", 5000, 2048, 2000, 99)
    assert str(found) == "flash 5,000, RAM 2,048 bytes, 99 instructions"
    assert str(CortexM("cortex-m4", "bundled", None, None, 2000, None)) == "arena 2,000 bytes"
    assert found.where == "cortex-m4" and replace(found, library="arm").where == "cortex-m4 with Arm's CMSIS-NN"


def test_a_float_layer_on_cortex_m_is_told(model: Path, samples: Path) -> None:
    """No equality is claimed behind a layer that was excluded."""
    options = ("--calibration", samples, "--exclude", "head", "--exclude", "softmax")
    found, path = done(model, *options, target="cortex-m")
    assert any(step.exactness == FLOAT for step in pipeline.compile(path, pipeline.Options()).steps)
    assert found["bit_exact"] is False


def test_auto_mixed_does_nothing_if_the_gate_passes(model: Path, samples: Path) -> None:
    found, _ = done(model, "--calibration", samples, "--auto-mixed", 3, "--gate", 60)
    assert found["raised"] == []


# Calibration data


def test_folder_of_npy(model: Path, samples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "npy"
    folder.mkdir()
    for index, row in enumerate(images(24)):
        np.save(folder / f"{index:03}.npy", row)
    assert done(model, "--calibration", folder)[0]["score"] == done(model, "--calibration", samples)[0]["score"]


def test_folder_of_images(model: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "png"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    for index, row in enumerate(pixels):
        image.fromarray(row).save(folder / f"{index}.png")
    options = Images(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    data = load_data(folder, (Input("x", np.dtype(np.float32), (1, 3, 8, 8)),), options)
    wanted = (pixels / 255 - np.array([0.4, 0.5, 0.6])) / np.array([0.2, 0.25, 0.3])
    np.testing.assert_allclose(data.feeds["x"][:, 0], wanted.transpose(0, 3, 1, 2), atol=1e-6)
    last = load_data(folder, (Input("x", np.dtype(np.float32), (1, 8, 8, 3)),), Images(top=255.0))
    np.testing.assert_array_equal(last.feeds["x"][:, 0], pixels)
    grey = load_data(folder, (Input("x", np.dtype(np.float32), (1, 8, 8, 1)),), Images())
    assert grey.feeds["x"].shape == (6, 1, 8, 8, 1) and 0 < grey.feeds["x"].max() <= 1
    done(model, "--calibration", folder, "--mean", "0.4,0.5,0.6", "--std", "0.2", "--layout", "nchw", "--pixels", "1")


@pytest.mark.parametrize(
    "options, words",
    [
        (("--mean", "1,2"), "--mean has 2 values for 3 channels"),
        (("--std", "0"), "--std must be greater than zero"),
        (("--std", "a"), "not a list of numbers"),
        (("--layout", "nhwc"), "is not that of one image"),
    ],
)
def test_bad_image_options(options: tuple[str, ...], words: str, model: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "png"
    folder.mkdir()
    image.new("RGB", (8, 8), (10, 200, 30)).save(folder / "a.png")
    assert words in refused(model, "--calibration", folder, *options)


def test_image_options_that_nothing_would_use(model: Path, samples: Path) -> None:
    assert "are of folders of images, and none is given" in refused(model, "--calibration", samples, "--mean", "0.5")


def test_broken_image(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    folder = tmp_path / "png"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"no image")
    assert "not a readable image" in refused(model, "--calibration", folder)


def test_images_without_pillow(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "png"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "pip install mcugen[images]" in refused(model, "--calibration", folder)


@pytest.mark.parametrize(
    "case, words",
    [
        ("nan", "sample 3 holds NaN or infinity"),
        ("inf", "sample 3 holds NaN or infinity"),
        ("zero", "every value is zero"),
        ("empty", "the file holds no sample"),
        ("name", "no array for the model input 'x'"),
        ("shape", "has shape [24, 3, 8, 9]"),
        ("dtype", "is complex128"),
    ],
)
def test_useless_calibration_data(case: str, words: str, model: Path, tmp_path: Path) -> None:
    x = images(24)
    if case in ("nan", "inf"):
        x[3, 0, 0, 0] = float(case)
    arrays = {
        "zero": {"x": np.zeros_like(x)},
        "empty": {"x": x[:0]},
        "name": {"input": x},
        "shape": {"x": np.zeros((24, 3, 8, 9), np.float32)},
        "dtype": {"x": x.astype(complex)},
    }.get(case, {"x": x})
    assert words in refused(model, "--calibration", archive(tmp_path, **arrays))


def test_calibration_that_is_not_there(model: Path, tmp_path: Path) -> None:
    assert "no such file" in refused(model, "--calibration", tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    assert "not a readable .npz" in refused(model, "--calibration", tmp_path / "bad.npz")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "the folder holds no sample" in refused(model, "--calibration", empty)
    np.save(empty / "a.npy", np.zeros((2, 2), np.float32))
    assert "the sample has shape [2, 2]" in refused(model, "--calibration", empty)
    (empty / "b.png").write_bytes(b"")
    assert "mixes .npy and images" in refused(model, "--calibration", empty)
    assert "static quantization needs sample inputs" in refused(model)


def test_unequal_numbers_of_samples(tmp_path: Path) -> None:
    data = archive(tmp_path, a=np.ones((3, 8), np.float32), b=np.ones((4, 8), np.float32))
    assert "different numbers of samples" in refused(saved(two_inputs(), tmp_path), "--calibration", data)


def test_data_unlike_what_it_will_see(model: Path, tmp_path: Path) -> None:
    """Ranges from tiny inputs saturate everything: written by ORT without a word, stopped here."""
    tiny = archive(tmp_path, "tiny.npz", x=images(4) * 1e-3)
    result, path = run(model, "--calibration", tiny, "--data", archive(tmp_path, x=images(24) * 20))
    assert result.exit_code == 1 and "does not follow the float model" in " ".join(result.stderr.split())
    assert not path.exists()


# Silent traps of the tools


def test_unknown_names(model: Path, samples: Path) -> None:
    words = refused(model, "--calibration", samples, "--exclude", "heat")
    assert "the model has no node 'heat'" in words and "head" in words
    assert "no tensor or node 'poool'" in refused(model, "--calibration", samples, "--override", "poool=u16")


def test_override_of_a_tensor_that_is_not_quantized(model: Path, samples: Path) -> None:
    """The Relu behind the convolution was absorbed, and the tensor between them with it: ORT ignores the override."""
    words = refused(model, "--calibration", samples, "--override", "Conv_3=u16")
    assert "is not quantized by itself" in words


@pytest.mark.parametrize("text", ["pool", "pool=u4", "=u16"])
def test_malformed_override(text: str, model: Path, samples: Path) -> None:
    assert "is not an override" in refused(model, "--calibration", samples, "--override", text)


def test_quantized_input_is_refused(model: Path, samples: Path) -> None:
    _, once = done(model, "--calibration", samples, output="once.onnx")
    assert "already quantized (qdq)" in refused(once, "--calibration", samples)
    _, dynamic = done(model, "--mode", "dynamic", output="dynamic.onnx")
    assert "already quantized (dynamic)" in refused(dynamic, "--calibration", samples)


def test_cache_is_used_and_belongs_to_its_data(model: Path, samples: Path, tmp_path: Path) -> None:
    cache = tmp_path / "ranges.json"
    common = ("--calibration", samples, "--calibration-cache", cache)
    _, first = done(model, *common, output="first.onnx")
    stored = json.loads(cache.read_text())
    _, second = done(model, *common, output="second.onnx")
    assert first.read_bytes() == second.read_bytes()
    other = archive(tmp_path, "other.npz", x=images(24, seed=5))
    words = "the cache was made from another model, other samples or another method"
    assert words in refused(model, "--calibration", other, "--calibration-cache", cache)
    assert words in refused(model, *common, "--method", "percentile")
    # It is really read: twice the range, twice the scale.
    for key in ("lowest", "highest"):
        stored["data"]["x"][key]["data"] = (2 * np.array(stored["data"]["x"][key]["data"])).tolist()
    cache.write_text(json.dumps(stored))
    _, third = done(model, *common, output="third.onnx")
    assert scales(third)["x"] == pytest.approx(2 * scales(first)["x"])
    cache.write_text("{}")
    assert "not a calibration cache" in refused(model, *common)


def test_a_layer_left_in_float_is_an_error(tmp_path: Path) -> None:
    """QOperator has no transposed convolution: ORT leaves it in float and says nothing."""
    transposed = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[1,2,4,4] x) => (float[1,3,6,6] y) '
        "{ y = ConvTranspose (x, w) }"
    )
    w = np.random.default_rng(0).normal(0, 1, (2, 3, 3, 3)).astype(np.float32)
    transposed.graph.initializer.append(numpy_helper.from_array(w, "w"))
    model = saved(transposed, tmp_path)
    x = archive(tmp_path, x=np.random.default_rng(1).normal(0, 1, (8, 2, 4, 4)).astype(np.float32))
    words = refused(model, "--calibration", x, "--format", "qoperator")
    assert "left 1 of its layers in float" in words and "--format qdq" in words
    done(model, "--calibration", x)


def test_nothing_to_quantize(model: Path, tmp_path: Path) -> None:
    words = refused(model, "--mode", "dynamic", "--op-type", "LSTM")
    assert "nothing was quantized: the model has no LSTM" in words
    assert "cannot quantize Potato" in refused(model, "--mode", "dynamic", "--op-type", "Potato")


def test_the_float_model_is_not_replaced(model: Path, samples: Path) -> None:
    before = model.read_bytes()
    result, _ = run(model, "--calibration", samples, output=model.name)
    assert result.exit_code == 2 and "it would replace the float model" in result.stderr
    assert model.read_bytes() == before


def test_an_output_that_cannot_be_written(model: Path, samples: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for output in ("folder", "float.onnx/q.onnx"):
        result, path = run(model, "--calibration", samples, output=output)
        assert result.exit_code == 2 and result.stderr.startswith(f"error: {tmp_path}"), result.stderr
        assert not path.is_file()


def test_new_ir_version_is_refused(samples: Path, tmp_path: Path) -> None:
    new = classifier()
    new.ir_version = 14
    assert "IR version 14" in refused(saved(new, tmp_path, "new.onnx"), "--calibration", samples)


@pytest.mark.parametrize(
    "target, options, words",
    [
        ("cortex-m", ("--mode", "dynamic"), "mode dynamic is not for it. Take static"),
        ("cortex-m", ("--mode", "fp16"), "mode fp16 is not for it"),
        ("qnn", ("--mode", "dynamic"), "mode dynamic is not for it. Take static or fp16"),
        ("tensorrt", ("--mode", "dynamic"), "mode dynamic is not for it"),
        ("qnn", ("--format", "qoperator"), "format qoperator is not for it. Take qdq"),
        ("tensorrt", ("--format", "qoperator"), "format qoperator is not for it. Take qdq"),
        ("cortex-m", ("--override", "pool=u16"), "an activation of type u16 is not for it. Leave --override out"),
        ("tensorrt", ("--override", "pool=u8"), "an activation of type u8 is not for it"),
        ("qnn", ("--override", "pool=s16"), "an activation of type s16 is not for it. It takes: u8, u16"),
        ("ort", ("--format", "qoperator", "--override", "pool=u16"), "Take --format qdq"),
        ("cortex-m", ("--format", "qoperator", "--auto-mixed", "2"), "nothing to raise a tensor to"),
        ("ort", ("--mode", "dynamic", "--auto-mixed", "2"), "--auto-mixed needs activations with fixed scales"),
        ("ort", ("--mode", "fp16", "--override", "pool=u8"), "--override needs activations with fixed scales"),
        ("ort", ("--mode", "dynamic", "--gate", "1"), "the gate needs samples to evaluate"),
        ("ort", ("--mode", "fp16", "--format", "qoperator"), "--format is of --mode static"),
        ("ort", ("--op-type", "Conv"), "--op-type is of --mode dynamic"),
        ("ort", ("--labels", "y.npz"), "--labels need the samples they belong to"),
    ],
)
def test_what_a_target_cannot_take(
    target: str, options: tuple[str, ...], words: str, model: Path, samples: Path
) -> None:
    calibration = () if "dynamic" in options else ("--calibration", samples)
    assert words in refused(model, *calibration, *options, target=target)


def test_unoffered_method_is_refused_by_the_command_line(model: Path, samples: Path) -> None:
    assert "'distribution' is not one of" in refused(model, "--calibration", samples, "--method", "distribution")


def test_unknown_target_is_refused() -> None:
    with pytest.raises(UserError, match="unknown target 'npu'") as error:
        QuantizeOptions(target="npu").checked()
    assert all(name in error.value.hint for name in TARGETS)


@pytest.mark.parametrize(
    "array, words",
    [
        (np.zeros(24, np.float32), "labels are float32"),
        (np.zeros((24, 4), np.int64), "shape [24, 4]"),
        (np.zeros(20, np.int64), "20 labels for 24 samples"),
        (np.arange(24) % CLASSES + 1, f"label {CLASSES} is no class: the model has {CLASSES}, numbered from 0"),
        (np.arange(24) % CLASSES - 1, "label -1 is no class"),
    ],
)
def test_bad_labels(array: np.ndarray, words: str, model: Path, samples: Path, tmp_path: Path) -> None:
    labels = archive(tmp_path, "y.npz", labels=array)
    assert words in refused(model, "--calibration", samples, "--data", samples, "--labels", labels)


def test_labels_for_an_autoencoder(tmp_path: Path) -> None:
    x = archive(tmp_path, x=np.random.default_rng(1).normal(0, 1, (4, 16)).astype(np.float32))
    y = archive(tmp_path, "y.npz", y=np.zeros(4, np.int64))
    words = refused(saved(autoencoder(), tmp_path), "--calibration", x, "--data", x, "--labels", y)
    assert "labels need a model whose first output is one row of class scores" in words


def test_text_report(model: Path, samples: Path) -> None:
    result, path = run(model, "--calibration", samples, target="cortex-m")
    assert result.exit_code == 0
    assert f"{path.stat().st_size:,} bytes" in result.stdout
    assert "SQNR" in result.stdout and "equals ONNX Runtime in every byte" in result.stdout


@pytest.mark.skipif(not SHARED.is_dir(), reason="no folder of models beside the repository")
def test_keyword_spotting(tmp_path: Path) -> None:
    x = np.load(SHARED / "keyword_spotting_inputs.npz")["input_f32"]
    data = archive(tmp_path, input_1=x)
    path = tmp_path / "q.onnx"
    result = mcugen(
        *("quantize", SHARED / "keyword_spotting_float.onnx", "--for", "cortex-m", "--calibration", data),
        *("--samples", 16, "--data", data, "--gate", 1, "-o", path, "--json"),
    )
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["bit_exact"] and found["score"]["loss_points"] < 1
