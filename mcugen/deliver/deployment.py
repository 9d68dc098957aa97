"""`mcugen pipeline`: a file that names models, targets and budgets; every pair is made, proved and measured.

output: out                     # out/TARGET/MODEL, and out/deployment.json
models:
  keywords:
    model: kws_float.onnx       # paths count from this file
    calibration: kws_train.npz  # quantized for each target with these samples; or `prequantized: true`
    data: kws_test.npz          # accuracy [default: calibration]
    labels: kws_labels.npz      # without them, answers that differ from the float model's count as lost
    targets: [board, gateway]   # [default: all]
targets:
  board: {for: cortex-m4, budgets: {ram: 64K, flash: 256K, instructions: 12M, accuracy_loss: 1}}
  gateway: {for: ort, threads: 1, budgets: {latency_ms: 5, size: 100K}}
  phone: {for: qnn, soc: SM8650}
  jetson: {for: tensorrt, trt: 10}
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml

from .. import __version__, project
from ..errors import CheckFailed, UserError
from ..pipeline import Options as CompileOptions
from ..pipeline import compile
from ..prove.profile import profile
from ..prove.progress import Progress, silent
from ..prove.samples import random_samples
from ..prove.toolchain import available
from ..prove.verify import verify
from ..target import CORES, parse_size
from .bundle import Options as ExportOptions
from .bundle import write_json
from .calibration import inputs_of, load_data, load_labels
from .export import TARGETS, export
from .gate import gate
from .measure import Subject, score, task_of
from .quantize import Options as QuantizeOptions
from .quantize import quantize

REPORT = "deployment.json"
_PROOF_SAMPLES = 32
_RUNS = 200


def _count(text: str) -> float:
    """12000, "12k" or "12M": powers of 1000."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kKMG]?)", text.strip())
    if match is None:
        raise UserError(f"{text!r} is not a number", hint='Write 12000, "12k" or "12M".')
    return float(match[1]) * {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}[match[2]]


# Budget -> (how it is written, the targets it is for).
_CORES = frozenset(core.name for core in CORES)
_BUDGETS: dict[str, tuple[Callable[[str], float], frozenset[str]]] = {
    "ram": (parse_size, _CORES),
    "flash": (parse_size, _CORES),
    "instructions": (_count, _CORES),
    "latency_ms": (_count, frozenset({"ort"})),
    "size": (parse_size, frozenset(TARGETS)),
    "accuracy_loss": (_count, _CORES | frozenset(TARGETS)),
}
_MODEL_KEYS = {
    "model": str,
    "calibration": str,
    "prequantized": bool,
    "reference": str,
    "data": str,
    "labels": str,
    "shapes": dict,
    "exclude": list,
    "targets": list,
}
_TARGET_KEYS = {"for": str, "budgets": dict, "threads": int, "soc": str, "trt": int, "fp16": bool, "fp16_ok": bool}
_TARGET_OWN = {"threads": "ort", "soc": "qnn", "fp16_ok": "qnn", "trt": "tensorrt", "fp16": "tensorrt"}
# The file a device is given, by which `size` counts.
_DELIVERED = {"ort": ("model.ort",), "qnn": ("model_ctx_qnn.bin", "model_qdq.onnx"), "tensorrt": ("model_trt.onnx",)}


@dataclass(frozen=True)
class Model:
    name: str
    path: Path
    calibration: Path | None
    prequantized: bool
    reference: Path | None
    data: Path | None
    labels: Path | None
    shapes: Mapping[str, tuple[int, ...]]
    exclude: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def float_path(self) -> Path | None:
        return self.reference if self.prequantized else self.path


@dataclass(frozen=True)
class Target:
    name: str
    kind: str  # a core, or a target of `mcugen export`
    budgets: Mapping[str, float]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Deployment:
    file: Path
    output: Path
    models: tuple[Model, ...]
    targets: Mapping[str, Target]


@dataclass(frozen=True)
class Budget:
    """value None: it could not be measured, which breaks it too."""

    name: str
    value: float | None
    limit: float
    passed: bool
    why: str = ""


# The file


def load_deployment(file: Path) -> Deployment:
    """Read and check all of it; UserError names the key."""
    data = _mapping(_parse(file), "the file", {"output": str, "models": dict, "targets": dict}, file)
    folder = file.parent
    if not data.get("models") or not data.get("targets"):
        raise UserError("it needs `models` and `targets`", origin=file.name)
    targets = {name: _target(name, entry, file) for name, entry in data["targets"].items()}
    models = tuple(_model(name, entry, targets, file) for name, entry in data["models"].items())
    for model in models:
        for name in model.targets:
            if "accuracy_loss" in targets[name].budgets and (model.float_path is None or model.data is None):
                raise UserError(
                    f"the budget accuracy_loss of {name} needs a float model and samples",
                    origin=f"{file.name}: models.{model.name}",
                    hint="Give `data` (or `calibration`), and `reference` to a prequantized model.",
                )
    return Deployment(file, folder / data.get("output", "out"), models, targets)


def _parse(file: Path) -> Any:
    try:
        text = file.read_text(encoding="utf-8")
        return tomllib.loads(text) if file.suffix == ".toml" else yaml.load(text, Loader=_Loader)
    except OSError:
        raise UserError("no such file", origin=str(file)) from None
    except UnicodeDecodeError:
        raise UserError("it is not UTF-8 text", origin=str(file)) from None
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise UserError(f"it cannot be read: {' '.join(str(error).split())}", origin=str(file)) from None


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which takes the last of two equal keys without a word: here that is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _mapping(data: Any, where: str, known: Mapping[str, type], file: Path) -> dict[str, Any]:
    origin = f"{file.name}: {where}"
    if not isinstance(data, dict):
        raise UserError("it is not a mapping of names", origin=origin)
    for key, value in data.items():
        if key not in known:
            raise UserError(f"unknown key {key!r}", origin=origin, hint=f"Known: {', '.join(known)}.")
        if not isinstance(value, known[key]) or (known[key] is int and isinstance(value, bool)):
            raise UserError(f"{key} must be of type {known[key].__name__}, it is {value!r}", origin=origin)
    return data


def _name(name: Any, where: str, file: Path) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise UserError(
            f"{name!r} cannot name a folder", origin=f"{file.name}: {where}", hint="Take letters, digits, _ or -."
        )
    return name


def _target(name: Any, entry: Any, file: Path) -> Target:
    where = f"targets.{_name(name, 'targets', file)}"
    origin = f"{file.name}: {where}"
    data = _mapping(entry, where, _TARGET_KEYS, file)
    kinds = sorted(_CORES | set(TARGETS))
    kind = data.get("for")
    if kind not in kinds:
        raise UserError(f"`for` is {kind!r}", origin=origin, hint=f"Known: {', '.join(kinds)}.")
    for key, owner in _TARGET_OWN.items():
        if key in data and kind != owner:
            raise UserError(f"{key} is for {owner}, this target is for {kind}", origin=origin)
    if data.get("trt", 10) not in (10, 11) or data.get("threads", 1) < 1:
        raise UserError("trt must be 10 or 11, threads at least 1", origin=origin)
    budgets = {}
    for key, limit in data.get("budgets", {}).items():
        if key not in _BUDGETS or kind not in _BUDGETS[key][1]:
            fitting = [budget for budget, (_, kinds_of) in _BUDGETS.items() if kind in kinds_of]
            raise UserError(f"{kind} has no budget {key!r}", origin=origin, hint=f"It has: {', '.join(fitting)}.")
        try:
            budgets[key] = _BUDGETS[key][0](str(limit))
        except UserError as error:
            raise UserError(error.message, origin=f"{origin}.budgets.{key}", hint=error.hint) from None
    return Target(name, kind, budgets, {key: data[key] for key in _TARGET_OWN if key in data})


def _model(name: Any, entry: Any, targets: Mapping[str, Target], file: Path) -> Model:
    where = f"models.{_name(name, 'models', file)}"
    origin = f"{file.name}: {where}"
    data = _mapping(entry, where, _MODEL_KEYS, file)

    def path(key: str) -> Path | None:
        if key not in data:
            return None
        found = file.parent / data[key]
        if not found.exists():
            raise UserError(f"{key}: no such file {data[key]!r}", origin=origin, hint="Paths count from the file.")
        return found

    model = path("model")
    if model is None:
        raise UserError("it has no `model`", origin=origin)
    prequantized = data.get("prequantized", False)
    if prequantized == ("calibration" in data) and any(
        targets[t].kind in _CORES for t in data.get("targets", targets) if t in targets
    ):
        raise UserError(
            "a Cortex-M target needs either `calibration` or `prequantized: true`",
            origin=origin,
            hint="Cortex-M runs quantized models only.",
        )
    unknown = [target for target in data.get("targets", []) if target not in targets]
    if unknown:
        raise UserError(f"unknown target {unknown[0]!r}", origin=origin, hint=f"Known: {', '.join(targets)}.")
    shapes = data.get("shapes", {})
    for key, dims in shapes.items():
        if not isinstance(dims, list) or not dims or not all(type(d) is int and d > 0 for d in dims):
            raise UserError(f"shapes.{key} is {dims!r}", origin=origin, hint="Write [1, 3, 224, 224].")
    return Model(
        name,
        model,
        path("calibration"),
        prequantized,
        path("reference"),
        path("data") or path("calibration"),
        path("labels"),
        {key: tuple(dims) for key, dims in shapes.items()},
        tuple(map(str, data.get("exclude", []))),
        tuple(data.get("targets", targets)),
    )


# The work


def run_deployment(deployment: Deployment, output: Path, progress: Progress = silent) -> dict[str, Any]:
    """Every model for each of its targets; the report, which is also written to output/deployment.json."""
    jobs = []
    for model in deployment.models:
        for name in model.targets:
            jobs.append(_job(model, deployment.targets[name], output / name / model.name, progress))
    passed = all(job["passed"] for job in jobs)
    report = {"mcugen": __version__, "file": deployment.file.name, "passed": passed, "jobs": jobs}
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / REPORT, report)
    return report


def _job(model: Model, target: Target, folder: Path, progress: Progress) -> dict[str, Any]:
    """One model for one target. What goes wrong is recorded, and the others still run."""
    document = {
        "model": model.name,
        "target": target.name,
        "for": target.kind,
        "folder": f"{target.name}/{model.name}",
    }
    try:
        make = _cortex_m if target.kind in _CORES else _bundle
        measured, missing, verified = make(model, target, folder, progress)
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


def _cortex_m(model: Model, target: Target, folder: Path, progress: Progress) -> Made:
    """Quantize, compile, prove on this machine, profile on the emulated core, write the project."""
    with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
        path = model.path
        if model.calibration is not None:
            samples = load_data(model.calibration, inputs_of(gate(path, model.shapes, prequantized=False).model))
            path = Path(scratch) / f"{model.name}.onnx"
            wanted = QuantizeOptions("cortex-m", exclude=model.exclude, shapes=model.shapes)
            quantize(model.path, path, wanted, samples, progress=progress)
        compiled = compile(path, CompileOptions(core=target.kind, name=model.name, shapes=model.shapes))
        quantized = gate(path, model.shapes, prequantized=True).model
    proof = verify(compiled, random_samples(compiled, _PROOF_SAMPLES, seed=0), progress=progress)
    if not proof.bit_exact:
        raise CheckFailed(
            f"{proof.mismatches} of {proof.values} output values differ from ONNX Runtime's. {proof.first_difference}"
        )
    measured: Measured = {}
    missing: dict[str, str] = {}
    unavailable = available(compiled.core)
    if unavailable:
        missing = dict.fromkeys(("ram", "flash", "instructions"), unavailable)
    else:
        found = profile(compiled, random_samples(compiled, 1, seed=0), progress=progress)
        measured = {
            "ram": found.footprint.ram_bytes,
            "flash": found.footprint.flash_bytes,
            "instructions": found.instructions,
        }
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
    data = load_data(model.data, inputs)
    labels: np.ndarray | None = None if model.labels is None else load_labels(model.labels, data.count)
    answers = Subject(source, inputs, "the float model").answers(data)
    result = score(answers, Subject(delivered, inputs, model.name).answers(data), labels, task_of(inputs, answers))
    if result.loss_points is None:
        missing["accuracy_loss"] = "the model does not classify"
    else:
        measured["accuracy_loss"] = result.loss_points
    measured["sqnr_db"] = min(result.sqnr_db, 999.0)
