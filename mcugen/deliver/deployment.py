"""`mcugen pipeline`: a file that names models, targets and budgets; every pair is made, proved and measured.

output: out                     # out/TARGET/MODEL, and out/deployment.json
models:
  keywords:
    model: kws_float.onnx       # paths count from this file
    calibration: kws_train.npz  # quantized for each target with these samples; or `prequantized: true`
    data: kws_test.npz          # accuracy [default: calibration]
    images: {mean: [0.4], std: [0.2], layout: nchw, pixels: 255}   # how a folder of images becomes samples
    labels: kws_labels.npz      # without them, answers that differ from the float model's count as lost
    targets: [board, gateway]   # [default: all]
targets:
  board: {for: cortex-m4, budgets: {ram: 64K, flash: 256K, instructions: 12M, accuracy_loss: 1}}
  gateway: {for: ort, threads: 1, budgets: {latency_ms: 5, size: 100K}}
  phone: {for: qnn, soc: SM8650}
  jetson: {for: tensorrt, trt: 10}
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import UserError
from ..target import CORES, is_core, parse_size
from .bundle import OWN
from .bundle import Options as ExportOptions
from .calibration import LAYOUTS, Images, check_images
from .export import EARLY, TARGETS


def _count(text: str) -> float:
    """12000, "12k" or "12M": powers of 1000."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kKMG]?)", text.strip())
    if match is None:
        raise UserError(f"{text!r} is not a number", hint='Write 12000, "12k" or "12M".')
    return float(match[1]) * {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}[match[2]]


# Budget -> (how it is written, the targets it is for).
_CORE = "core"  # a target of any Cortex-M core
_BUDGETS: dict[str, tuple[Callable[[str], float], frozenset[str]]] = {
    "ram": (parse_size, frozenset({_CORE})),
    "flash": (parse_size, frozenset({_CORE})),
    "instructions": (_count, frozenset({_CORE})),
    "latency_ms": (_count, frozenset({"ort"})),
    "size": (parse_size, frozenset(TARGETS)),
    "accuracy_loss": (_count, frozenset({_CORE, *TARGETS})),
}
_MODEL_KEYS = {
    "model": str,
    "calibration": str,
    "prequantized": bool,
    "reference": str,
    "data": str,
    "labels": str,
    "images": dict,
    "shapes": dict,
    "exclude": list,
    "targets": list,
}
_TARGET_KEYS = {"for": str, "budgets": dict, "threads": int, "soc": str, "trt": int, "fp16": bool, "fp16_ok": bool}
_TARGET_OWN = {"threads": "ort", **{key: OWN[key] for key in ("soc", "fp16_ok", "trt", "fp16")}}


@dataclass(frozen=True)
class Model:
    name: str
    path: Path
    calibration: Path | None
    prequantized: bool
    reference: Path | None
    data: Path | None
    labels: Path | None
    images: Images
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
    kind = data.get("for")
    if kind not in TARGETS and not is_core(kind):
        kinds = sorted({*(core.name for core in CORES), *TARGETS})
        raise UserError(f"`for` is {kind!r}", origin=origin, hint=f"Known: {', '.join(kinds)}.")
    family = kind if kind in TARGETS else _CORE
    for key, owner in _TARGET_OWN.items():
        if key in data and kind != owner:
            raise UserError(f"{key} is for {owner}, this target is for {kind}", origin=origin)
    if data.get("trt", 10) not in (10, 11) or data.get("threads", 1) < 1:
        raise UserError("trt must be 10 or 11, threads at least 1", origin=origin)
    own = {key: data[key] for key in _TARGET_OWN if key in data}
    if kind in EARLY:
        try:
            EARLY[kind](ExportOptions(target=kind, **own))
        except UserError as error:
            raise UserError(error.message, origin=origin, hint=error.hint) from None
    budgets = {}
    for key, limit in data.get("budgets", {}).items():
        if key not in _BUDGETS or family not in _BUDGETS[key][1]:
            fitting = [budget for budget, (_, kinds_of) in _BUDGETS.items() if family in kinds_of]
            raise UserError(f"{kind} has no budget {key!r}", origin=origin, hint=f"It has: {', '.join(fitting)}.")
        try:
            budgets[key] = _BUDGETS[key][0](str(limit))
        except UserError as error:
            raise UserError(error.message, origin=f"{origin}.budgets.{key}", hint=error.hint) from None
    return Target(name, str(kind), budgets, own)


_IMAGE_KEYS = {"mean": list, "std": list, "layout": str, "pixels": int}


def _images(entry: Any, where: str, file: Path) -> Images:
    data = _mapping(entry, f"{where}.images", _IMAGE_KEYS, file)
    top, layout = data.get("pixels", 1), data.get("layout", "auto")
    numbers = [*data.get("mean", [0]), *data.get("std", [1])]
    if top not in (1, 255) or layout not in LAYOUTS or not all(type(n) in (int, float) for n in numbers):
        raise UserError(
            f"images is {entry!r}",
            origin=f"{file.name}: {where}",
            hint=f"mean and std are lists of numbers, layout one of {', '.join(LAYOUTS)}, pixels 1 or 255.",
        )
    return Images(tuple(map(float, data.get("mean", [0]))), tuple(map(float, data.get("std", [1]))), layout, float(top))


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
        is_core(targets[t].kind) for t in data.get("targets", targets) if t in targets
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
    images = _images(data.get("images", {}), where, file)
    try:
        check_images(images, (path("calibration"), path("data")))
    except UserError as error:
        raise UserError(error.message, origin=origin, hint=error.hint) from None
    return Model(
        name,
        model,
        path("calibration"),
        prequantized,
        path("reference"),
        path("data") or path("calibration"),
        path("labels"),
        images,
        {key: tuple(dims) for key, dims in shapes.items()},
        tuple(map(str, data.get("exclude", []))),
        tuple(data.get("targets", targets)),
    )
