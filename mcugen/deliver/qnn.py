"""Qualcomm's Hexagon NPU by ONNX Runtime's QNN provider: a QDQ model for the HTP.

It is compiled and run on the HTP simulator if that is installed (`pip install mcugen[qnn]`); without it the bundle says
that it is neither compiled nor verified.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..errors import UserError
from .bundle import Check, Job, Options, Outcome, template, write_json, write_reference
from .gate import DYNAMIC, FLOAT, QDQ
from .qdq_units import qdq_units
from .reference import agreement, run_model, sqnr_db

# SoC -> (Hexagon architecture, soc_model). The provider takes any number without a word, so the table is ours.
SOCS: dict[str, tuple[int, int]] = {
    name: (arch, model)
    for arch, chips in {
        68: {"SM8350": 30, "SA8295": 39, "QCM6490": 93},
        69: {"SM8450": 36, "SM8475": 42, "SXR2230P": 53},
        73: {
            "SM8550": 43,
            "SXR1230P": 45,
            "SSG2115P": 46,
            "SA8255": 52,
            "SSG2125P": 58,
            "SC8380XP": 60,
            "QCS9100": 77,
        },
        75: {"SM8650": 57},
        79: {"SM8750": 69, "SXR2330P": 75},
        81: {"SA8797": 72, "SM8850": 87, "SAR2230P": 95, "SW6100": 96, "SM8845": 97},
    }.items()
    for name, model in chips.items()
}
MIN_AGREEMENT, MIN_SQNR_DB = 0.99, 20.0
PACKAGE = "onnxruntime-qnn"
_RUNNER = "run_qnn.py"
_SECONDS = 1800
_MOVES = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Shape", "Gather", "Constant"}
_JOINED = {"Relu", "Clip"}  # part of the operator before them
_TWO = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div"}  # a constant operand counts too

_WHAT = {
    "Q1": "the compiled model is one EPContext node",
    "Q2": "it loads with no fallback, and QNN alone is assigned",
    "Q3": "it was compiled for the architecture and SoC asked for",
    "Q4": f"the simulator follows ONNX Runtime's CPU (same class >= {MIN_AGREEMENT:.0%}, SQNR >= {MIN_SQNR_DB:g} dB)",
    "Q5": "compiling again gives the same bytes",
    "Q6": "no operator computes in float (unless --fp16-ok), none quantizes dynamically",
}


def check_options(options: Options) -> None:
    if options.soc not in SOCS:
        raise UserError(f"unknown SoC {options.soc!r}", hint=f"Known to --soc: {', '.join(sorted(SOCS))}.")


def make(job: Job, folder: Path) -> Outcome:
    gated, options = job.gated, job.options
    arch, soc_model = SOCS[options.soc]
    if gated.form not in (QDQ, DYNAMIC) and not (gated.form == FLOAT and options.fp16_ok):
        raise UserError(
            f"QNN takes QDQ models, this one is {gated.form}",
            origin=gated.source,
            hint="Export the float model with --calibration X.npz"
            + (", or run it in float16 with --fp16-ok." if gated.form == FLOAT else "."),
        )
    model = qdq_units(gated.model) if gated.form == QDQ else gated.model
    onnx.save(model, folder / "model_qdq.onnx")
    with job.progress("running the model in ONNX Runtime", 0):
        expected = run_model(model, job.feeds, quantized=gated.quantized)
    write_reference(folder, job, expected)
    provider = {"backend_type": "htp", "htp_arch": str(arch), "soc_model": str(soc_model)}
    write_json(
        folder / "qnn_options.json",
        {"soc": options.soc, "provider": provider, "compile": {"htp_graph_finalization_optimization_mode": "3"}},
    )
    (folder / _RUNNER).write_text(template(_RUNNER), encoding="utf-8")
    checks = {"Q6": _float_left(model, options.fp16_ok)}
    version = _installed()
    compiled = False
    if version is None:
        why = f"{PACKAGE} is not installed: pip install mcugen[qnn]"
        checks |= {key: Check(key, _WHAT[key], None, why) for key in ("Q1", "Q2", "Q3", "Q4", "Q5")}
        write_json(folder / "assignment.json", None)
    elif checks["Q6"].passed:
        with job.progress(f"compiling for {options.soc}", 2) as advance:
            _run(folder, "--compile")
            advance()
            checks["Q5"] = _again(folder)
            advance()
        compiled = True
        with job.progress("running on the HTP simulator", 0), tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
            outputs = Path(scratch) / "outputs.npz"
            made = _run(folder, "--json", "--runs", "1", "--outputs", str(outputs))
            with np.load(outputs) as archive:
                produced = {name: archive[f"arr_{index}"] for index, name in enumerate(expected)}
        write_json(folder / "assignment.json", made["assignment"])
        checks["Q1"], checks["Q3"] = _context(folder / "model_ctx.onnx", arch, soc_model)
        only = list(made["assignment"]) == ["QNNExecutionProvider"]
        checks["Q2"] = Check("Q2", _WHAT["Q2"], only, ", ".join(made["assignment"]))
        same, ratio = agreement(produced, expected, job.feeds), sqnr_db(produced, expected)
        checks["Q4"] = Check(
            "Q4",
            _WHAT["Q4"],
            ratio >= MIN_SQNR_DB and (same is None or same >= MIN_AGREEMENT),
            f"SQNR {ratio:.1f} dB"
            + ("" if same is None else f", same class in {same:.1%}")
            + f"; samples: {job.samples}",
        )
    passed = [check.passed for check in checks.values()]
    return Outcome(
        model=model,
        checks=tuple(checks[key] for key in sorted(checks)),
        runner=_RUNNER,
        facts={
            "soc": options.soc,
            "htp_arch": arch,
            "soc_model": soc_model,
            "onnxruntime_qnn": version,
            "compiled": compiled,
            "verified": compiled and all(passed),
        },
        usage=(
            f"pip install {PACKAGE}",
            "python run_qnn.py --compile      make model_ctx.onnx from model_qdq.onnx",
            "python run_qnn.py                load it without fallback, check against reference_io.npz, measure",
        ),
        notes=(
            "Latency measured on the simulator says nothing about the device. The provider's libraries are Qualcomm's "
            "and are not part of this bundle.",
            *(() if compiled else ("**Not compiled and not verified**: " + PACKAGE + " was not installed.",)),
        ),
    )


def _installed() -> str | None:
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return None


def _run(folder: Path, *arguments: str) -> dict[str, Any]:
    """The bundle's own script in a process of its own: the provider writes to stdout and may end the process."""
    command = [sys.executable, _RUNNER, *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"QNN is not done after {_SECONDS} s", hint="Give fewer samples with --inputs.") from None
    if done.returncode not in (0, 1):
        lines = [line for line in done.stderr.splitlines() if "[W:" not in line and line.strip()]
        words = lines[-1] if lines else f"exit code {done.returncode}"
        raise UserError(
            f"QNN does not take the model: {words}",
            hint="HTP takes u8/s8, s8/s8 and u16/u8 QDQ models with int32 biases: export with --calibration.",
        )
    last = done.stdout.strip().splitlines()[-1:]
    return json.loads(last[0]) if last and last[0].startswith("{") else {}


def _again(folder: Path) -> Check:
    """Compile once more, elsewhere."""
    names = ("model_ctx.onnx", "model_ctx_qnn.bin")
    with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
        other = Path(scratch)
        for name in ("model_qdq.onnx", "qnn_options.json", _RUNNER):
            (other / name).write_bytes((folder / name).read_bytes())
        _run(other, "--compile")
        changed = [name for name in names if (folder / name).read_bytes() != (other / name).read_bytes()]
    return Check("Q5", _WHAT["Q5"], not changed, ", ".join(changed))


def _context(path: Path, arch: int, soc_model: int) -> tuple[Check, Check]:
    """Q1 and Q3, from the compiled model."""
    model = onnx.load(path)
    ops = [node.op_type for node in model.graph.node]
    info = next((p.value for p in model.metadata_props if p.key.startswith("ep_compatibility_info")), "")
    fields = info.split(":")
    meant = fields[4:6] == [str(arch), str(soc_model)]
    return Check("Q1", _WHAT["Q1"], ops == ["EPContext"], ", ".join(ops[:4])), Check("Q3", _WHAT["Q3"], meant, info)


def _float_left(model: onnx.ModelProto, fp16_ok: bool) -> Check:
    """HTP runs what has no Q and DQ around it in float16, without a word."""
    constants = {tensor.name for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    dynamic = [node.name for node in model.graph.node if node.op_type == "DynamicQuantizeLinear"]
    left = []
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", *_MOVES, *_JOINED):
            continue
        names = node.input[:2] if node.op_type in _TWO else [n for n in node.input if n and n not in constants]
        sources = [makers.get(name) for name in names]
        if any(source is None or source.op_type not in ("DequantizeLinear", *_MOVES) for source in sources):
            left.append(f"{node.name} ({node.op_type})")
    found = dynamic if fp16_ok else [*dynamic, *left]
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    return Check("Q6", _WHAT["Q6"], not found, ", ".join(found[:4]) + more)
