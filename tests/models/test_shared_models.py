"""Real networks: every quantized file of ../shared/models, with its recorded inputs. All of it is slow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from checking import CMSIS_NN, saved_by_ort

from mcugen import pipeline
from mcugen.prove.samples import load_samples, random_samples
from mcugen.prove.toolchain import available
from mcugen.prove.verify import verify
from mcugen.target import core

ORT_ENABLE_EXTENDED = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
FOLDER = Path(__file__).parents[2].parent / "shared" / "models"
FILES = sorted(
    path for path in FOLDER.glob("*.onnx") if any(form in path.stem for form in ("_qdq", "_qop", "_tflite_qdq"))
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FILES, reason="../shared/models is not beside the repository"),
]


def inputs_of(path: Path, samples: int, folder: Path) -> Path:
    """An .npz with `samples` rows spread over the recorded ones, by the name and in the type of the model's input."""
    family = path.stem.partition("_qdq")[0].partition("_qop")[0].partition("_tflite")[0]
    family = family.partition("_bnkept")[0].partition("_dynbatch")[0]
    (port,) = (i for i in onnx.load(path).graph.input)
    with np.load(FOLDER / f"{family}_inputs.npz") as recorded:
        if "input_u8" in recorded:
            rows = (recorded["input_u8"].astype(np.float32) - 128) / 64
        else:
            is_integer = port.type.tensor_type.elem_type == onnx.TensorProto.INT8
            rows = recorded["input_i8" if is_integer else "input_f32"]
    chosen = rows[np.linspace(0, len(rows) - 1, min(samples, len(rows))).astype(int)]
    target = folder / "inputs.npz"
    with target.open("wb") as stream:
        np.savez(stream, **{port.name: chosen})
    return target


def check(path: Path, on: str, samples: int, folder: Path, library: str = "bundled") -> None:
    target = "cortex-m4" if on == "host" else on
    kernels = "api" if library == "arm" else "specialised"
    compiled = pipeline.compile(path, pipeline.Options(core=target, library=library, kernels=kernels))
    data = load_samples(compiled, inputs_of(path, samples, folder), samples)
    result = verify(compiled, data, on, CMSIS_NN if library == "arm" else None)
    assert result.bit_exact, f"{result.mismatches} of {result.values} differ. {result.first_difference}"
    assert result.samples == min(samples, data.count) > 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_host(path: Path, tmp_path: Path) -> None:
    check(path, "host", 8 if "fatigue" not in path.stem else 2, tmp_path)


@pytest.mark.skipif(CMSIS_NN is None, reason="CMSIS_NN_ROOT is not set")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_arms_library(path: Path, tmp_path: Path) -> None:
    check(path, "host", 4 if "fatigue" not in path.stem else 1, tmp_path, "arm")


@pytest.mark.parametrize("on", ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"])
@pytest.mark.parametrize("path", [path for path in FILES if "fatigue" not in path.stem], ids=lambda path: path.stem)
def test_emulated_core(path: Path, on: str, tmp_path: Path) -> None:
    reason = available(core(on))
    if reason:
        pytest.skip(reason)
    check(path, on, 2, tmp_path)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.onnx")), ids=lambda path: path.stem)
def test_saved_by_onnx_runtime(path: Path, tmp_path: Path) -> None:
    """The file that a session writes at level EXTENDED, with its fused operators."""
    onnx.save(saved_by_ort(onnx.load(path), ORT_ENABLE_EXTENDED, tmp_path), tmp_path / "m.onnx")
    compiled = pipeline.compile(tmp_path / "m.onnx", pipeline.Options())
    result = verify(compiled, random_samples(compiled, 1, seed=1))
    assert result.passed, f"{result.mismatches} of {result.values} differ. {result.first_difference}"
    assert result.bit_exact or "_float" in path.stem
