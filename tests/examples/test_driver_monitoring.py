"""The story of a float model and every target: small files, honest accuracy, and its steps run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from mcugen.prove.toolchain import available
from mcugen.target import core

FOLDER = Path(__file__).parents[2] / "examples" / "driver_monitoring"
MODELS = sorted(FOLDER.glob("*.onnx"))


def test_it_is_small() -> None:
    files = [*MODELS, *FOLDER.glob("*.npz")]
    assert len(files) == 11 and sum(file.stat().st_size for file in files) < 400_000


@pytest.mark.parametrize("path", MODELS, ids=[path.stem for path in MODELS])
def test_models_are_open_in_batch_and_name_no_machine(path: Path) -> None:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    for info in (model.graph.input[0], model.graph.output[0]):
        assert info.type.tensor_type.shape.dim[0].dim_param
    assert model.opset_import[0].version >= 13
    text = path.read_bytes()
    assert not re.search(rb"/(home|root|tmp|usr|work)/|site-packages|\.py\b|Traceback|File \"", text)
    for item in (model, model.graph, *model.graph.node, *model.graph.value_info):
        assert not item.doc_string and not item.metadata_props


def test_pruned_channels_are_gone() -> None:
    """Three tenths of each hidden layer: not zeros, but smaller tensors."""

    def sizes(name: str) -> list[int]:
        graph = onnx.load(FOLDER / name).graph
        weights = {tensor.name: tensor.dims[0] for tensor in graph.initializer if len(tensor.dims) > 1}
        return [weights[n.input[1]] for n in graph.node if n.op_type in ("Conv", "Gemm")]

    dense, pruned = sizes("fatigue_dense.onnx"), sizes("fatigue.onnx")
    assert dense == [8, 12, 16, 24, 3]
    assert pruned == [round(0.7 * channels) for channels in dense[:-1]] + [3]
    for tensor in onnx.load(FOLDER / "fatigue.onnx").graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.ndim > 1:
            assert np.abs(array).reshape(len(array), -1).max(1).min() > 0


def test_images_and_labels_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    import cabin

    for name, size, classes in (("face", 48, 36), ("gaze", 32, 4), ("fatigue", 48, 3)):
        drawn, again = (getattr(cabin, name)(8, 5) for _ in range(2))
        assert np.array_equal(drawn[0], again[0]) and np.array_equal(drawn[1], again[1])
        with np.load(FOLDER / f"{name}_test.npz") as kept:
            assert kept["image"].dtype == drawn[0].dtype == np.uint8
            assert kept["image"].shape[1:] == drawn[0].shape[1:] == (1, size, size)
            assert len(kept["labels"]) == len(kept["image"]) and set(kept["labels"].tolist()) <= set(range(classes))


@pytest.mark.skipif(bool(available(core("cortex-m4"))), reason="no Arm compiler or emulator")
def test_the_story_runs(tmp_path: Path) -> None:
    """In a copy of the folder, so that nothing is written into the repository."""
    folder = tmp_path / "driver_monitoring"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("out", "__pycache__"))
    done = subprocess.run(
        [sys.executable, "story.py", "quantize", "build", "verify", "deploy"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "on host: equal in every byte (1000",
        "on cortex-m4: equal in every byte (16",
        "fits in 16 KB of RAM",
    ):
        assert words in done.stdout
    report = json.loads((folder / "out/deployment/deployment.json").read_text())
    jobs = {job["model"]: job for job in report["jobs"]}
    assert {name: job["for"] for name, job in jobs.items()} == {"face": "qnn", "gaze": "ort", "fatigue": "cortex-m4"}
    assert report["passed"] and all(job["measured"]["accuracy_loss"] < 1 for job in jobs.values())
    assert jobs["gaze"]["verified"] and jobs["fatigue"]["verified"]


@pytest.mark.slow
def test_the_whole_story_runs(tmp_path: Path) -> None:
    folder = tmp_path / "driver_monitoring"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("out", "__pycache__"))
    done = subprocess.run(
        [sys.executable, "story.py"], cwd=folder, capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("written to out/") == 5  # a page, the firmware, three bundles
