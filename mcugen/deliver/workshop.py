"""onnxruntime.quantization and what must be known to call it: its silent failures become errors here."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import io
import json
import logging
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.calibrate import create_calibrator, save_tensors_data
from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config, qnn_preprocess_model
from onnxruntime.quantization.quant_utils import QUANT_INPUT_SUFFIX
from onnxruntime.quantization.registry import IntegerOpsRegistry
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from .. import oracle
from ..errors import CheckFailed, UserError
from ..folder import with_folder
from ..prove.progress import Progress
from .calibration import Data, Reader, inputs_of
from .gate import FLOAT, named, quantization_form
from .quantize_options import METHODS, TYPES, WEIGHTED, Options, Target

# With ORT's own 128 bins for 128 levels, entropy has one candidate, the whole range: it would equal minmax.
_HISTOGRAM: Mapping[str, dict[str, Any]] = {"entropy": {"num_bins": 512, "num_quantized_bins": 128}}


class Workshop:
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
            with_folder(options.cache).write_text(json.dumps({**stored, "mcugen_key": self._key()}), encoding="utf-8")

    def run(self, result: Path, raised: tuple[str, ...]) -> None:
        """Write the quantized model; `raised` tensors get more precision."""
        mode = self._options.mode
        with self._listening() as errors:
            if mode == "static":
                self._static(result, raised)
            elif mode == "dynamic":
                self._dynamic(result)
            else:
                onnx.save(self._half(), result)
        if errors:
            raise UserError(f"ONNX Runtime's quantizer reports: {errors[0]}")

    def _half(self) -> onnx.ModelProto:
        return convert_float_to_float16(self._model, keep_io_types=True, node_block_list=self._exclude)

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
            raise UserError(
                f"ONNX Runtime's quantizer refuses the model: {str(error).splitlines()[0]}",
                hint="Take --per-tensor, or leave the layer it stumbles over in float (--exclude NODE).",
            ) from None
        made = onnx.load(result)
        if raised and quantization_form(made) == FLOAT:
            raise CheckFailed(f"the gate was missed until no layer was left in 8 bits ({len(raised)} tensors raised)")
        _check_quantized(made, options, set(exclude))
        if options.target != "tensorrt":
            _check_excluded(made, exclude)
        _check_overrides(made, self._overrides)

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
        if node.op_type not in WEIGHTED or node.name in excluded:
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


def _check_excluded(model: onnx.ModelProto, excluded: list[str]) -> None:
    """When it loads a model, ORT quantizes the weights of a layer that stands alone between Q and DQ."""
    for node in oracle.executed_graph(model).graph.node if excluded else ():
        name = re.sub(r"_token_\d+$", "", node.name)  # as ORT renames what it moves to another layout
        if name in excluded and node.op_type.startswith("Q"):
            raise UserError(
                "ONNX Runtime quantizes the layer again when it loads the model, as both its neighbours are quantized",
                origin=name,
                hint="Exclude the layer before or behind it too.",
            )


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
