"""Makes, proves and measures what a deployment file asks for: one job for each model and target."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from .. import __version__, project
from ..errors import CheckFailed, UserError
from ..pipeline import Options as CompileOptions
from ..pipeline import compile
from ..prove.program import library_of
from ..prove.progress import Progress, silent
from ..prove.samples import random_samples
from ..prove.verify import verify
from ..target import is_core
from .bundle import Options as ExportOptions
from .bundle import write_json
from .calibration import inputs_of, load_data, load_labels
from .cortex_m import measure
from .deployment import Deployment, Model, Target
from .export import export
from .gate import gate
from .measure import Subject, check_labels, score, task_of
from .quantize import quantize
from .quantize_options import Options as QuantizeOptions

REPORT = "deployment.json"
_PROOF_SAMPLES = 32
_RUNS = 200
# The file a device is given, by which `size` counts.
_DELIVERED = {"ort": ("model.ort",), "qnn": ("model_ctx_qnn.bin", "model_qdq.onnx"), "tensorrt": ("model_trt.onnx",)}


@dataclass(frozen=True)
class Budget:
    """value None: it could not be measured, which breaks it too."""

    name: str
    value: float | None
    limit: float
    passed: bool
    why: str = ""


def run_deployment(
    deployment: Deployment, output: Path, cmsis_nn: Path | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """Every model for each of its targets; the report, which is also written to output/deployment.json.

    cmsis_nn: checkout of Arm's library for which the C is made, and with which it is proved and measured.
    """
    jobs = []
    for model in deployment.models:
        for name in model.targets:
            jobs.append(_job(model, deployment.targets[name], output / name / model.name, cmsis_nn, progress))
    passed = all(job["passed"] for job in jobs)
    report = {
        "mcugen": __version__,
        "file": deployment.file.name,
        "library": library_of(cmsis_nn),
        "passed": passed,
        "jobs": jobs,
    }
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / REPORT, report)
    return report


def _job(model: Model, target: Target, folder: Path, cmsis_nn: Path | None, progress: Progress) -> dict[str, Any]:
    """One model for one target. What goes wrong is recorded, and the others still run."""
    document = {
        "model": model.name,
        "target": target.name,
        "for": target.kind,
        "folder": f"{target.name}/{model.name}",
    }
    try:
        if is_core(target.kind):
            measured, missing, verified = _cortex_m(model, target, folder, cmsis_nn, progress)
        else:
            measured, missing, verified = _bundle(model, target, folder, progress)
    except (UserError, CheckFailed) as error:
        nothing = {"verified": False, "measured": {}, "budgets": [], "problems": [str(error)]}
        return {**document, "passed": False, "refused": isinstance(error, UserError), **nothing}
    budgets = [_judged(name, limit, measured, missing) for name, limit in target.budgets.items()]
    problems = [
        f"{b.name} {b.value:,.6g} is over {b.limit:,.6g}" if b.value is not None else f"{b.name} not measured: {b.why}"
        for b in budgets
        if not b.passed
    ]
    return {
        **document,
        "passed": not problems,
        "refused": False,
        "verified": verified,
        "measured": measured,
        "budgets": [asdict(budget) for budget in budgets],
        "problems": problems,
    }


Measured = dict[str, float]
Made = tuple[Measured, dict[str, str], bool]  # values, why others are missing, verified


def _judged(name: str, limit: float, measured: Measured, missing: Mapping[str, str]) -> Budget:
    value = measured.get(name)
    if value is None:
        return Budget(name, None, limit, False, missing.get(name, "the target does not tell"))
    return Budget(name, value, limit, value <= limit)


def _cortex_m(model: Model, target: Target, folder: Path, cmsis_nn: Path | None, progress: Progress) -> Made:
    """Quantize, compile, prove on this machine, profile on the emulated core, write the project."""
    with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
        path = model.path
        if model.calibration is not None:
            source = gate(path, model.shapes, prequantized=False).model
            calibration = load_data(model.calibration, inputs_of(source), model.images)
            path = Path(scratch) / f"{model.name}.onnx"
            wanted = QuantizeOptions("cortex-m", exclude=model.exclude, shapes=model.shapes, cmsis_nn=cmsis_nn)
            quantize(model.path, path, wanted, calibration, progress=progress)
        chosen = CompileOptions(target.kind, model.name, library=library_of(cmsis_nn), shapes=model.shapes)
        compiled = compile(path, chosen)
        quantized = gate(path, model.shapes, prequantized=True).model
    samples = random_samples(compiled, _PROOF_SAMPLES, seed=0)
    proof = verify(compiled, samples, cmsis_nn=cmsis_nn, progress=progress)
    if not proof.passed:
        raise CheckFailed(
            f"{proof.mismatches} of {proof.values} output values differ from ONNX Runtime's. {proof.first_difference}"
        )
    measured: Measured = {}
    missing: dict[str, str] = {}
    found, why = measure(compiled, {name: array[0] for name, array in samples.model.items()}, cmsis_nn, progress)
    for key, value in (("ram", found.ram_bytes), ("flash", found.flash_bytes), ("instructions", found.instructions)):
        if value is None:
            missing[key] = why
        else:
            measured[key] = value
    _accuracy(model, quantized, measured, missing)
    project.build(compiled, folder, ram=None, flash=None)
    return measured, missing, True


def _bundle(model: Model, target: Target, folder: Path, progress: Progress) -> Made:
    """Export; for ONNX Runtime also run the bundle's own script."""
    own = {key: value for key, value in target.options.items() if key != "threads"}
    options = ExportOptions(
        target=target.kind,
        shapes=model.shapes,
        prequantized=model.prequantized,
        calibration=model.calibration,
        inputs=model.data,
        images=model.images,
        reference=model.reference,
        exclude=model.exclude,
        **own,
    )
    manifest = export(model.path, folder, options, progress)
    sizes = {name: entry["bytes"] for name, entry in manifest["files"].items()}
    measured: Measured = {"size": next(sizes[name] for name in _DELIVERED[target.kind] if name in sizes)}
    missing: dict[str, str] = {}
    if target.kind == "ort":
        measured["latency_ms"] = _latency(folder, target.options.get("threads"))
    delivered = {"ort": "model.onnx", "qnn": "model_qdq.onnx", "tensorrt": "model_trt.onnx"}[target.kind]
    _accuracy(model, onnx.load(folder / delivered), measured, missing)
    return measured, missing, manifest["verified"]


def _latency(folder: Path, threads: int | None) -> float:
    """Median milliseconds, by the bundle's script in a process of its own."""
    command = [sys.executable, str(folder / "run_ort.py"), "--json", "--runs", str(_RUNS)]
    command += [] if threads is None else ["--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["its outputs differ from reference_io.npz"])[-1]
        raise CheckFailed(f"run_ort.py: {words}")
    return float(json.loads(done.stdout)["latency_ms"]["p50"])


def _accuracy(model: Model, delivered: onnx.ModelProto, measured: Measured, missing: dict[str, str]) -> None:
    """Points lost against the float model, where there are one and samples."""
    if model.float_path is None or model.data is None:
        missing["accuracy_loss"] = "no float model or no samples"
        return
    source = gate(model.float_path, model.shapes, prequantized=False).model
    inputs = inputs_of(source)
    data = load_data(model.data, inputs, model.images)
    labels: np.ndarray | None = None if model.labels is None else load_labels(model.labels, data.count)
    answers = Subject(source, inputs, "the float model").answers(data)
    task = task_of(inputs, answers)
    if labels is not None:
        check_labels(labels, task, answers)
    result = score(answers, Subject(delivered, inputs, model.name).answers(data), labels, task)
    if result.loss_points is None:
        missing["accuracy_loss"] = "the model does not classify"
    else:
        measured["accuracy_loss"] = result.loss_points
    measured["sqnr_db"] = min(result.sqnr_db, 999.0)
