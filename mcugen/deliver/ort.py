"""ONNX Runtime on Cortex-A and x86: an optimized model, the .ort file, and a script that checks and measures.

model.ort is the one file of a bundle that is not reproducible: ONNX Runtime writes its tables in an order that changes.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import tempfile
from pathlib import Path

import onnx
import onnxruntime
from onnxruntime.tools.convert_onnx_models_to_ort import OptimizationStyle, convert_onnx_models_to_ort

from .. import oracle
from ..errors import UserError
from .bundle import Check, Job, Outcome, template, write_json, write_reference
from .gate import QDQ, QOPERATOR
from .reference import Arrays, differing, largest_difference, run_model

TOLERANCE = 1e-5  # of float outputs: the order of summation differs between graphs
# What a static quantized model must not compute in float.
_HEAVY = {"Conv", "FusedConv", "ConvTranspose", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"}
# As for an Arm target: x86's own rewriting of int8 to uint8 stays out of the file.
_PORTABLE = {"session.qdqisint8allowed": "1", "session.x64quantprecision": "0"}
_RUNNER = "run_ort.py"


def make(job: Job, folder: Path) -> Outcome:
    gated = job.gated
    static = gated.form in (QDQ, QOPERATOR)
    # With its own scale and zero point for each Q and DQ node it loads under every session option.
    model = oracle.unshare_qdq(gated.model)
    onnx.save(model, folder / "model.onnx")
    runtime_config = {k: v for k, v in oracle.session_options(model).items() if k.startswith("session.")}
    config = runtime_config if gated.quantized else {}
    with job.progress("running, optimizing, converting", 5) as advance:
        expected = run_model(model, job.feeds, quantized=gated.quantized)
        advance()
        _optimize(folder, config)
        advance()
        _convert(folder)
        advance()
        produced = {}
        for name in ("model.optimized.onnx", "model.ort"):
            produced[name] = _run(folder / name, job.feeds, config)
            advance()
    optimized = onnx.load(folder / "model.optimized.onnx")
    checks = [
        _equal("O1", "model.optimized.onnx", produced["model.optimized.onnx"], expected, static),
        _equal("O2", "model.ort", produced["model.ort"], expected, static),
    ]
    checks += [_portable(optimized, folder), _integer(optimized, job.options.exclude, static)]
    session = {
        "graph_optimization_level": "ORT_ENABLE_ALL",
        "intra_op_num_threads": "min(4, cores)",
        "inter_op_num_threads": 1,
        "enable_cpu_mem_arena": True,
        "config": config,
        "tolerance": 0.0 if static else TOLERANCE,
    }
    write_reference(folder, job, expected)
    write_json(folder / "session.json", session)
    (folder / _RUNNER).write_text(template(_RUNNER), encoding="utf-8")
    return Outcome(
        model=model,
        checks=tuple(checks),
        runner=_RUNNER,
        facts={"session": session, "verified": True},
        usage=(
            "python run_ort.py                        check against reference_io.npz, then measure",
            "python run_ort.py --model model.onnx     the same with the plain ONNX file",
            "python run_ort.py --threads 1 --json",
        ),
        notes=(
            "`model.ort` is for minimal builds: `build.sh --minimal_build --include_ops_by_config "
            "required_operators_and_types.config`. XNNPACK is not in the wheels for x86-64 and aarch64.",
        ),
    )


def _optimize(folder: Path, config: dict[str, str]) -> None:
    """EXTENDED, not LAYOUT or ALL: those bake in this machine's blocked layouts."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "model.optimized.onnx")
    options.log_severity_level = 4
    for key, value in (config | _PORTABLE).items():
        options.add_session_config_entry(key, value)
    onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])


def _convert(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
        source = Path(scratch) / "model.onnx"
        shutil.copyfile(folder / "model.onnx", source)
        logging.getLogger("ort_format_model.utils").setLevel(logging.WARNING)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                convert_onnx_models_to_ort(
                    source,
                    output_dir=Path(scratch) / "out",
                    optimization_styles=[OptimizationStyle.Fixed],
                    target_platform="arm",
                    enable_type_reduction=True,
                )
        except Exception as error:  # whatever the session inside raises
            raise UserError(f"ONNX Runtime cannot convert the model to .ort: {str(error).splitlines()[0]}") from None
        made = Path(scratch) / "out"
        shutil.copyfile(made / "model.ort", folder / "model.ort")
        config = next(made.glob("*.config")).read_text(encoding="utf-8")
    # Its head names the folder it was made in.
    lines = [line for line in config.splitlines() if not line.startswith("#")]
    (folder / "required_operators_and_types.config").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _run(path: Path, feeds: Arrays, config: dict[str, str]) -> Arrays:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    for key, value in config.items():
        options.add_session_config_entry(key, value)
    return oracle.run_all(onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]), feeds)


def _equal(check: str, name: str, got: Arrays, want: Arrays, exact: bool) -> Check:
    label = f"{name} equals model.onnx"
    if exact:
        number, total = differing(got, want), sum(array.size for array in want.values())
        return Check(check, label, number == 0, f"{number} of {total} values differ")
    gap = largest_difference(got, want)
    return Check(check, f"{label} within {TOLERANCE:g}", gap <= TOLERANCE, f"largest difference {gap:.3g}")


def _portable(optimized: onnx.ModelProto, folder: Path) -> Check:
    found = [node.name for node in optimized.graph.node if "nchwc" in node.domain]
    listed = "nchwc" in (folder / "required_operators_and_types.config").read_text(encoding="utf-8")
    return Check(
        "O3",
        "no node of this machine's own layout (com.microsoft.nchwc)",
        not found and not listed,
        ", ".join(found[:4]),
    )


def _integer(optimized: onnx.ModelProto, exclude: tuple[str, ...], static: bool) -> Check:
    what = "a static quantized model keeps no float Conv, Gemm or MatMul"
    if not static:
        return Check("O4", what, True, "not a static quantized model")
    left = [node for node in optimized.graph.node if node.op_type in _HEAVY and node.name not in exclude]
    detail = ", ".join(f"{node.name} ({node.op_type})" for node in left[:4])
    return Check("O4", what, not left, f"{detail}; name the intended ones with --exclude" if left else "")
