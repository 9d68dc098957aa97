"""A float model and its variants side by side: size, latency, accuracy, and what they cost on a Cortex-M.

All run in the pinned session (one thread), so that int8 models use integer kernels. Latency is shown, never gated.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from .. import oracle, pipeline
from ..errors import UserError
from ..prove.program import library_of
from ..prove.progress import Progress, silent
from .calibration import Data, inputs_of
from .cortex_m import CortexM, measure
from .gate import FLOAT, QDQ, gate, quantization_form
from .measure import Answers, Score, Subject, check_labels, layer_sqnr, score, task_of

_LAYER_SAMPLES = 16

# What arithmetic a node of the executed graph does, by its operator. Others move or convert values.
_FLOAT_KERNELS = frozenset(
    "Conv FusedConv ConvTranspose Gemm FusedGemm MatMul FusedMatMul Add Sub Mul Div Relu LeakyRelu Clip Sigmoid Tanh "
    "HardSigmoid HardSwish Elu Gelu QuickGelu BiasGelu FastGelu PRelu Erf Exp Sqrt Pow Softmax LogSoftmax AveragePool "
    "GlobalAveragePool ReduceMean ReduceSum BatchNormalization InstanceNormalization LayerNormalization LSTM GRU RNN "
    "NhwcFusedConv".split()
)


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one inference."""

    mean: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Row:
    """One model. The float model has no score and passes."""

    name: str
    file: str
    bytes: int
    ratio: float  # of the float model's size to this one's
    latency_ms: Latency
    speedup: float  # by the medians
    accuracy: float | None
    integer_kernels: int
    float_kernels: int
    score: Score | None = None
    passes: bool = True
    cortex_m: CortexM | None = None
    not_cortex_m: str = ""  # why there are no figures for it
    layers: Mapping[str, float] = field(default_factory=dict)  # SQNR in dB by tensor, where names match


@dataclass(frozen=True)
class Comparison:
    rows: tuple[Row, ...]  # the float model first
    samples: int
    rounds: int
    gate: float
    environment: Mapping[str, str]

    @property
    def passes(self) -> bool:
        return all(row.passes for row in self.rows)

    def document(self) -> dict[str, Any]:
        """Plain data for --json."""
        rows = [{**asdict(r), "score": None if r.score is None else r.score.document()} for r in self.rows]
        return {
            "samples": self.samples,
            "rounds": self.rounds,
            "gate_points": self.gate,
            "passes": self.passes,
            "environment": dict(self.environment),
            "float": rows[0],
            "variants": rows[1:],
        }


def compare(
    float_path: Path,
    variants: Sequence[Path],
    data: Data,
    labels: np.ndarray | None = None,
    *,
    points: float = 1.0,
    rounds: int = 100,
    core: str | None = "cortex-m4",
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    cmsis_nn: Path | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Measure `variants` against the float model.

    points    accuracy loss (without labels: disagreement) that a variant must stay below
    core      of the Cortex-M figures; None leaves them out
    cmsis_nn  checkout of Arm's library that they link; None = the bundled kernels
    """
    fixed = shapes or {}
    float_model = gate(float_path, fixed, prequantized=True)
    if float_model.quantized:
        raise UserError(
            f"the first model is quantized ({float_model.form})",
            origin=str(float_path),
            hint="Name the float model first, then its variants.",
        )
    inputs = inputs_of(float_model.model)
    subjects = [Subject(float_model.model, inputs, float_path.name)]
    subjects += [Subject(gate(path, fixed, prequantized=True).model, inputs, path.name) for path in variants]
    names = _names([float_path, *variants])
    answers = []
    for subject, name in zip(subjects, names, strict=True):
        with progress(f"running {name}", data.count) as advance:
            answers.append(subject.answers(data, advance))
    task = task_of(inputs, answers[0])
    if labels is not None:
        check_labels(labels, task, answers[0])
    timed = _latencies(subjects, data, rounds, progress)
    sizes = [path.stat().st_size for path in (float_path, *variants)]
    rows = []
    for index, (subject, name) in enumerate(zip(subjects, names, strict=True)):
        found = None if index == 0 else _score(answers[0], answers[index], labels, task, name)
        integer, real = _kernels(subject.model)
        cortex_m, why = (
            (None, "a float model")
            if index == 0
            else _cortex_m(variants[index - 1], subject, data, core, fixed, cmsis_nn, progress)
        )
        rows.append(
            Row(
                name,
                (float_path, *variants)[index].name,
                sizes[index],
                sizes[0] / sizes[index],
                timed[index],
                timed[0].p50 / timed[index].p50,
                _accuracy(answers[0], labels) if found is None else found.accuracy,
                integer,
                real,
                found,
                found is None or found.passes(points),
                cortex_m,
                why,
                {} if index == 0 else _layers(float_model.model, subject, data),
            )
        )
    return Comparison(tuple(rows), data.count, rounds, points, oracle.environment())


def _names(paths: Sequence[Path]) -> list[str]:
    """Short and distinct: file names without what all of them start with; with the folder where two are equal."""
    stems = [path.stem for path in paths]
    if len(set(stems)) < len(stems):
        return [f"{path.parent.name}/{path.stem}" for path in paths]
    words = [stem.split("_") for stem in stems]
    shared = 0
    while all(len(w) > shared + 1 for w in words) and len({w[shared] for w in words}) == 1:
        shared += 1
    return ["_".join(w[shared:]) for w in words]


def _score(reference: Answers, variant: Answers, labels: np.ndarray | None, task: str, name: str) -> Score:
    try:
        return score(reference, variant, labels, task)
    except UserError as error:
        raise UserError(error.message, origin=name, hint=error.hint) from None


def _accuracy(answers: Answers, labels: np.ndarray | None) -> float | None:
    if labels is None:
        return None
    return 100.0 * float((answers.outputs[0].reshape(len(labels), -1).argmax(1) == labels).mean())


def _latencies(subjects: Sequence[Subject], data: Data, rounds: int, progress: Progress) -> list[Latency]:
    """One inference of each model per round, in turn and from a moving start: what disturbs hits all alike."""
    feeds = [[subject.feeds(data.sample(i)) for i in range(min(data.count, 16))] for subject in subjects]
    for subject, samples in zip(subjects, feeds, strict=True):
        for sample in samples[:3]:
            subject.session.run(None, sample)
    taken = np.empty((rounds, len(subjects)))
    with progress("measuring latency", rounds) as advance:
        for turn in range(rounds):
            for step in range(len(subjects)):
                index = (turn + step) % len(subjects)
                sample = feeds[index][turn % len(feeds[index])]
                start = time.perf_counter_ns()
                subjects[index].session.run(None, sample)
                taken[turn, index] = (time.perf_counter_ns() - start) / 1e6
            advance()
    return [
        Latency(float(column.mean()), *(float(p) for p in np.percentile(column, (50, 95, 99)))) for column in taken.T
    ]


def _kernels(model: onnx.ModelProto) -> tuple[int, int]:
    """(integer, float) arithmetic kernels of the graph ONNX Runtime runs."""
    ops = [node.op_type for node in oracle.executed_graph(model).graph.node]
    integer = sum(
        op.startswith(("QLinear", "QGemm", "QAttention", "MatMulInteger", "ConvInteger", "DynamicQuantizeMatMul"))
        for op in ops
    )
    return integer, sum(op in _FLOAT_KERNELS for op in ops)


def _cortex_m(
    path: Path,
    subject: Subject,
    data: Data,
    core: str | None,
    shapes: Mapping[str, tuple[int, ...]],
    cmsis_nn: Path | None,
    progress: Progress,
) -> tuple[CortexM | None, str]:
    """(figures, "") or (None, why not; "" if nobody asked)."""
    if core is None:
        return None, ""
    if quantization_form(subject.model) == FLOAT:
        return None, "not quantized"
    try:
        compiled = pipeline.compile(path, pipeline.Options(core=core, library=library_of(cmsis_nn), shapes=shapes))
    except UserError as error:
        return None, str(error)
    return measure(compiled, subject.feeds(data.sample(0)), cmsis_nn, progress)


def _layers(float_model: onnx.ModelProto, subject: Subject, data: Data) -> dict[str, float]:
    """Layer by layer, where ONNX Runtime's quantizer wrote the variant and its inputs are the float model's."""
    if quantization_form(subject.model) != QDQ or any(scale is not None for _, _, scale in subject.inputs):
        return {}
    with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
        paths = Path(scratch) / "float.onnx", Path(scratch) / "variant.onnx"
        onnx.save(float_model, paths[0])
        onnx.save(subject.model, paths[1])
        return layer_sqnr(*paths, data.first(_LAYER_SAMPLES))
