"""A float model, quantized for one target: checked, handed to onnxruntime.quantization, and checked again.

ONNX Runtime's tools ignore what they do not know (a node to exclude that is not there, a cache of another model,
a layer they cannot quantize): each of these is an error here. The result is written only if it passes its checks.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from .. import pipeline
from ..emit.artefact import Compiled
from ..errors import CheckFailed, UserError
from ..folder import refuse_unwritable, with_folder
from ..prove.program import library_of
from ..prove.progress import Progress, silent
from ..prove.samples import given_samples
from ..prove.verify import verify
from .calibration import Data, check_values, inputs_of
from .cortex_m import CortexM, measure
from .gate import gate
from .measure import BROKEN_DB, Answers, Score, Subject, check_labels, layer_sqnr, score, task_of
from .quantize_options import TARGETS, Options
from .workshop import Workshop

__all__ = ["TARGETS", "Options", "Quantized", "quantize", "read_float"]

_PROOF_SAMPLES = 8
_RANKING_SAMPLES = 16


@dataclass(frozen=True)
class Quantized:
    """What was written, and how it does on the evaluation samples (None: there were none)."""

    path: Path
    bytes: int
    float_bytes: int
    score: Score | None
    samples: int
    raised: tuple[str, ...]  # tensors --auto-mixed gave more precision
    bit_exact: bool | None  # cortex-m: the compiled C against ONNX Runtime; False: within the float steps' tolerance
    cost: tuple[CortexM, CortexM] | None  # cortex-m, if tensors were raised: all in 8 bits, and as written
    notes: tuple[str, ...]  # what ONNX Runtime's tools had to say


def read_float(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> onnx.ModelProto:
    """A float model through the common gate (fixed shapes, named nodes), of opset 13 or later."""
    gated = gate(path, shapes, prequantized=True)
    if gated.quantized:
        raise UserError(
            f"the model is already quantized ({gated.form})", origin=str(path), hint="Start from the float model."
        )
    opset = next(e.version for e in gated.model.opset_import if e.domain in ("", "ai.onnx"))
    if opset >= 13:  # per-channel QDQ begins there
        return gated.model
    try:
        return onnx.version_converter.convert_version(gated.model, 13)
    except Exception as error:
        raise UserError(
            f"opset {opset} cannot be converted to 13: {str(error).splitlines()[0]}",
            origin=str(path),
            hint="Export the model for opset 13 or later.",
        ) from None


def quantize(
    source: Path,
    output: Path,
    options: Options,
    calibration: Data | None = None,
    evaluation: Data | None = None,
    labels: np.ndarray | None = None,
    progress: Progress = silent,
) -> Quantized:
    """Quantize `source` and write `output` if it passes.

    calibration  needed by static mode; also the evaluation samples if there are no others
    UserError for what cannot be quantized, CheckFailed for a result that misses the gate, or whose C is not exact
    (behind layers left in float: not within their tolerance).
    """
    target = options.checked()
    refuse_unwritable(output)
    refuse_unwritable(options.cache)
    if output.exists() and output.samefile(source):
        raise UserError("it would replace the float model", origin=str(output), hint="Choose another -o.")
    model = read_float(source, options.shapes)
    if options.mode == "static" and calibration is None:
        raise UserError("static quantization needs sample inputs", hint="Pass --calibration X.npz, or a folder.")
    for given in filter(None, (calibration, evaluation)):
        check_values(given)
    data = evaluation or calibration
    if (options.auto_mixed or options.gate is not None) and data is None:
        raise UserError("the gate needs samples to evaluate", hint="Pass --data X.npz.")
    with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
        work = Workshop(model, options, target, Path(scratch), calibration, progress)
        result = work.folder / "result.onnx"
        judge = None if data is None else _Judge(model, data, labels, progress)
        raised: tuple[str, ...] = ()
        plain: Compiled | None = None  # all in 8 bits
        work.run(result, ())
        judged = None if judge is None else judge(result)
        limit = options.gate if options.gate is not None else (1.0 if options.auto_mixed else None)
        if options.auto_mixed and judged is not None and limit is not None and not judged.passes(limit):
            assert judge is not None and data is not None
            ranked = _worst_first(work.float_model, result, data)[: options.auto_mixed]
            if options.target == "cortex-m":
                plain = _compile(result, output, options)
            for count in range(1, len(ranked) + 1):
                raised = tuple(ranked[:count])
                work.run(result, raised)
                judged = judge(result)
                if judged.passes(limit):
                    break
        if judged is not None and limit is not None and not judged.passes(limit):
            after = f" with {len(raised)} tensors raised" if raised else ""
            raise CheckFailed(f"{source.name}{after}: {judged.verdict(limit)}. Nothing was written.")
        exact, cost = None, None
        if options.target == "cortex-m":
            assert calibration is not None
            compiled = _compile(result, output, options)
            exact = _prove(compiled, calibration, output, options, progress)
            if plain is not None and raised:
                sample, linked = calibration.sample(0), options.cmsis_nn
                cost = measure(plain, sample, linked, progress)[0], measure(compiled, sample, linked, progress)[0]
        shutil.copyfile(result, with_folder(output))
    return Quantized(
        output,
        output.stat().st_size,
        source.stat().st_size,
        judged,
        0 if data is None else data.count,
        raised,
        exact,
        cost,
        tuple(work.notes),
    )


class _Judge:
    """Scores files against the float model, which is run once."""

    def __init__(self, model: onnx.ModelProto, data: Data, labels: np.ndarray | None, progress: Progress) -> None:
        self._inputs = inputs_of(model)
        self._data, self._labels, self._progress = data, labels, progress
        self._reference = self._answers(model, "the float model")
        self._task = task_of(self._inputs, self._reference)
        if labels is not None:
            check_labels(labels, self._task, self._reference)

    def _answers(self, model: onnx.ModelProto, name: str) -> Answers:
        subject = Subject(model, self._inputs, name)
        with self._progress(f"running {name}", self._data.count) as advance:
            return subject.answers(self._data, advance)

    def __call__(self, path: Path) -> Score:
        answers = self._answers(onnx.load(path), "the quantized model")
        judged = score(self._reference, answers, self._labels, self._task)
        if judged.sqnr_db < BROKEN_DB:
            raise CheckFailed(
                f"the quantized model does not follow the float model: SQNR {judged.sqnr_db:.1f} dB. "
                "Calibrate with samples like those it will see, or take --method minmax."
            )
        return judged


def _worst_first(float_model: Path, qdq_model: Path, data: Data) -> list[str]:
    """Quantized activations, the noisiest first: by their own noise, which is where a loss starts.

    Noise from before would put the last layers first, whatever they do.
    """
    ratios = layer_sqnr(float_model, qdq_model, data.first(_RANKING_SAMPLES), own=True)
    return sorted(ratios, key=lambda name: (ratios[name], name))


def _compile(result: Path, output: Path, options: Options) -> Compiled:
    return pipeline.compile(result, pipeline.Options(name=output.stem, library=library_of(options.cmsis_nn)))


def _prove(compiled: Compiled, calibration: Data, output: Path, options: Options, progress: Progress) -> bool:
    """Hold the C against ONNX Runtime on a few calibration samples: is it equal? CheckFailed if not even close."""
    samples = given_samples(compiled, calibration.feeds, Path(calibration.source), _PROOF_SAMPLES)
    checked = verify(compiled, samples, cmsis_nn=options.cmsis_nn, progress=progress)
    if not checked.passed:
        raise CheckFailed(
            f"{output.name}: {checked.mismatches} of {checked.values} output values of the compiled C differ from "
            f"ONNX Runtime's (at most {checked.max_lsb} steps). {checked.first_difference}. Nothing was written."
        )
    return checked.bit_exact
