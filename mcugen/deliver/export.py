"""`mcugen export`: a model becomes a bundle for one target. Complete, checked, or not there at all.

gate -> quantize (with --calibration) -> the target's files and checks -> reference I/O, README, report, manifest
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from ..errors import CheckFailed, UserError
from ..folder import refuse_foreign, staged
from ..prove.progress import Progress, silent
from . import ort, qnn, tensorrt
from .bundle import Job, Options, Outcome, finish
from .calibration import inputs_of, load_data
from .gate import FLOAT, Gated, gate
from .quantize import quantize
from .quantize_options import Options as QuantizeOptions
from .reference import reference_feeds

Shapes = dict[str, tuple[int, ...]]
TARGETS: dict[str, Callable[[Job, Path], Outcome]] = {"ort": ort.make, "qnn": qnn.make, "tensorrt": tensorrt.make}

# What a target refuses before any work is done.
EARLY: dict[str, Callable[[Options], None]] = {"qnn": qnn.check_options, "tensorrt": tensorrt.check_options}


def export(path: Path, folder: Path, options: Options, progress: Progress = silent) -> dict[str, Any]:
    """Write the bundle to `folder` and return its manifest.

    UserError: the model or an option cannot be exported. CheckFailed: a check of the target did not hold. In both
    cases nothing is written.
    """
    refuse_foreign(folder)
    if options.target in EARLY:
        EARLY[options.target](options)
    # With a profile, all work is done at its smallest shape: the one that single samples have.
    shapes = {**options.shapes, **{name: shapes[0] for name, shapes in options.profiles.items()}}
    gated = gate(path, shapes, prequantized=options.prequantized)
    reference = _reference(gated, options, shapes)
    if options.calibration is not None:
        gated = _quantized(path, gated, options, shapes, progress)
    feeds, samples = reference_feeds(gated.model, options.inputs or options.calibration, options.images)
    job = Job(gated, reference, feeds, samples, options, progress)
    with staged(folder) as staging:
        outcome = TARGETS[options.target](job, staging)
        failed = [check for check in outcome.checks if check.passed is False]
        if failed:
            lines = [f"{check.id} {check.what}: {check.detail}".rstrip(": ") for check in failed]
            raise CheckFailed(f"{path.name} for {options.target}\n  " + "\n  ".join(lines))
        return finish(job, outcome, staging)


def _reference(gated: Gated, options: Options, shapes: Shapes) -> onnx.ModelProto | None:
    """The float model, if there is one: the input itself, or --reference beside a prequantized one."""
    if gated.form == FLOAT:
        if options.reference is not None:
            raise UserError("--reference is for prequantized models: this one is float", hint="Leave it out.")
        return gated.model
    if options.calibration is not None:
        raise UserError(
            f"the model is already quantized ({gated.form}), --calibration cannot quantize it again",
            origin=gated.source,
            hint="Leave out --calibration, or export the float model.",
        )
    if options.reference is None:
        return None
    return gate(options.reference, shapes, prequantized=False).model


def _quantized(path: Path, gated: Gated, options: Options, shapes: Shapes, progress: Progress) -> Gated:
    """The float model as the target wants it: `mcugen quantize` with its own rules for each."""
    assert options.calibration is not None
    samples = load_data(options.calibration, inputs_of(gated.model), options.images)
    wanted = QuantizeOptions(options.target, exclude=options.exclude, shapes=shapes)
    with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
        result = quantize(path, Path(scratch) / "quantized.onnx", wanted, samples, progress=progress)
        made = gate(result.path, {}, prequantized=True)
    return replace(made, source=gated.source, sha256=gated.sha256)
