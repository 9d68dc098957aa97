"""Compile a model and hold the C against ONNX Runtime: what most tests do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from mcugen import oracle, pipeline
from mcugen.emit.artefact import Compiled
from mcugen.ops.layout import TRANSPOSES
from mcugen.prove.samples import random_samples
from mcugen.prove.toolchain import available
from mcugen.prove.verify import Verification, first_difference, verify
from mcugen.step import INTEGER
from mcugen.target import core

_ROOT = os.environ.get("CMSIS_NN_ROOT")
CMSIS_NN = Path(_ROOT) if _ROOT else None
"""The checkout of Arm's library that tests may use, if any."""

needs_cmsis_nn = pytest.mark.skipif(CMSIS_NN is None, reason="CMSIS_NN_ROOT is not set")


def compile_model(model: onnx.ModelProto, folder: Path, **options: Any) -> Compiled:
    """options: those of pipeline.Options."""
    path = folder / "small.onnx"
    onnx.save(model, path)
    return pipeline.compile(path, pipeline.Options(**options))


def assert_exact(
    compiled: Compiled, *, samples: int = 16, on: str = "host", cmsis_nn: Path | None = None
) -> Verification:
    """All output bytes equal the pinned session's and, on the host, every step's equal the canonical graph's.

    The outputs must also vary: a model that saturates everywhere would prove nothing.
    """
    if on != "host":
        reason = available(core(on))
        if reason:
            pytest.skip(reason)
    result = verify(compiled, random_samples(compiled, samples, seed=1), on, cmsis_nn)
    assert result.bit_exact, f"{result.mismatches} of {result.values} differ. {result.first_difference}"
    for name, array in result.outputs.items():
        few = 1 if array.dtype == np.bool_ else 2
        assert len(np.unique(array)) > few or array.size < 8, f"output {name} hardly varies: {np.unique(array)}"
    return result


def exact(model: onnx.ModelProto, folder: Path, *, samples: int = 16, **options: Any) -> Compiled:
    """Compile for the host's stand-in core and assert equality there."""
    compiled = compile_model(model, folder, **options)
    assert_exact(compiled, samples=samples)
    return compiled


def exact_integer_form(model: onnx.ModelProto, folder: Path) -> Compiled:
    """Where ONNX Runtime computes in float: every step equals the canonical integer graph, and says what it is."""
    compiled = compile_model(model, folder)
    data = random_samples(compiled, 16, seed=1)
    assert first_difference(compiled, data, None) == ""
    forms = [step for step in compiled.steps if any("integer form" in note for note in step.notes)]
    assert forms and all(step.exactness == INTEGER and step.codes == 1 for step in forms)
    return compiled


def kernels(compiled: Compiled) -> list[str]:
    return [step.kernel for step in compiled.steps]


def transposes(compiled: Compiled) -> int:
    return sum(step.kernel in TRANSPOSES for step in compiled.steps)


def saved_by_ort(model: onnx.ModelProto, level: Any, folder: Path) -> onnx.ModelProto:
    """The model as a session with the pinned options, at this level, saves it."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "saved.onnx")
    for key, value in oracle.session_options(model).items():
        if key.startswith("session."):
            options.add_session_config_entry(key, value)
    ort.InferenceSession(oracle.unshare_qdq(model).SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "saved.onnx")
