"""TensorRT: the model is guaranteed in structure and numbers; the bundle's script builds the engine where it runs."""

from __future__ import annotations

import importlib.util
import json
import math
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from .. import oracle
from ..errors import UserError
from .bundle import Check, Job, Options, Outcome, template, write_json, write_reference
from .calibration import inputs_of
from .gate import infer, named, runtime, strip
from .reference import Arrays, agreement, run_model, sqnr_db
from .tensorrt_checks import structure

# Symmetric int8 behind a softmax was measured at 14 dB and more; a model that lost its Relus is below 0.
MIN_SQNR_DB = 10.0
_RUNNER = "build_engine.py"
_HALF_OPSET = 19  # the first whose Q and DQ take float16 scales
_SECONDS = 600


def check_options(options: Options) -> None:
    if "tensorrt-rtx" in options.check_with and importlib.util.find_spec("tensorrt_rtx") is None:
        raise UserError("tensorrt-rtx is not installed", hint="pip install tensorrt-rtx (mind its licence).")


def make(job: Job, folder: Path) -> Outcome:
    gated, options = job.gated, job.options
    model = gated.model
    if options.fp16 and options.trt >= 11:
        model = _half(model)
    delivered = _reopened(model, job) if options.profiles else model
    onnx.save(delivered, folder / "model_trt.onnx")
    checks = structure(delivered, options.trt, options.profiles)
    with job.progress("running the model in ONNX Runtime", 0):
        expected = _expected(model, job)
    write_reference(folder, job, expected)
    checks.append(_numbers(job, expected))
    settings = _settings(job)
    write_json(folder / "ort_trt_options.json", _provider_options(settings))
    (folder / _RUNNER).write_text(template(_RUNNER), encoding="utf-8")
    write_json(folder / "build.json", settings)
    script = folder / "build.sh"
    script.write_text(_build_script(settings), encoding="utf-8")
    script.chmod(0o755)
    if "tensorrt-rtx" in options.check_with:
        with job.progress("parsing and building with tensorrt-rtx", 0):
            checks.append(_rtx(folder))
    write_json(folder / "trtcheck.json", [{"id": c.id, "what": c.what, "passed": c.passed} for c in checks])
    return Outcome(
        model=delivered,
        checks=tuple(checks),
        runner=_RUNNER,
        facts={
            "tensorrt": options.trt,
            "precision": _precision(job),
            "engine_built": False,
            "latency_measured": False,
            "verified": all(check.passed for check in checks),
        },
        usage=(
            "./build.sh                          build model.engine with trtexec, where it shall run",
            "python build_engine.py              the same with TensorRT's Python API",
            "python build_engine.py --check      ONNX Runtime's TensorRT provider against reference_io.npz",
        ),
        notes=(
            "No engine was built and no latency measured: an engine belongs to the GPU and the TensorRT release "
            "that build it.",
        ),
    )


def _expected(model: onnx.ModelProto, job: Job) -> Arrays:
    """Unoptimized for float16: ONNX Runtime 1.31 fuses float16 Q and DQ wrongly (6 dB where 51 are right)."""
    if model is job.gated.model:
        return run_model(model, job.feeds, quantized=job.gated.quantized)
    return oracle.run_all(runtime(oracle.plain_session, model), job.feeds)


def _precision(job: Job) -> str:
    base = "int8" if job.gated.quantized else "fp32"
    return f"{base}+fp16" if job.options.fp16 else base


def _half(model: onnx.ModelProto) -> onnx.ModelProto:
    """TensorRT 11 is strongly typed: what shall run in float16 must be float16 in the model. Float inputs, outputs."""
    opset = next(e.version for e in model.opset_import if e.domain in ("", "ai.onnx"))
    try:
        if opset < _HALF_OPSET:
            model = onnx.version_converter.convert_version(model, _HALF_OPSET)
        half = OnnxModel(convert_float_to_float16(model, keep_io_types=True))
        half.topological_sort()  # the casts at the inputs stand at the end
        return infer(strip(named(half.model)))
    except (RuntimeError, ValueError, onnx.version_converter.ConvertError) as error:
        raise UserError(
            f"the model cannot be converted to float16: {str(error).splitlines()[0]}", hint="Leave out --fp16."
        ) from None


def _reopened(model: onnx.ModelProto, job: Job) -> onnx.ModelProto:
    """The profiled inputs with their dimensions open again; it must run at the smallest and the largest shape."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    profiles = job.options.profiles
    for info in copy.graph.input:
        if info.name in profiles:
            low, _, high = profiles[info.name]
            for axis, dim in enumerate(info.type.tensor_type.shape.dim):
                if low[axis] != high[axis]:
                    dim.dim_param = f"{info.name}_{axis}"
    for info in copy.graph.output:
        info.type.tensor_type.ClearField("shape")
    del copy.graph.value_info[:]
    try:
        copy = onnx.shape_inference.infer_shapes(copy, check_type=True, strict_mode=True, data_prop=True)
        for end in (0, 2):
            feeds = {
                name: job.feeds[name][:1].reshape(-1)[:1].repeat(math.prod(shapes[end])).reshape(1, *shapes[end])
                for name, shapes in profiles.items()
            }
            fixed = {item.name: job.feeds[item.name][:1] for item in inputs_of(model) if item.name not in profiles}
            run_model(copy, {**feeds, **fixed}, quantized=job.gated.quantized)
    except Exception as error:  # ORT's exceptions have no common base of their own
        raise UserError(
            f"the model does not run at every shape of the profile: {str(error).splitlines()[0]}",
            hint="Export it with dynamic dimensions, or fix them with --shape.",
        ) from None
    return copy


def _numbers(job: Job, expected: Arrays) -> Check:
    """Rewriting uint8 scales as symmetric int8 passes every structural check and destroys the answers."""
    what = f"outputs follow the float model (SQNR >= {MIN_SQNR_DB:g} dB)"
    if not job.gated.quantized and not (job.options.fp16 and job.options.trt >= 11):
        return Check("numeric", what, True, "it is the float model")
    if job.reference is None:
        return Check("numeric", what, None, "no float model: pass --reference FLOAT.onnx")
    wanted = run_model(job.reference, job.feeds, quantized=False)
    if set(wanted) != set(expected):
        raise UserError(
            f"the outputs are {', '.join(expected)}, those of the float model {', '.join(wanted)}",
            hint="Give the float model this one was quantized from.",
        )
    same, ratio = agreement(expected, wanted, job.feeds), sqnr_db(expected, wanted)
    detail = f"SQNR {ratio:.1f} dB" + ("" if same is None else f", same class in {same:.1%}")
    return Check("numeric", what, ratio >= MIN_SQNR_DB, detail)


def _settings(job: Job) -> dict[str, Any]:
    """What build_engine.py and build.sh do."""
    options = job.options
    return {
        "tensorrt": options.trt,
        "model": "model_trt.onnx",
        "engine": "model.engine",
        "int8": job.gated.quantized,
        "fp16": options.fp16,
        "profiles": {
            name: dict(zip(("min", "opt", "max"), map(list, shapes), strict=True))
            for name, shapes in options.profiles.items()
        },
    }


def _build_script(settings: dict[str, Any]) -> str:
    """The trtexec line. TensorRT 11 takes types from the model; 10 still wants to be told."""
    words = [f"--onnx={settings['model']}", f"--saveEngine={settings['engine']}", "--timingCacheFile=timing.cache"]
    if settings["tensorrt"] < 11:
        words += [f"--{name}" for name in ("int8", "fp16") if settings[name]]
    for end in ("min", "opt", "max") if settings["profiles"] else ():
        shapes = [f"{name}:{'x'.join(map(str, p[end]))}" for name, p in settings["profiles"].items()]
        words.append(f"--{end}Shapes={','.join(shapes)}")
    words += ["--profilingVerbosity=detailed", "--exportLayerInfo=layers.json"]
    line = " \\\n    ".join(shlex.quote(word) for word in words)
    return (
        "#!/bin/sh\n"
        f"# Builds {settings['engine']} with trtexec of TensorRT {settings['tensorrt']}.x, and measures it.\n"
        f'set -eu\ncd "$(dirname "$0")"\nexec "${{TRTEXEC:-trtexec}}" \\\n    {line} "$@"\n'
    )


def _provider_options(settings: dict[str, Any]) -> dict[str, str]:
    """Of ONNX Runtime's TensorrtExecutionProvider."""
    options = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": "engine_cache",
        "trt_timing_cache_enable": "1",
    }
    if settings["tensorrt"] < 11:
        options |= {"trt_int8_enable": str(int(settings["int8"])), "trt_fp16_enable": str(int(settings["fp16"]))}
    for end in ("min", "opt", "max") if settings["profiles"] else ():
        shapes = [f"{name}:{'x'.join(map(str, p[end]))}" for name, p in settings["profiles"].items()]
        options[f"trt_profile_{end}_shapes"] = ",".join(shapes)
    return options


def _rtx(folder: Path) -> Check:
    what = "tensorrt-rtx parses the model and builds it"
    command = [sys.executable, str(folder / _RUNNER), "--module", "tensorrt_rtx", "--dry-run", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Check("tensorrt-rtx", what, False, f"not done after {_SECONDS} s")
    if done.returncode == 0:
        made = json.loads(done.stdout.splitlines()[-1])
        return Check("tensorrt-rtx", what, True, f"{made['version']}: {made['bytes']} bytes")
    words = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return Check("tensorrt-rtx", what, False, words)
