"""A float model, quantized for one target: checked, handed to onnxruntime.quantization, and checked again.

ONNX Runtime's tools ignore what they do not know (a node to exclude that is not there, a cache of another model,
a layer they cannot quantize): each of these is an error here. The result is written only if it passes its checks.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import io
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.calibrate import create_calibrator, save_tensors_data
from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config, qnn_preprocess_model
from onnxruntime.quantization.quant_utils import QUANT_INPUT_SUFFIX
from onnxruntime.quantization.registry import IntegerOpsRegistry
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from .. import pipeline
from ..errors import CheckFailed, UserError
from ..prove.progress import Progress, silent
from ..prove.samples import load_samples
from ..prove.verify import verify
from .calibration import Data, Input, Reader, check_values, inputs_of
from .gate import FLOAT, gate, named, quantization_form
from .measure import BROKEN_DB, Answers, Score, Subject, layer_sqnr, score, task_of

MODES = ("static", "dynamic", "fp16")
FORMATS = ("qdq", "qoperator")
# Distribution, ORT's fourth, gave models that agree with nothing.
METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
# With ORT's own 128 bins for 128 levels, entropy has one candidate, the whole range: it would equal minmax.
_HISTOGRAM: Mapping[str, dict[str, Any]] = {"entropy": {"num_bins": 512, "num_quantized_bins": 128}}
TYPES = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8, "u16": QuantType.QUInt16, "s16": QuantType.QInt16}

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_PROOF_SAMPLES = 8
_RANKING_SAMPLES = 16


@dataclass(frozen=True)
class Target:
    """What a target takes.

    activation  per format; weights are s8 everywhere
    overrides   other types an activation may have
    raises      how --auto-mixed gives a tensor more precision: a type, "float" (its nodes are excluded), or None
    """

    modes: tuple[str, ...]
    activation: Mapping[str, str]
    overrides: tuple[str, ...] = ()
    raises: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


TARGETS: Mapping[str, Target] = {
    # ORT has no QGemm kernel for s8 in QOperator form.
    "cortex-m": Target(("static",), {"qdq": "s8", "qoperator": "u8"}),
    "ort": Target(MODES, {"qdq": "u8", "qoperator": "u8"}, ("u8", "s8", "u16", "s16"), "u16"),
    # HTP takes dynamic models silently, and runs them in float.
    "qnn": Target(("static", "fp16"), {"qdq": "u8"}, ("u8", "u16"), "u16"),
    "tensorrt": Target(
        ("static", "fp16"),
        {"qdq": "s8"},
        (),
        "float",
        {
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "AddQDQPairToWeight": True,
            "QuantizeBias": False,
            # uint8 saturation would hide a Relu or Clip; symmetric int8 cannot.
            "QDQKeepRemovableActivations": True,
            "OpTypesToExcludeOutputQuantization": list(_WEIGHTED),
        },
    ),
}


@dataclass(frozen=True)
class Options:
    """What is asked for; `checked` refuses what the target cannot take.

    gate          points of accuracy (without labels: % of answers) that may be lost, exclusive; None = not gated
    percentile    of `--method percentile`, 0 to 100
    op_types      of dynamic mode
    """

    target: str
    mode: str = "static"
    format: str = "qdq"
    method: str = "minmax"
    percentile: float = 99.999
    per_channel: bool = True
    exclude: tuple[str, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)
    auto_mixed: int = 0
    gate: float | None = None
    cache: Path | None = None
    op_types: tuple[str, ...] = ("MatMul", "Gemm")
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def checked(self) -> Target:
        if self.target not in TARGETS:
            raise UserError(f"unknown target {self.target!r}", hint=f"Known: {', '.join(TARGETS)}.")
        target = TARGETS[self.target]
        where = f"--for {self.target}"
        if self.mode not in target.modes:
            raise UserError(f"mode {self.mode} is not for it", origin=where, hint=f"Take {' or '.join(target.modes)}.")
        if self.mode != "static":
            for name, asked in {
                "--override": self.overrides,
                "--auto-mixed": self.auto_mixed,
                "--calibration-cache": self.cache,
            }.items():
                if asked:
                    raise UserError(f"{name} needs activations with fixed scales", hint="Take --mode static.")
        elif self.format not in target.activation:
            raise UserError(f"format {self.format} is not for it", origin=where, hint="Take qdq.")
        for name, type_name in self.overrides.items():
            if type_name not in target.overrides or self.format != "qdq":
                known = f"It takes: {', '.join(target.overrides)}." if target.overrides else "Leave --override out."
                known = known if self.format == "qdq" else "Take --format qdq."
                raise UserError(f"{name}: an activation of type {type_name} is not for it", origin=where, hint=known)
        if self.auto_mixed and (target.raises is None or self.format != "qdq"):
            raise UserError(
                "--auto-mixed has nothing to raise a tensor to: it takes 8-bit tensors of one type only",
                origin=f"{where} --format {self.format}",
                hint="Try --method percentile or entropy, or more calibration samples.",
            )
        return target


@dataclass(frozen=True)
class Quantized:
    """What was written, and how it does on the evaluation samples (None: there were none)."""

    path: Path
    bytes: int
    float_bytes: int
    score: Score | None
    samples: int
    raised: tuple[str, ...]  # tensors --auto-mixed gave more precision
    bit_exact: bool | None  # cortex-m: the compiled C against ONNX Runtime
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
    UserError for what cannot be quantized, CheckFailed for a result that misses the gate or is not bit-exact.
    """
    target = options.checked()
    model = read_float(source, options.shapes)
    if options.mode == "static" and calibration is None:
        raise UserError("static quantization needs sample inputs", hint="Pass --calibration X.npz, or a folder.")
    if calibration is not None:
        check_values(calibration)
    data = evaluation or calibration
    if (options.auto_mixed or options.gate is not None) and data is None:
        raise UserError("the gate needs samples to evaluate", hint="Pass --data X.npz.")
    with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
        work = _Work(model, options, target, Path(scratch), calibration, progress)
        result = work.folder / "result.onnx"
        judge = None if data is None else _Judge(model, data, labels, progress)
        raised: tuple[str, ...] = ()
        work.run(result, ())
        judged = None if judge is None else judge(result)
        limit = options.gate if options.gate is not None else (1.0 if options.auto_mixed else None)
        if options.auto_mixed and judged is not None and limit is not None and not judged.passes(limit):
            assert judge is not None and data is not None
            ranked = _worst_first(work.float_model, result, data)[: options.auto_mixed]
            for count in range(1, len(ranked) + 1):
                raised = tuple(ranked[:count])
                work.run(result, raised)
                judged = judge(result)
                if judged.passes(limit):
                    break
        if judged is not None and limit is not None and not judged.passes(limit):
            after = f" with {len(raised)} tensors raised" if raised else ""
            raise CheckFailed(f"{source.name}{after}: {judged.verdict(limit)}. Nothing was written.")
        exact = _prove(result, calibration, output, progress) if options.target == "cortex-m" else None
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(result, output)
    return Quantized(
        output,
        output.stat().st_size,
        source.stat().st_size,
        judged,
        0 if data is None else data.count,
        raised,
        exact,
        tuple(work.notes),
    )


class _Judge:
    """Scores files against the float model, which is run once."""

    def __init__(self, model: onnx.ModelProto, data: Data, labels: np.ndarray | None, progress: Progress) -> None:
        self._inputs: tuple[Input, ...] = inputs_of(model)
        self._data, self._labels, self._progress = data, labels, progress
        self._reference = self._answers(model, "the float model")
        self._task = task_of(self._inputs, self._reference)
        if labels is not None and self._task != "classify":
            raise UserError("labels need a model whose first output is one row of class scores")

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


class _Work:
    """One float model, pre-processed, that may be quantized several times from one calibration."""

    def __init__(
        self,
        model: onnx.ModelProto,
        options: Options,
        target: Target,
        folder: Path,
        calibration: Data | None,
        progress: Progress,
    ) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self._options, self._target = options, target
        self._calibration, self._progress = calibration, progress
        self.float_model = folder / "float.onnx"
        self._model = self._pre_process(model)
        self._exclude = [self._node(name, "--exclude").name for name in options.exclude]
        self._overrides = {self._tensor(name): options.overrides[name] for name in options.overrides}
        self._cache = self._open_cache()

    def _pre_process(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """ORT's own clean-up, which folds BatchNormalization into Conv. It only logs its failures."""
        raw = self.folder / "raw.onnx"
        onnx.save(model, raw)
        with self._listening() as errors:
            # Shapes are fixed, so symbolic inference (which needs sympy) would find nothing more.
            quant_pre_process(str(raw), str(self.float_model), skip_symbolic_shape=True)
        if errors:
            raise UserError(f"ONNX Runtime cannot pre-process the model: {errors[0]}", hint="Export it again.")
        self._original = model
        done = onnx.load(self.float_model)
        if self._options.target == "qnn" and self._options.mode == "static":
            del done.metadata_props[:]  # qnn_preprocess_model raises TypeError on them
            onnx.save(done, self.float_model)
            changed = self.folder / "qnn.onnx"
            if qnn_preprocess_model(str(self.float_model), str(changed)):
                done = onnx.load(changed)
        done = named(done)
        onnx.save(done, self.float_model)
        return done

    @contextlib.contextmanager
    def _listening(self) -> Iterator[list[str]]:
        """Collect what ORT's tools log and print: errors are yielded, warnings become notes, stdout stays clean."""
        errors: list[str] = []
        notes = self.notes

        class Ear(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                text = record.getMessage().splitlines()[0]
                if record.levelno >= logging.ERROR:
                    errors.append(text)
                elif record.levelno == logging.WARNING and text not in notes and "pre-process" not in text:
                    notes.append(text)

        root, ear = logging.getLogger(), Ear()
        before = root.handlers[:]
        root.handlers[:] = [ear]
        try:
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", UserWarning)
                yield errors
        finally:
            root.handlers[:] = before
        texts = [str(w.message).splitlines()[0] for w in caught if issubclass(w.category, UserWarning)]
        if texts:
            notes.append(texts[0] + (f" (and {len(texts) - 1} more like it)" if len(texts) > 1 else ""))

    def _node(self, name: str, option: str) -> onnx.NodeProto:
        """The node of that name, or the one that pre-processing merged it into."""
        nodes = {n.name: n for n in self._model.graph.node}
        if name in nodes:
            return nodes[name]
        makers = {o: n for n in self._model.graph.node for o in n.output}
        node = next((n for n in self._original.graph.node if n.name == name), None)
        while node is not None:
            if node.output[0] in makers:
                return makers[node.output[0]]
            wanted = node.output[0]
            node = next((n for n in self._original.graph.node if wanted in n.input), None)
        raise self._unknown(name, list(nodes), option, "node")

    def _tensor(self, name: str) -> str:
        """An activation by its own name or by that of the node that makes it."""
        tensors = [i.name for i in inputs_of(self._model)]
        tensors += [o for n in self._model.graph.node for o in n.output]
        if name in tensors:
            return name
        if any(n.name == name for g in (self._model.graph, self._original.graph) for n in g.node):
            return self._node(name, "--override").output[0]
        raise self._unknown(name, tensors, "--override", "tensor or node")

    def _unknown(self, name: str, known: list[str], option: str, kind: str) -> UserError:
        near = difflib.get_close_matches(name, known, n=3) or known[:3]
        return UserError(f"the model has no {kind} {name!r}", origin=option, hint=f"Did you mean: {', '.join(near)}?")

    def _open_cache(self) -> Path:
        """A copy of the cache, or a path for a new one. A cache of other data would be used without a word."""
        private = self.folder / "ranges.json"
        cache = self._options.cache
        if cache is not None and cache.exists():
            try:
                stored = json.loads(cache.read_text(encoding="utf-8"))
                key = stored["mcugen_key"]
            except (OSError, ValueError, KeyError, TypeError):
                raise UserError("not a calibration cache of mcugen", origin=str(cache), hint="Delete it.") from None
            if key != self._key():
                raise UserError(
                    "the cache was made from another model, other samples or another method",
                    origin=str(cache),
                    hint="Delete it, or name another file.",
                )
            shutil.copyfile(cache, private)
        return private

    def _key(self) -> dict[str, Any]:
        """What the ranges depend on."""
        assert self._calibration is not None
        return {
            "model": _sha256(self._model),
            "samples": self._calibration.sha256,
            "method": self._options.method,
            "percentile": self._options.percentile if self._options.method == "percentile" else None,
        }

    def _calibrate(self) -> None:
        """Find the range of every tensor, once. Not left to quantize_static: it cannot pass the histogram's size on."""
        options = self._options
        if self._cache.exists():
            return
        assert self._calibration is not None
        calibrator = create_calibrator(
            self.float_model,
            augmented_model_path=str(self.folder / "augmented.onnx"),
            calibrate_method=METHODS[options.method],
            extra_options=_HISTOGRAM.get(options.method, {}) | {"percentile": options.percentile},
        )
        with self._progress("calibrating", self._calibration.count) as advance:
            calibrator.collect_data(Reader(self._calibration, advance))
        with self._progress("finding ranges", 0):
            save_tensors_data(calibrator.compute_data(), self._cache)
        if options.cache is not None:
            stored = json.loads(self._cache.read_text(encoding="utf-8"))
            options.cache.parent.mkdir(parents=True, exist_ok=True)
            options.cache.write_text(json.dumps({**stored, "mcugen_key": self._key()}), encoding="utf-8")

    def run(self, result: Path, raised: tuple[str, ...]) -> None:
        """Write the quantized model; `raised` tensors get more precision."""
        mode = self._options.mode
        with self._listening() as errors:
            if mode == "static":
                self._static(result, raised)
            elif mode == "dynamic":
                self._dynamic(result)
            else:
                onnx.save(convert_float_to_float16(self._model, keep_io_types=True), result)
        if errors:
            raise UserError(f"ONNX Runtime's quantizer reports: {errors[0]}")

    def _static(self, result: Path, raised: tuple[str, ...]) -> None:
        options, target = self._options, self._target
        exclude = list(self._exclude)
        overrides = dict(self._overrides)
        if target.raises == "float":
            # A tensor stays float only if all that make and read it do.
            exclude += [n.name for n in self._model.graph.node if {*n.input, *n.output} & {*raised}]
        elif target.raises is not None:
            overrides.update(dict.fromkeys(raised, target.raises))
        types: dict[str, list[dict[str, Any]]] = {name: [{"quant_type": TYPES[t]}] for name, t in overrides.items()}
        extra = dict(target.options)
        op_types = None
        activation = TYPES[target.activation[options.format]]
        if options.target == "qnn":
            config = get_qnn_qdq_config(
                str(self.float_model),
                None,  # the ranges are known
                activation_type=activation,
                weight_type=QuantType.QInt8,
                per_channel=options.per_channel,
                init_overrides=types,
                nodes_to_exclude=exclude,
            )
            extra, op_types = config.extra_options, config.op_types_to_quantize
        elif types:
            extra["TensorQuantOverrides"] = types
        try:
            self._calibrate()
            quantize_static(
                str(self.float_model),
                str(result),
                quant_format=QuantFormat.QDQ if options.format == "qdq" else QuantFormat.QOperator,
                op_types_to_quantize=op_types,
                per_channel=options.per_channel,
                activation_type=activation,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=exclude,
                calibrate_method=METHODS[options.method],
                extra_options=extra,
                calibration_cache_path=self._cache,
            )
        except (ValueError, RuntimeError, TypeError) as error:
            raise UserError(f"ONNX Runtime's quantizer refuses the model: {str(error).splitlines()[0]}") from None
        _check_quantized(onnx.load(result), options, set(exclude))
        _check_overrides(onnx.load(result), self._overrides)

    def _dynamic(self, result: Path) -> None:
        options = self._options
        known = sorted({*IntegerOpsRegistry, "Gemm"})
        for op in options.op_types:
            if op not in known:
                raise UserError(
                    f"dynamic mode cannot quantize {op}", origin="--op-type", hint=f"It knows: {', '.join(known)}."
                )
        # ORT rewrites each Gemm as a MatMul of another name before it looks at types and names.
        op_types = {"MatMul" if op == "Gemm" else op for op in options.op_types}
        quantize_dynamic(
            str(self.float_model),
            str(result),
            op_types_to_quantize=sorted(op_types),
            per_channel=options.per_channel,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[*self._exclude, *(f"{name}_MatMul" for name in self._exclude)],
        )
        if quantization_form(onnx.load(result)) == FLOAT:
            raise UserError(
                f"nothing was quantized: the model has no {' or '.join(options.op_types)} with constant weights",
                hint="Name other operators with --op-type, or take --mode static.",
            )


def _sha256(model: onnx.ModelProto) -> str:
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def _check_quantized(model: onnx.ModelProto, options: Options, excluded: set[str]) -> None:
    """No layer with weights may have been left in float without being asked for."""
    makers = {o: n.op_type for n in model.graph.node for o in n.output}
    kept = []
    for node in model.graph.node:
        if node.op_type not in _WEIGHTED or node.name in excluded:
            continue
        if options.format == "qoperator" or any(makers.get(name) != "DequantizeLinear" for name in node.input[:2]):
            kept.append(node)
    if kept:
        raise UserError(
            f"ONNX Runtime left {len(kept)} of its layers in float, {kept[0].op_type} first",
            origin=kept[0].name,
            hint=f"Exclude it by name if that is meant (--exclude {kept[0].name})"
            + (", or take --format qdq." if options.format == "qoperator" else "."),
        )
    if quantization_form(model) == FLOAT:
        raise UserError("nothing was quantized: the model has no operator that can be")


def _check_overrides(model: onnx.ModelProto, overrides: Mapping[str, str]) -> None:
    """ORT forgets the type of a tensor that it does not quantize."""
    constants = {i.name: i.data_type for i in model.graph.initializer}
    quantized: dict[str, set[int]] = {}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            name = node.input[0].removesuffix(QUANT_INPUT_SUFFIX)
            quantized.setdefault(name, set()).add(constants[node.input[2]])
    for name, kind in overrides.items():
        if TYPES[kind].tensor_type not in quantized.get(name, ()):
            raise UserError(
                f"the tensor {name!r} is not quantized by itself: it cannot become {kind}",
                origin="--override",
                hint="It was merged into the operator behind it, or is of the type of its input: name that one.",
            )


def _worst_first(float_model: Path, qdq_model: Path, data: Data) -> list[str]:
    """Quantized activations, the noisiest first. (ORT calls the SQNR `xmodel_err`: small means bad.)"""
    ratios = layer_sqnr(float_model, qdq_model, data.first(_RANKING_SAMPLES))
    return sorted(ratios, key=lambda name: (ratios[name], name))


def _prove(result: Path, calibration: Data | None, output: Path, progress: Progress) -> bool:
    """Compile the model and hold the C against ONNX Runtime on a few calibration samples."""
    assert calibration is not None
    compiled = pipeline.compile(result, pipeline.Options(name=output.stem))
    kept = calibration.first(_PROOF_SAMPLES)
    archive = result.with_suffix(".npz")
    with archive.open("wb") as stream:
        np.savez(stream, **kept.feeds)  # type: ignore[arg-type]
    checked = verify(compiled, load_samples(compiled, archive, None), progress=progress)
    if not checked.bit_exact:
        raise CheckFailed(
            f"{output.name}: {checked.mismatches} of {checked.values} output values of the compiled C differ from "
            f"ONNX Runtime's (at most {checked.max_lsb} steps). {checked.first_difference}. Nothing was written."
        )
    return True
