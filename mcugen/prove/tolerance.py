"""How far a tensor may be from ONNX Runtime's: nowhere, unless a float step stands before it.

Every float step states an error relative to the largest magnitude in its output; along the graph they add up. A
quantizing step behind one may round such a value to the neighbouring code. An integer step equals the canonical graph;
against the model itself, which ONNX Runtime runs in float there, it states steps of its output, which add up too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..emit.artefact import Compiled


@dataclass(frozen=True)
class Tolerance:
    relative: float = 0.0  # of the largest magnitude in the tensor
    codes: int = 0  # steps of its scale, for a quantized tensor
    absolute: float = 0.0  # real numbers, behind a DequantizeLinear

    @property
    def exact(self) -> bool:
        return not (self.relative or self.codes or self.absolute)

    def allowed(self, wanted: np.ndarray, step: float) -> float:
        """Largest difference allowed in a tensor whose codes are `step` apart."""
        largest = float(np.max(np.abs(wanted.astype(np.float64)), initial=0.0, where=np.isfinite(wanted)))
        rounding = 2.0**-23 if self.absolute or self.codes else 0.0  # of codes on their way to float32
        return (self.relative + rounding) * largest + self.absolute + self.codes * step


EXACT = Tolerance()


def distance(got: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """|got - wanted|, float64: 0 between equal values and between two NaN, infinite where only one of them is."""
    a, b = got.astype(np.float64), wanted.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        gap = np.abs(a - b)
    return np.where(same, 0.0, np.where(np.isnan(gap), np.inf, gap))


def tolerances(compiled: Compiled, *, canonical: bool = False) -> Mapping[str, Tolerance]:
    """Of every activation that is not promised to equal the model's (or the canonical graph's) in every byte."""
    graph = compiled.graph
    stated: dict[str, float] = {}
    integer: dict[str, int] = {}
    for step in compiled.steps:
        for name in step.outputs if step.rows is None else (step.rows.tensor,):
            stated[name] = max(stated.get(name, 0.0), step.tolerance)
            integer[name] = 0 if canonical else step.codes
    found: dict[str, Tolerance] = {}
    for node in graph.nodes:
        before = [found.get(name, EXACT) for name in node.inputs]
        relative = max((t.relative for t in before), default=0.0)
        codes = max((t.codes for t in before), default=0)
        absolute = sum(t.absolute for t in before)
        for name in node.outputs:
            own, type = stated.get(name, 0.0), graph.type(name)
            if node.op == "reshape":
                total = before[0]
            elif type.dtype in ("int64", "bool"):
                total = EXACT  # a position or an answer is right or wrong
            elif type.dtype != "float32":
                inexact = relative or absolute or codes or integer.get(name, 0)
                scale = 1.0 if type.quant is None else float(type.quant.per_tensor[0])
                total = Tolerance(codes=codes + 1 + int(absolute / scale)) if inexact else EXACT
            elif codes:
                q = graph.type(node.inputs[0]).quant
                scale = 1.0 if q is None else float(q.per_tensor[0])
                total = Tolerance(relative + own, absolute=absolute + codes * scale)
            else:
                total = Tolerance(relative + own, absolute=absolute)
            if not total.exact:
                found[name] = total
    return found
