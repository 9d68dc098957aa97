"""`mcugen compare`: what it measures, its gate, and the page it writes."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import Result
from float_models import archive, autoencoder, classifier, images, mcugen, saved
from onnx import helper

from mcugen.prove.toolchain import available
from mcugen.target import core

M4 = available(core("cortex-m4"))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier, its variants, samples, and labels with which the float model is right in 9 of 10."""
    folder = tmp_path_factory.mktemp("compare")
    model = saved(classifier(), folder, "net_float.onnx")
    x = images(40)
    data = archive(folder, x=x)
    for name, options in {
        "s8": ("--for", "cortex-m"),
        "qop": ("--for", "ort", "--format", "qoperator"),
        "dynamic": ("--for", "ort", "--mode", "dynamic"),
    }.items():
        calibration = () if name == "dynamic" else ("--calibration", data)
        done = mcugen("quantize", model, *options, *calibration, "-o", folder / f"net_{name}.onnx")
        assert done.exit_code == 0, done.stderr
    answers = float_answers(model, x).argmax(1)
    labels = answers.copy()
    labels[::10] = (labels[::10] + 1) % 4
    archive(folder, "y.npz", labels=labels)
    return folder


def float_answers(path: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: row[None]})[0] for row in x])


def run(work: Path, *options: object, variants: tuple[str, ...] = ("s8",)) -> Result:
    files = [work / f"net_{name}.onnx" for name in variants]
    return mcugen("compare", work / "net_float.onnx", *files, "--data", work / "x.npz", "--rounds", 12, *options)


def measured(work: Path, *options: object, variants: tuple[str, ...] = ("s8",)) -> dict[str, Any]:
    result = run(work, *options, "--on", "host", "--gate", 60, "--json", variants=variants)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_sizes_latency_and_kernels(work: Path) -> None:
    found = measured(work, variants=("s8", "qop", "dynamic"))
    whole = (work / "net_float.onnx").stat().st_size
    assert found["float"]["bytes"] == whole and found["float"]["ratio"] == 1 and found["float"]["speedup"] == 1
    assert found["samples"] == 40 and found["rounds"] == 12
    for row, name in zip(found["variants"], ("s8", "qop", "dynamic"), strict=True):
        assert row["name"] == name and row["file"] == f"net_{name}.onnx"
        assert row["bytes"] == (work / row["file"]).stat().st_size
        assert row["ratio"] == pytest.approx(whole / row["bytes"])
        latency = row["latency_ms"]
        assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
        assert row["speedup"] == pytest.approx(found["float"]["latency_ms"]["p50"] / latency["p50"])
    assert found["float"]["integer_kernels"] == 0 and found["float"]["float_kernels"] >= 4
    static, _, dynamic = found["variants"]
    assert static["float_kernels"] == 0 and static["integer_kernels"] >= 4
    assert dynamic["integer_kernels"] == 1 and dynamic["float_kernels"] >= 3


def test_agreement_without_labels(work: Path) -> None:
    row = measured(work)["variants"][0]
    x = np.load(work / "x.npz")["x"]
    classes = [float_answers(work / f"net_{name}.onnx", x).argmax(1) for name in ("float", "s8")]
    same = 100 * float((classes[0] == classes[1]).mean())
    assert row["score"]["agreement"] == pytest.approx(same, abs=2.6)  # the plain session may differ in one sample
    assert row["score"]["loss_points"] == pytest.approx(100 - row["score"]["agreement"])
    assert row["accuracy"] is None


def test_accuracy_with_labels(work: Path) -> None:
    found = measured(work, "--labels", work / "y.npz")
    assert found["float"]["accuracy"] == pytest.approx(90)
    score = found["variants"][0]["score"]
    assert score["loss_points"] == pytest.approx(90 - score["accuracy"])


def test_logits_are_compared_not_the_softmax(work: Path) -> None:
    """Against an independent computation: the tensor before the Softmax in both models, 8 bits made real."""
    score = measured(work)["variants"][0]["score"]
    assert score["on"] == "logits"
    x = np.load(work / "x.npz")["x"]
    both = []
    for name in ("float", "s8"):
        model = onnx.load(work / f"net_{name}.onnx")
        before = next(n for n in model.graph.node if n.op_type == "Softmax").input[0]
        model.graph.output.insert(0, helper.make_empty_tensor_value_info(before))
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        both.append(np.concatenate([session.run(None, {"x": row[None]})[0] for row in x]).astype(np.float64))
    noise = 10 * np.log10((both[0] ** 2).sum() / ((both[0] - both[1]) ** 2).sum())
    assert score["sqnr_db"] == pytest.approx(noise, abs=1.0)  # unoptimized sessions round a few values differently
    assert score["max_abs_error"] == pytest.approx(np.abs(both[0] - both[1]).max(), rel=0.3)


def test_qoperator_and_dynamic_logits_are_found_too(work: Path) -> None:
    for row in measured(work, variants=("qop", "dynamic"))["variants"]:
        assert row["score"]["on"] == "logits" and row["score"]["sqnr_db"] > 20


def test_layers_are_those_of_the_float_model_in_order(work: Path) -> None:
    found = measured(work, variants=("s8", "qop"))
    layers = found["variants"][0]["layers"]
    made = ["x", *(name for node in onnx.load(work / "net_float.onnx").graph.node for name in node.output)]
    assert list(layers) == [name for name in made if name in layers]
    assert len(layers) >= 5 and all(decibel > 10 for decibel in layers.values())
    assert found["variants"][1]["layers"] == {}  # QOperator: no float tensors to compare


def test_layers_of_a_pruned_variant_are_those_of_equal_shape(work: Path, tmp_path: Path) -> None:
    """Tensor names are those of the float model, but one convolution has fewer channels."""
    pruned = classifier()
    tensors = {tensor.name: tensor for tensor in pruned.graph.initializer}
    last = next(n for n in pruned.graph.node if n.op_type == "Conv" and n.name != "stem")
    head = next(n for n in pruned.graph.node if n.name == "head")
    for name, axis in ((last.input[1], 0), (last.input[2], 0), (head.input[1], 1)):
        kept = onnx.numpy_helper.to_array(tensors[name]).take(range(7), axis)
        tensors[name].CopyFrom(onnx.numpy_helper.from_array(kept, name))
    small = saved(pruned, tmp_path, "small.onnx")
    path = tmp_path / "small_s8.onnx"
    made = mcugen("quantize", small, "--for", "cortex-m", "--calibration", work / "x.npz", "-o", path)
    assert made.exit_code == 0, made.stderr
    arguments = ("--data", work / "x.npz", "--rounds", 2, "--on", "host", "--gate", 101, "--json")
    result = mcugen("compare", work / "net_float.onnx", path, *arguments)
    assert result.exit_code == 0, result.stderr
    layers = json.loads(result.stdout)["variants"][0]["layers"]
    head_input = head.input[0]
    assert "x" in layers and "y" in layers and head_input not in layers


def test_a_copy_is_equal(work: Path) -> None:
    found = measured(work, variants=("float",))
    score = found["variants"][0]["score"]
    assert score["agreement"] == 100 and score["max_abs_error"] == 0 and score["sqnr_db"] is None


def test_eight_bit_inputs_and_outputs(work: Path) -> None:
    """The same network without the outer Q and DQ: fed and read by its own scales, it scores the same."""
    model = onnx.load(work / "net_s8.onnx")
    nodes = model.graph.node
    first = next(n for n in nodes if n.op_type == "QuantizeLinear" and n.input[0] == "x")
    last = next(n for n in nodes if n.output[0] == "y")
    assert last.op_type == "DequantizeLinear"
    edges = [(model.graph.input, first.output[0], (1, 3, 8, 8)), (model.graph.output, last.input[0], (1, 4))]
    for values, name, shape in edges:
        del values[:]
        values.append(helper.make_tensor_value_info(name, onnx.TensorProto.INT8, shape))
    nodes.remove(first)
    nodes.remove(last)
    onnx.save(model, work / "net_int8.onnx")
    plain, integer = measured(work, variants=("s8", "int8"))["variants"]
    assert integer["score"] == plain["score"]


@pytest.mark.skipif(bool(M4), reason=M4 or "")
def test_cortex_m_figures_are_those_of_profile(work: Path) -> None:
    result = run(work, "--gate", 60, "--json", variants=("s8", "float"))
    assert result.exit_code == 0, result.stderr
    rows = json.loads(result.stdout)["variants"]
    archive(work, "first.npz", x=np.load(work / "x.npz")["x"][:1])
    profiled = mcugen("profile", work / "net_s8.onnx", "--inputs", work / "first.npz", "--json")
    wanted = json.loads(profiled.stdout)
    for key in ("flash_bytes", "ram_bytes", "arena_bytes", "instructions"):
        assert rows[0]["cortex_m"][key] == wanted[key] > 0
    assert rows[0]["cortex_m"]["core"] == "cortex-m4" and rows[0]["cortex_m"]["library"] == wanted["library"]
    assert rows[1]["cortex_m"] is None and rows[1]["not_cortex_m"] == "not quantized"


def test_a_folder_of_images_is_read_as_quantize_reads_it(work: Path, tmp_path: Path) -> None:
    """The same pixels, normalized by the options or beforehand, give the same scores."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "png"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    for index, row in enumerate(pixels):
        image.fromarray(row).save(folder / f"{index}.png")
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])
    ready = ((pixels / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    options = ("--mean", "0.4,0.5,0.6", "--std", "0.2,0.25,0.3", "--layout", "nchw", "--pixels", "1")
    files = (work / "net_float.onnx", work / "net_s8.onnx", "--rounds", 2, "--on", "host", "--gate", 101, "--json")
    scores = []
    for arguments in (("--data", folder, *options), ("--data", archive(tmp_path, x=ready)), ("--data", folder)):
        result = mcugen("compare", *files, *arguments)
        assert result.exit_code == 0, result.stderr
        scores.append(json.loads(result.stdout)["variants"][0]["score"])
    assert scores[0]["sqnr_db"] == pytest.approx(scores[1]["sqnr_db"], abs=0.5)
    assert scores[2]["sqnr_db"] != scores[1]["sqnr_db"]  # without the options it is other data


# The gate


def test_gate(work: Path, tmp_path: Path) -> None:
    """A variant whose classes are turned loses everything; latency is no reason."""
    turned = onnx.load(work / "net_float.onnx")
    head = next(n for n in turned.graph.node if n.name == "head")
    for name in head.input[1:]:
        tensor = next(i for i in turned.graph.initializer if i.name == name)
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.roll(onnx.numpy_helper.to_array(tensor), 1, axis=0), name))
    onnx.save(turned, work / "net_turned.onnx")
    for labels in ((), ("--labels", work / "y.npz")):
        result = run(work, "--on", "host", *labels, variants=("float", "turned"))
        assert result.exit_code == 1
        assert "turned" in result.stderr and ("accuracy loss" if labels else "answers differ") in result.stderr
        assert "FAIL" in result.stdout and "pass" in result.stdout
    as_json = run(work, "--on", "host", "--json", variants=("float", "turned"))
    found = json.loads(as_json.stdout)
    assert as_json.exit_code == 1 and found["passes"] is False
    assert [row["passes"] for row in found["variants"]] == [True, False]


def test_autoencoder_has_no_classes(tmp_path: Path) -> None:
    model = saved(autoencoder(), tmp_path)
    data = archive(tmp_path, x=np.random.default_rng(1).normal(0, 1, (20, 16)).astype(np.float32))
    assert mcugen("quantize", model, "--for", "ort", "--calibration", data, "-o", tmp_path / "q.onnx").exit_code == 0
    page = tmp_path / "r.html"
    arguments = ("compare", model, tmp_path / "q.onnx", "--data", data, "--rounds", 3, "--on", "host")
    result = mcugen(*arguments, "--json", "--html", page)
    assert result.exit_code == 0, result.stderr
    score = json.loads(result.stdout)["variants"][0]["score"]
    assert score["agreement"] is None and score["on"] == "outputs" and score["sqnr_db"] > 20
    assert mcugen(*arguments).exit_code == 0
    assert "SQNR of the outputs" in page.read_text()


# The page


class Checked(HTMLParser):
    """Collects tags, and what would load something from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attributes if name in ("src", "href")]


def test_page_is_complete_and_self_contained(work: Path) -> None:
    page = work / "r.html"
    measured(work, "--labels", work / "y.npz", "--html", page, variants=("s8", "dynamic"))
    text = page.read_text(encoding="utf-8")
    parsed = Checked()
    parsed.feed(text)
    assert parsed.links == [] and "script" not in parsed.tags
    assert parsed.tags.count("table") == 2  # no Cortex-M figures were asked for
    for words in ("Size", "Latency", "Accuracy", "Fidelity", "Layer by layer", "dynamic", "90.00 %"):
        assert words in text
    widths = [float(number) for number in re.findall(r'<i style="width: ([0-9.]+)%', text)]
    assert len(widths) == 3 + 3 + 3 + 2 and max(widths) == 100  # one bar for each model; the float one has no SQNR


def test_dots_of_the_page_are_the_layers_sqnr(work: Path) -> None:
    page = work / "dots.html"
    found = measured(work, "--html", page, variants=("s8", "qop"))
    layers = found["variants"][0]["layers"]
    top = max(10 * math.ceil(min(max(layers.values()), 80) / 10), 10)
    shown = re.findall(
        r'<i style="left: ([0-9.]+)%; top: (\d+)px;[^>]*title="s8: ([0-9.]+) dB"', page.read_text("utf-8")
    )
    assert [float(decibel) for *_, decibel in shown] == [round(decibel, 1) for decibel in layers.values()]
    for (x, _, _), decibel in zip(shown, layers.values(), strict=True):
        assert float(x) == pytest.approx(100 * min(decibel, top) / top, abs=0.006)
    assert {y for _, y, _ in shown} == {"9"}  # one line of dots: the QOperator model has none


def test_names_in_the_page_are_escaped(work: Path, tmp_path: Path) -> None:
    evil = tmp_path / "<img src=x>.onnx"
    evil.write_bytes((work / "net_s8.onnx").read_bytes())
    page = tmp_path / "r.html"
    arguments = ("compare", work / "net_float.onnx", evil, "--data", work / "x.npz", "--rounds", 2, "--on", "host")
    assert mcugen(*arguments, "--gate", 60, "--html", page).exit_code == 0
    assert "<img" not in page.read_text(encoding="utf-8")


# Refusals


def refused(*arguments: object) -> str:
    result = mcugen("compare", *arguments)
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


def test_quantized_first_model(work: Path) -> None:
    words = refused(work / "net_s8.onnx", work / "net_float.onnx", "--data", work / "x.npz")
    assert "already quantized (qdq)" in words


def test_variant_of_another_model(work: Path, tmp_path: Path) -> None:
    other = saved(autoencoder(), tmp_path)
    words = refused(work / "net_float.onnx", other, "--data", work / "x.npz")
    assert "is not one of the float model's" in words
    wide = classifier()
    head = next(n for n in wide.graph.node if n.name == "head")
    for name in head.input[1:]:
        tensor = next(i for i in wide.graph.initializer if i.name == name)
        array = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.concatenate([array, array]), name))
    wide.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 8
    words = refused(
        work / "net_float.onnx", saved(wide, tmp_path, "wide.onnx"), "--data", work / "x.npz", "--rounds", 2
    )
    assert "its outputs have the shapes" in words


def test_missing_data(work: Path) -> None:
    assert "Missing option '--data'" in refused(work / "net_float.onnx", work / "net_s8.onnx")
    words = refused(work / "net_float.onnx", work / "net_s8.onnx", "--data", work / "none.npz")
    assert "no such file" in words


def test_labels_that_are_no_classes(work: Path, tmp_path: Path) -> None:
    labels = archive(tmp_path, "y.npz", labels=np.arange(40) % 4 + 1)
    files = (work / "net_float.onnx", work / "net_s8.onnx", "--data", work / "x.npz")
    assert "label 4 is no class" in refused(*files, "--labels", labels)
    assert "are of folders of images" in refused(*files, "--std", "0.5")


def test_unknown_core(work: Path) -> None:
    words = refused(work / "net_float.onnx", work / "net_s8.onnx", "--data", work / "x.npz", "--on", "cortex-a53")
    assert "unknown core 'cortex-a53'" in words


def test_equal_file_names_are_told_apart_by_folder(work: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net_s8.onnx").write_bytes((work / "net_s8.onnx").read_bytes())
    files = [tmp_path / folder / "net_s8.onnx" for folder in ("a", "b")]
    arguments = ("compare", work / "net_float.onnx", *files, "--data", work / "x.npz", "--rounds", 2, "--on", "host")
    result = mcugen(*arguments, "--gate", 60, "--json")
    assert [row["name"] for row in json.loads(result.stdout)["variants"]] == ["a/net_s8", "b/net_s8"]
