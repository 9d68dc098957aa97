"""Is the firmware equal to ONNX Runtime, byte for byte? And if not: which step, which channel, which value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .. import oracle
from ..emit.artefact import Compiled
from ..emit.canonical import canonical_model, to_native
from ..ir import unique
from ..step import STOCK
from .board import run_on_board
from .host import HostModel
from .progress import Progress, silent
from .samples import Samples, to_model
from .tolerance import EXACT, distance, tolerances

_TRACED_SAMPLES = 4


@dataclass(frozen=True)
class Verification:
    on: str
    samples: int
    values: int  # output values compared
    mismatches: int
    max_lsb: int  # largest difference, in steps of the output's scale
    max_abs_difference: float  # the same in the output's own numbers
    allowed_difference: float  # the largest that the float and integer steps before an output may make of their own
    within_tolerance: bool  # every difference is one that the float and integer steps before it allow
    default_mismatches: int  # values in which ORT's plain default session differs from the pinned one
    first_difference: str  # "" or the first step that differs from the canonical graph
    outputs: Mapping[str, np.ndarray]  # what the C produced, as the ONNX model types it
    promised: Literal["equality", "tolerance"] | None
    """tolerance: an output lies behind a float or integer step; None: a step's stock multipliers are not exact."""

    @property
    def bit_exact(self) -> bool:
        return self.mismatches == 0 and not self.first_difference

    @property
    def passed(self) -> bool:
        """Equal, or as near as float and integer steps state. Without such steps, nothing but equality passes."""
        return self.within_tolerance and not self.first_difference

    @property
    def held(self) -> Literal["equality", "tolerance"] | None:
        """What these samples show; None if the check failed."""
        return "equality" if self.bit_exact else "tolerance" if self.passed else None


def verify(
    compiled: Compiled,
    samples: Samples,
    on: str = "host",
    cmsis_nn: Path | None = None,
    *,
    optimize: str = "-O2",
    progress: Progress = silent,
) -> Verification:
    """Run every sample through the pinned session and through the C, and compare all output bytes.

    Beside it, on the host, a few samples step by step against the canonical graph.
    """
    with progress("ONNX Runtime, pinned session", samples.count) as advance:
        wanted = oracle.run_all(oracle.pinned_session(compiled.model), samples.model, advance)
    with progress("ONNX Runtime, default session", samples.count) as advance:
        default = oracle.run_all(oracle.default_session(compiled.model), samples.model, advance)
    if on == "host":
        model = HostModel(compiled, cmsis_nn, optimize=optimize)
        with progress("generated C, host", samples.count) as advance:
            produced = model.run_all(samples.firmware, advance)
    else:
        with progress(f"generated C, {on} (emulated)", 0):
            produced = run_on_board(compiled, samples.firmware, cmsis_nn, optimize=optimize).outputs
    outputs = to_model(compiled, produced)
    values = mismatches = max_lsb = default_mismatches = 0
    max_abs, most, within, allowed = 0.0, 0.0, True, tolerances(compiled)
    for port in compiled.outputs:
        got, want = outputs[port.name], wanted[port.name].reshape(outputs[port.name].shape)
        differs = _bits(got) != _bits(want)
        values += got.size
        mismatches += int(differs.sum())
        default_mismatches += int((_bits(default[port.name]) != _bits(wanted[port.name])).sum())
        if differs.any():
            step = 1.0 if want.dtype != np.float32 or port.type.quant is None else port.type.quant.per_tensor[0]
            gap = distance(got, want)
            max_abs = max(max_abs, float(gap.max()))
            max_lsb = max(max_lsb, int(min(np.rint(gap.max() / float(step)), 2**31)))
            bound = allowed.get(port.name, EXACT).allowed(want, float(step))
            within, most = within and bool(gap.max() <= bound), max(most, bound)
    first = ""
    if on == "host" or mismatches:
        first = first_difference(compiled, samples, cmsis_nn, progress)
    if not within and not first:
        first = _elsewhere(compiled, on)
    promised: Literal["equality", "tolerance"] | None = None
    if all(step.exactness != STOCK for step in compiled.steps):
        promised = "tolerance" if any(port.name in allowed for port in compiled.outputs) else "equality"
    return Verification(
        on,
        samples.count,
        values,
        mismatches,
        max_lsb,
        max_abs,
        most,
        within,
        default_mismatches,
        first,
        outputs,
        promised,
    )


def _bits(array: np.ndarray) -> np.ndarray:
    return array.view(np.uint32) if array.dtype == np.float32 else array


def _elsewhere(compiled: Compiled, on: str) -> str:
    forms = [step for step in compiled.steps if any("integer form" in note for note in step.notes)]
    if forms:
        return f"no step of the C: ONNX Runtime computes {forms[0].name} in float, the firmware in integers"
    if on == "host":
        return "no step of the C in the samples traced: the canonical graph and the pinned session differ"
    return f"no step of the C on the host: look at the code paths of {on}"


def first_difference(compiled: Compiled, samples: Samples, cmsis_nn: Path | None, progress: Progress = silent) -> str:
    """The first step that differs from the canonical graph by more than it states, with channel and values; "" if none.

    Each step is held against its meaning on the very inputs that it had in the C: no tolerance adds up.
    """
    model = HostModel(compiled, cmsis_nn, trace=True)
    count = min(samples.count, _TRACED_SAMPLES)
    final = {step.tensor: index for index, step in enumerate(compiled.steps) if step.rows is None and step.tensor}
    banded = {step.tensor for step in compiled.steps if step.rows is not None}
    graph = compiled.graph
    given: dict[str, str] = {n: unique(f"{n}/given", graph.values) for n in final if n and n not in banded}
    session = oracle.plain_session(canonical_model(compiled, every_step=True, given=given))
    fed = {entry.name for entry in session.get_inputs()}
    allowed = tolerances(compiled, canonical=True, given=given)
    with progress("each step against the canonical graph", count) as advance:
        for sample in range(count):
            inputs = {name: array[sample] for name, array in samples.firmware.items()}
            trace = model.trace(inputs)
            made = {name: trace[final[name]] for name, new in given.items() if new in fed}
            native = {name: to_native(graph.type(name), array) for name, array in (inputs | made).items()}
            wanted = oracle.run(session, {given.get(name, name): array for name, array in native.items()})
            for index, got in enumerate(trace):
                step = compiled.steps[index]
                name = step.tensor
                if name is None or final.get(name, index) != index:
                    continue  # it moves bytes, or a later step completes this tensor
                want, mine = wanted[name], to_native(graph.type(name), got)
                if step.rows is not None:
                    want = want[:, step.rows.first : step.rows.first + mine.shape[1]]
                differs = _bits(mine) != _bits(want)
                tolerance = allowed.get(name, EXACT)
                if not tolerance.exact:
                    differs &= distance(mine, want) > tolerance.allowed(want, 1.0)
                if differs.any():
                    where = tuple(int(i) for i in np.argwhere(differs)[0])
                    return (
                        f"step {index} {step.name} ({step.kernel}, {', '.join(step.origin)}), sample {sample}, "
                        f"channel {where[-1]} at {list(where)}: {mine[where]}, ONNX Runtime {want[where]} "
                        f"({int(differs.sum())} of {differs.size} values differ)"
                    )
            advance()
    return ""


def reference(compiled: Compiled, result: Verification | None = None) -> dict[str, Any]:
    """What the firmware is held against: for reports and --json."""
    found: dict[str, Any] = {
        **oracle.environment(),
        "session": oracle.session_options(compiled.model),
    }
    if result is not None:
        found["default_session"] = {
            "values": result.values,
            "differs_from_pinned": result.default_mismatches,
            "why": oracle.WHY_PINNED,
        }
    return found
