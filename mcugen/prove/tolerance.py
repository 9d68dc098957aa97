"""How far a tensor may be from ONNX Runtime's: nowhere, unless a float step stands before it.

Every float step states an error relative to the largest magnitude in its output; along the graph they add up. A
quantizing step behind one may round such a value to the neighbouring code. What such a code changes in the steps behind
is bounded by their weights, tables and scales. An integer step equals the canonical graph; against the model itself,
which ONNX Runtime runs in float there, it states steps of its output, which add up too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from ..emit.artefact import Compiled
from ..ir import Graph, Node
from ..step import COPY, Step


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


def tolerances(compiled: Compiled, *, canonical: bool = False, given: Collection[str] = ()) -> Mapping[str, Tolerance]:
    """Of every activation that is not promised to equal the model's (or the canonical graph's) in every byte.

    given: tensors that the canonical graph takes from the C, and so has equal where they are read.
    """
    graph = compiled.graph
    steps: dict[str, list[Step]] = {}
    for step in compiled.steps:
        for name in step.outputs if step.rows is None else (step.rows.tensor,):
            steps.setdefault(name, []).append(step)
    found: dict[str, Tolerance] = {}
    for node in graph.nodes:
        before = [EXACT if name in given else found.get(name, EXACT) for name in node.inputs]
        relative = max((t.relative for t in before), default=0.0)
        for name in node.outputs:
            type, makers = graph.type(name), steps.get(name, [])
            own = max((step.tolerance for step in makers), default=0.0)
            forms = 0 if canonical else max((step.codes for step in makers), default=0)
            if node.op == "reshape":
                total = before[0]
            elif type.dtype in ("int64", "bool"):
                total = EXACT  # a position or an answer is right or wrong
            elif type.dtype == "float32":
                total = Tolerance(relative + own, absolute=_moved(graph, node, before))
            elif relative or forms or any(not t.exact for t in before):
                total = Tolerance(codes=forms + _codes(graph, node, before, name, makers))
            else:
                total = EXACT
            if not total.exact:
                found[name] = total
    return found


def _scale(graph: Graph, name: str) -> float:
    q = graph.type(name).quant
    return 1.0 if q is None else float(q.per_tensor[0])


def _moved(graph: Graph, node: Node, before: list[Tolerance]) -> float:
    """By how much, in real numbers, the inputs' codes and absolute errors move the node's result at most."""
    known = enumerate(zip(before, node.inputs, strict=True))
    errors = {slot: t.absolute + t.codes * _scale(graph, name) for slot, (t, name) in known if not t.exact}
    return sum(error * _gain(graph, node, slot) for slot, error in errors.items() if error)


def _codes(graph: Graph, node: Node, before: list[Tolerance], output: str, makers: list[Step]) -> int:
    """The same in steps of the output's scale, rounded as the step rounds."""
    scale, codes = _scale(graph, output), max((t.codes for t in before), default=0)
    tables = [table.data for step in makers if "_lut_" in step.kernel for table in step.tables()]
    if codes and tables and all(table.shape[-1] == 256 for table in tables):
        whole = np.concatenate([table.reshape(-1, 256) for table in tables]).astype(np.int32)
        near = range(1, min(codes, 255) + 1)
        return int(max(np.abs(whole[:, apart:] - whole[:, :-apart]).max() for apart in near))
    moved = _moved(graph, node, before) / scale
    if makers and all(step.exactness == COPY for step in makers) and not any(t.absolute for t in before):
        return max(codes, int(np.ceil(moved - 1e-6)))
    return int(moved + 1e-6) + 1


_WEIGHTED = {"conv", "fully_connected", "conv_transpose", "dynamic_conv", "dynamic_fully_connected"}
_WEIGHTED |= {"conv_16", "fully_connected_16", "float_conv", "float_fully_connected", "float_conv_transpose"}


def _gain(graph: Graph, node: Node, slot: int) -> float:
    """Change of the result for a change of input `slot`, both in real numbers, at most.

    Layers: the largest sum of |weight| of an output. Products: the other factor's largest magnitude, where it is known.
    1 for what selects, averages, adds or bounds; a float function that is steeper is not known here.
    """
    if node.op in _WEIGHTED and slot == 0:
        weights, q = graph.data(node.inputs[1]), graph.type(node.inputs[1]).quant
        assert weights is not None
        rows = np.abs(weights.astype(np.float64)).reshape(len(weights), -1)
        if q is not None:
            zeros = np.broadcast_to(q.zero_point, len(weights))[:, None]
            rows = np.abs(weights.astype(np.float64).reshape(rows.shape) - zeros)
            return float((rows.sum(axis=1) * np.broadcast_to(q.scale, len(weights))).max())
        return float(rows.sum(axis=1).max())
    if node.op in ("mul", "matmul", "float_matmul") or node.attrs.get("operator") == "Mul":
        depth = graph.type(node.inputs[0]).shape[-1] if "matmul" in node.op else 1
        return depth * _largest(graph, node.inputs[1 - slot])
    if node.op == "reduce_sum":
        return graph.type(node.inputs[0]).count / graph.type(node.output).count
    return 1.0


def _largest(graph: Graph, name: str) -> float:
    """The largest magnitude that a tensor can hold; 1 where that is not known."""
    data, type = graph.data(name), graph.type(name)
    if type.quant is not None:
        scale, zero = type.quant.per_tensor
        ends = np.iinfo(type.dtype)
        return float(scale) * max(zero - ends.min, ends.max - zero)
    return 1.0 if data is None else float(np.abs(data).max(initial=0.0))
