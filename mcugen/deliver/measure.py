"""How far a variant is from its float model: what quantize gates on and compare shows.

Every session is the pinned one of oracle.py. A variant may take and give 8-bit values; it is fed and read in real
numbers, by the scales it carries itself.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import qdq_loss_debug

from .. import oracle
from ..errors import UserError
from ..prove.feeds import Input
from .calibration import Data, Reader, inputs_of
from .gate import runtime
from .reference import gives_classes, sqnr_db
from .wires import Scale, Wires

MIN_SQNR_DB = 20.0
"""The gate where outputs are no classes: noise at a hundredth of the signal's power."""

BROKEN_DB = 3.0
"""Below it no gate is needed to know: the noise has half the signal's power, as after saturation everywhere."""


@dataclass(frozen=True)
class Answers:
    """Real numbers, samples along the first axis."""

    outputs: tuple[np.ndarray, ...]
    logits: np.ndarray | None  # of the first output, if a Softmax makes it


class Subject:
    """A model that can be run on the float model's samples."""

    def __init__(self, model: onnx.ModelProto, float_inputs: tuple[Input, ...], origin: str) -> None:
        self.model = model
        self._wires = Wires(model)
        self._origin = origin
        self._inputs = inputs_of(model)
        self._float_inputs = float_inputs
        self.session = runtime(oracle.pinned_session, model)
        self.inputs = tuple(self._match(index, item) for index, item in enumerate(self._inputs))

    def _match(self, index: int, item: Input) -> tuple[Input, str, Scale | None]:
        """(the variant's input, the float model's name of it, the scale if it must be quantized)."""
        known = {i.name: i for i in self._float_inputs}
        alone = len(self._float_inputs) == len(self._inputs) == 1
        source = known.get(item.name) or (self._float_inputs[0] if alone else None)
        if source is None or source.shape != item.shape:
            raise UserError(
                f"its input {item.name!r} {list(item.shape)} is not one of the float model's: "
                + ", ".join(f"{i.name!r} {list(i.shape)}" for i in self._float_inputs),
                origin=self._origin,
                hint="Compare variants of the same model.",
            )
        if source.dtype == item.dtype:
            return item, source.name, None
        scale = self._wires.scale_of_input(item.name)
        if scale is None or scale.dtype != item.dtype:
            raise UserError(
                f"its input {item.name!r} is {item.dtype}, the float model's is {source.dtype}; no scale relates them",
                origin=self._origin,
                hint="Quantize the float model with float inputs, or give each 8-bit input a DequantizeLinear.",
            )
        return item, source.name, scale

    def feeds(self, sample: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {
            item.name: sample[source] if scale is None else scale.quantized(sample[source])
            for item, source, scale in self.inputs
        }

    def answers(self, data: Data, advance: Callable[[], None] = lambda: None) -> Answers:
        names = [o.name for o in self.model.graph.output]
        found = self._wires.logits(names[0])
        probe, session = "", self.session
        if found is not None:
            probe = found[0]
            if probe not in names:
                copy = onnx.ModelProto()
                copy.CopyFrom(self.model)
                copy.graph.output.append(onnx.ValueInfoProto(name=probe))
                session = oracle.pinned_session(copy)
        rows: list[list[np.ndarray]] = []
        for index in range(data.count):
            wanted = [*names, probe] if probe else names
            rows.append(session.run(wanted, self.feeds(data.sample(index))))
            advance()
        columns = [np.stack([row[slot] for row in rows]) for slot in range(len(rows[0]))]
        outputs = tuple(
            self._real(array, self._wires.scale_of_output(name)) for array, name in zip(columns, names, strict=False)
        )
        logits = None if found is None else self._real(columns[-1], found[1])
        return Answers(outputs, logits)

    def _real(self, values: np.ndarray, scale: Scale | None) -> np.ndarray:
        if values.dtype.kind in "iu" and scale is not None:
            return scale.real(values)
        return values.astype(np.float32)


@dataclass(frozen=True)
class Score:
    """A variant against its float model. Percentages and points are of 100."""

    task: str  # classify or regress
    accuracy: float | None  # with labels only
    loss_points: float | None  # accuracy lost; without labels the disagreement, which no loss can exceed
    agreement: float | None  # same class as the float model
    sqnr_db: float
    max_abs_error: float
    on: str  # logits or outputs: what the last two compare

    def document(self) -> dict[str, object]:
        """Plain data; the infinite SQNR of equal outputs is null."""
        return {**asdict(self), "sqnr_db": self.sqnr_db if math.isfinite(self.sqnr_db) else None}

    def passes(self, gate: float) -> bool:
        return self.sqnr_db >= MIN_SQNR_DB if self.loss_points is None else self.loss_points < gate

    def verdict(self, gate: float) -> str:
        if self.loss_points is None:
            return f"SQNR {self.sqnr_db:.1f} dB, {MIN_SQNR_DB:.0f} dB are asked for"
        if self.accuracy is None:
            return (
                f"{self.loss_points:.2f} % of the answers differ, the gate is {gate:g}; "
                "labels (--labels) would tell how many of them are wrong"
            )
        return f"accuracy loss {self.loss_points:.2f} points, the gate is {gate:g}"


def score(reference: Answers, variant: Answers, labels: np.ndarray | None, task: str) -> Score:
    """task: classify or regress."""
    shapes = [o.shape for o in reference.outputs], [o.shape for o in variant.outputs]
    if shapes[0] != shapes[1]:
        raise UserError(f"its outputs have the shapes {shapes[1]}, the float model's {shapes[0]} (samples first)")
    accuracy = loss = agreement = None
    if task == "classify":
        wanted, got = (a.outputs[0].reshape(len(a.outputs[0]), -1).argmax(1) for a in (reference, variant))
        agreement = 100.0 * float((wanted == got).mean())
        loss = 100.0 - agreement
        if labels is not None:
            accuracy = 100.0 * float((got == labels).mean())
            loss = 100.0 * float((wanted == labels).mean()) - accuracy
    on = "outputs"
    if reference.logits is not None and variant.logits is not None:
        on = "logits"
        wanted_values, values = {"logits": reference.logits}, {"logits": variant.logits}
    else:
        wanted_values, values = ({str(n): o for n, o in enumerate(a.outputs)} for a in (reference, variant))
    if not all(np.isfinite(v).all() for v in values.values()):
        raise UserError("its outputs hold NaN or infinity")
    noise = max(float(np.abs(v - wanted_values[name]).max()) for name, v in values.items())
    return Score(task, accuracy, loss, agreement, sqnr_db(values, wanted_values), noise, on)


def task_of(model_inputs: tuple[Input, ...], answers: Answers) -> str:
    """classify if the first output is one row of scores, unless it has an input's shape (an autoencoder)."""
    shape = answers.outputs[0].shape[1:]
    return "classify" if gives_classes(shape, [i.shape for i in model_inputs]) else "regress"


def check_labels(labels: np.ndarray, task: str, answers: Answers) -> None:
    """UserError unless they are class numbers of the float model that gave `answers`."""
    if task != "classify":
        raise UserError("labels need a model whose first output is one row of class scores")
    classes = answers.outputs[0].shape[-1]
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:
        raise UserError(
            f"label {outside[0]} is no class: the model has {classes}, numbered from 0",
            hint="Number the labels as the model's outputs are.",
        )


def _comparable(match: Mapping[str, Sequence[np.ndarray]]) -> bool:
    """A pruned variant has tensors of the same name with fewer channels."""
    if "float" not in match:
        return False
    return [a.shape for a in match["float"]] == [a.shape for a in match["post_qdq"]]


def layer_sqnr(float_model: Path, qdq_model: Path, data: Data, *, own: bool = False) -> dict[str, float]:
    """SQNR in dB of every quantized activation that both models have, by name and shape, in the float model's order.

    own: only the noise of the tensor's own quantization, without that of the layers before it.
    Unoptimized sessions: fused kernels have no values between their operators.
    """
    collected = []
    with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
        for index, path in enumerate((float_model, qdq_model)):
            augmented = str(Path(scratch) / f"augmented{index}.onnx")
            qdq_loss_debug.modify_model_output_intermediate_tensors(str(path), augmented)
            collected.append(qdq_loss_debug.collect_activations(augmented, Reader(data)))
    in_float, in_qdq = collected
    matched = qdq_loss_debug.create_activation_matching(in_qdq, in_float)
    model = onnx.load(float_model)
    order = [*(i.name for i in model.graph.input), *(name for node in model.graph.node for name in node.output)]
    shared = {name: matched[name] for name in order if _comparable(matched.get(name, {}))}
    errors = qdq_loss_debug.compute_activation_error(shared)
    return {name: error["qdq_err" if own else "xmodel_err"] for name, error in errors.items()}
