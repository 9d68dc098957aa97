"""The example that the README shows first: small, accurate, integer throughout, and its demo runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from mcugen import oracle, pipeline
from mcugen.prove.samples import load_samples
from mcugen.prove.verify import verify

FOLDER = Path(__file__).parents[2] / "examples" / "digits"
MODEL = FOLDER / "digits.onnx"


@pytest.fixture(scope="module")
def compiled() -> pipeline.Compiled:
    return pipeline.compile(MODEL, pipeline.Options())


def test_it_is_small(compiled: pipeline.Compiled) -> None:
    assert MODEL.stat().st_size < 32 * 1024
    assert compiled.plan.arena_bytes < 4 * 1024


def test_it_equals_onnx_runtime_and_reads_its_digits(compiled: pipeline.Compiled) -> None:
    samples = load_samples(compiled, FOLDER / "digits_inputs.npz", None)
    result = verify(compiled, samples)
    assert result.bit_exact, result.first_difference
    with np.load(FOLDER / "digits_labels.npz") as file:
        labels = file["label"]
    read = result.outputs["probabilities"].reshape(len(labels), -1).argmax(axis=1)
    assert len(labels) == 32
    assert (read == labels).sum() >= 31


def test_onnx_runtime_runs_it_in_integers(tmp_path: Path) -> None:
    """Every node that the pinned session executes is an integer operator, a copy, or the model's own edge."""
    saved = tmp_path / "optimized.onnx"
    oracle.pinned_session(onnx.load(MODEL), saved)
    nodes = onnx.load(saved).graph.node
    edges = {"QuantizeLinear", "DequantizeLinear"}
    copies = {"MaxPool", "NhwcMaxPool", "Reshape", "Flatten", "Squeeze", "Transpose"}
    floats = [n.op_type for n in nodes if not n.op_type.startswith("Q") and n.op_type not in edges | copies]
    assert floats == []
    assert sum(n.op_type in edges for n in nodes) == 2


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
def test_the_demo_runs(tmp_path: Path) -> None:
    """In a copy of the folder, so that nothing is written into the repository."""
    folder = tmp_path / "digits"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("out"))
    done = subprocess.run(
        [sys.executable, "demo.py", "--show", "4"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 differ from ONNX Runtime" in done.stdout
    assert "of 32 digits recognised" in done.stdout
