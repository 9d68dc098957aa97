"""What a target hands over: its checks and facts, and the files that every bundle has."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from .. import __version__
from ..emit.templating import environment
from ..prove.progress import Progress
from .calibration import Images, inputs_of
from .gate import Gated
from .reference import Arrays
from .wires import Wires

# Options that mean something to one target only.
OWN = {
    "soc": "qnn",
    "fp16_ok": "qnn",
    "trt": "tensorrt",
    "fp16": "tensorrt",
    "profiles": "tensorrt",
    "check_with": "tensorrt",
}


@dataclass(frozen=True)
class Options:
    """`mcugen export`."""

    target: str
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    prequantized: bool = False
    calibration: Path | None = None
    inputs: Path | None = None  # of reference_io.npz
    images: Images = field(default_factory=Images)  # how a folder of them becomes samples
    reference: Path | None = None  # the float model a prequantized one is held against
    exclude: tuple[str, ...] = ()  # nodes that stay float
    soc: str = "SM8650"
    fp16_ok: bool = False
    trt: int = 10
    fp16: bool = False
    profiles: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)  # name -> min, opt, max shape
    check_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """passed None: it could not be run here, and `detail` says why."""

    id: str
    what: str
    passed: bool | None
    detail: str = ""


@dataclass(frozen=True)
class Job:
    """What a target is given."""

    gated: Gated  # the model to deliver, quantized by now if --calibration asked for it
    reference: onnx.ModelProto | None  # the float model, if there is one
    feeds: Arrays
    samples: str  # where the feeds come from
    options: Options
    progress: Progress


@dataclass(frozen=True)
class Outcome:
    """What a target made, besides the files in its folder."""

    model: onnx.ModelProto  # whose inputs and outputs the manifest describes
    checks: tuple[Check, ...]
    runner: str  # the script of the bundle
    facts: Mapping[str, Any]  # more for the manifest
    usage: tuple[str, ...]  # command lines for README.md
    notes: tuple[str, ...] = ()


def template(name: str) -> str:
    """A runner script, as it is."""
    return environment().get_template(f"deliver/{name}").render()


def write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def write_reference(folder: Path, job: Job, expected: Arrays) -> None:
    """reference_io.npz: inputs and outputs by name, samples along the first axis."""
    # Not np.savez: its own parameters are names that a tensor may have.
    with zipfile.ZipFile(folder / "reference_io.npz", "w") as archive:
        for name, array in {**job.feeds, **expected}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def finish(job: Job, outcome: Outcome, folder: Path) -> dict[str, Any]:
    """Write README.md, report.json and, last, manifest.json with the hash of every file."""
    gated, options = job.gated, job.options
    checks = [asdict(check) for check in outcome.checks]
    head = {"mcugen": __version__, "target": options.target, "source": gated.source, "source_sha256": gated.sha256}
    ports = {"inputs": _ports(outcome.model, inputs=True), "outputs": _ports(outcome.model, inputs=False)}
    count = len(next(iter(job.feeds.values())))
    report = {
        **head,
        "form": gated.form,
        "operators": dict(sorted(Counter(node.op_type for node in gated.model.graph.node).items())),
        "samples": {"count": count, "source": job.samples},
        "checks": checks,
        **outcome.facts,
        "bytes": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
    }
    write_json(folder / "report.json", report)
    jinja = environment()
    jinja.filters["cell"] = _cell
    readme = jinja.get_template("deliver/README.md.j2").render(
        target=options.target,
        source=gated.source,
        sha256=gated.sha256,
        samples=f"{count}: {job.samples}",
        outcome=outcome,
        **ports,
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")
    manifest = {
        **head,
        "tools": {
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
        },
        "options": _plain(options),
        "form": gated.form,
        **ports,
        **outcome.facts,
        "checks": checks,
        "runner": outcome.runner,
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            for path in sorted(folder.iterdir())
        },
    }
    write_json(folder / "manifest.json", manifest)
    return manifest


def _plain(options: Options) -> dict[str, Any]:
    """The target's options as JSON; of files only the name, so that the bundle does not depend on the machine."""
    own = {key: value for key, value in asdict(options).items() if OWN.get(key, options.target) == options.target}
    return {key: value.name if isinstance(value, Path) else value for key, value in own.items()}


def _cell(text: object) -> str:
    """Untrusted text in a Markdown table: printable ASCII without marks that would end the cell."""
    return re.sub(r"[^\x20-\x7e]|[`|<]", "?", str(text))


def _ports(model: onnx.ModelProto, *, inputs: bool) -> list[dict[str, Any]]:
    infos = {info.name: info for info in (*model.graph.input, *model.graph.output)}
    names = [item.name for item in inputs_of(model)] if inputs else [info.name for info in model.graph.output]
    wires = Wires(model)
    ports = []
    for name in names:
        tensor = infos[name].type.tensor_type
        found = wires.scale_of_input(name) if inputs else wires.scale_of_output(name)
        ports.append(
            {
                "name": name,
                "dtype": onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name,
                "shape": [dim.dim_value or dim.dim_param for dim in tensor.shape.dim],
                "scale": None if found is None else float(found.scale),
                "zero_point": None if found is None else found.zero_point,
            }
        )
    return ports
