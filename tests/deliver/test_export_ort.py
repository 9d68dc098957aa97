"""The ONNX Runtime bundle: its files, its checks, and its own script, which is run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from export_models import check, export
from onnx import helper

from mcugen.deliver.ort import _integer, _portable

FILES = {
    "model.onnx",
    "model.optimized.onnx",
    "model.ort",
    "required_operators_and_types.config",
    "run_ort.py",
    "session.json",
    "reference_io.npz",
    "README.md",
    "report.json",
}


def runner(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "run_ort.py"), "--runs", "5", "--warmup", "1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def bundle(quantized: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the int8 network."""
    folder = tmp_path_factory.mktemp("ort") / "bundle"
    export(quantized["cortex-m"], "--prequantized", "--target", "ort", "-o", folder)
    return folder


@pytest.mark.parametrize("case", ["float", "uint8", "int8"])
def test_three_models_agree(case: str, net: Path, samples: Path, quantized: dict[str, Path], tmp_path: Path) -> None:
    given = {
        "float": [net],
        "uint8": [net, "--calibration", samples],
        "int8": [quantized["cortex-m"], "--prequantized"],
    }[case]
    manifest = export(*given, "--target", "ort", "-o", tmp_path / "out")
    assert set(manifest["files"]) == FILES and manifest["verified"]
    assert manifest["form"] == ("float" if case == "float" else "qdq")
    assert manifest["session"]["tolerance"] == (1e-5 if case == "float" else 0.0)
    assert all(c["passed"] for c in manifest["checks"]) and len(manifest["checks"]) == 4
    if case != "float":
        assert check(manifest, "O2")["detail"].startswith("0 of ")
        ops = {n.op_type for n in onnx.load(tmp_path / "out/model.optimized.onnx").graph.node}
        config = (tmp_path / "out/required_operators_and_types.config").read_text()
        assert all(op in config for op in ops)  # what a minimal build must contain
        assert {"QLinearConv", "QGemm"} <= ops and not ops & {"Conv", "FusedConv", "Gemm"}


@pytest.mark.parametrize("model", ["model.ort", "model.onnx", "model.optimized.onnx"])
def test_the_script_checks_and_measures(model: str, bundle: Path) -> None:
    done = runner(bundle, "--model", model, "--threads", "1", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["mismatches"], result["values"], result["threads"]) == (0, 16 * 5, 1)
    latency = result["latency_ms"]
    assert 0 < latency["min"] <= latency["p50"] <= latency["p95"] <= latency["p99"] and latency["std"] >= 0
    assert result["throughput_per_s"] == pytest.approx(1000 / latency["mean"])
    assert result["peak_rss_bytes"] > 1_000_000
    assert list(result["placement"]) == ["CPUExecutionProvider"]
    assert result["placement"]["CPUExecutionProvider"]["QLinearConv"] == 2


def test_the_script_prints_for_people(bundle: Path) -> None:
    done = runner(bundle)
    assert done.returncode == 0
    for words in ("all equal the reference", "p99", "inferences a second", "MiB", "CPUExecutionProvider: "):
        assert words in done.stdout


def test_the_script_fails_on_other_outputs(bundle: Path, tmp_path: Path) -> None:
    for path in bundle.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with np.load(bundle / "reference_io.npz") as archive:
        arrays = {name: archive[name].copy() for name in archive.files}
    arrays["scores"][3, 0, 2] += 0.5
    np.savez(tmp_path / "reference_io.npz", **arrays)
    done = runner(tmp_path, "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["mismatches"] == 1


def test_the_script_refuses_an_absent_provider(bundle: Path) -> None:
    done = runner(bundle, "--provider", "xnnpack")
    assert done.returncode == 2 and "no XnnpackExecutionProvider" in done.stderr


def test_float_layers_of_a_quantized_model_must_be_meant(net: Path, samples: Path, tmp_path: Path) -> None:
    # Between Q and DQ, ONNX Runtime would quantize the weights of conv2 by itself: its output stays float too.
    exclude = [word for name in ("conv2", "clip", "mean", "flat") for word in ("--exclude", name)]
    manifest = export(net, "--target", "ort", "--calibration", samples, *exclude, "-o", tmp_path / "mixed")
    assert check(manifest, "O4")["passed"]
    again = (tmp_path / "mixed/model.onnx", "--prequantized", "--target", "ort")
    assert "conv2 (" in export(*again, "-o", tmp_path / "out", code=1)["error"]
    assert not (tmp_path / "out").exists()
    assert export(*again, "--exclude", "conv2", "-o", tmp_path / "out")["verified"]


def test_layouts_of_one_machine_are_found(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], "blocked", domain="com.microsoft.nchwc")
    model = helper.make_model(helper.make_graph([node], "g", [], []))
    config = tmp_path / "required_operators_and_types.config"
    config.write_text("ai.onnx;13;Relu\n")
    assert _portable(model, tmp_path).passed is False
    assert _integer(model, (), True).passed is False
    del model.graph.node[:]
    assert _portable(model, tmp_path).passed
    config.write_text("com.microsoft.nchwc;1;Conv\n")
    assert _portable(model, tmp_path).passed is False
