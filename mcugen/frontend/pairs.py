"""Two QuantizeLinear/DequantizeLinear pairs in a row become one, as ONNX Runtime merges them when it loads a model.

    Q1 - DQ1 - Q2 - DQ2  ->  Q - DQ, whose range is what both ranges have in common

The rule, its float32 roundings and its order are those of ORT's DoubleQDQPairsRemover: Q1 and DQ1 have one reader
each, Q2 is read by DequantizeLinear nodes only, and each says the same as its partner. What ORT drops for doing nothing
may stand between them: Identity, Dropout, Cast, an Add or Sub of 0, a Mul or Div by 1, a Slice or Expand of everything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, numpy_helper

from ..errors import UserError
from ..ir import unique
from .fold import inferred
from .forms import constant_array

_Q, _DQ = "QuantizeLinear", "DequantizeLinear"
_NEUTRAL = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1}  # operand that changes nothing; the second, or either one of
_COMMUTE = ("Add", "Mul")
_VALUES = ("value", "value_float", "value_floats", "value_int", "value_ints")  # of Constant

_Params = tuple[np.float32, np.ndarray]  # scale, zero point (one element, of the quantized type)


def merge_pairs(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which no two pairs are in a row where ORT merges them; UserError if their ranges do not meet."""
    if sum(node.op_type == _Q for node in model.graph.node) < 2:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    merger = _Merger(copy)
    # In rounds, as ORT does it: of four pairs in a row, 1 and 2 become one, 3 and 4, and these two in the next round.
    while any([merger.merge(node) for node in list(copy.graph.node) if node.op_type == _Q]):
        merger = _Merger(copy)
    return copy


class _Merger:
    """One round over the graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.outputs = {output.name for output in model.graph.output}
        self.constants = dict(_constants(model))
        self.taken = {name for node in self.graph.node for name in (*node.input, *node.output)} | set(self.constants)
        self.gone: set[str] = set()  # outputs of nodes merged away in this round
        self.readers: dict[str, list[NodeProto]] = {}
        self.shapes = _shapes(model)
        same: dict[str, str] = {}  # output of a node that does nothing -> where its value comes from
        for node in self.graph.node:
            kept = self._kept(node) if node.output[0] not in self.outputs else ""
            if kept:
                same[node.output[0]] = same.get(kept, kept)
                continue
            sources = [same.get(name, name) for name in node.input if name]
            for name in sources:
                self.readers.setdefault(name, []).append(node)

    def merge(self, q1: NodeProto) -> bool:
        """Merge the pair that begins with `q1` and the one behind it, if they are two pairs in a row."""
        dq1 = self._reader(q1, _DQ)
        q2 = self._reader(dq1, _Q) if dq1 is not None else None
        if dq1 is None or q2 is None or q2.output[0] in self.outputs:
            return False
        ends = self.readers.get(q2.output[0], [])
        first, second = self._pair(q1, [dq1]), self._pair(q2, ends)
        if first is None or second is None or first[1].dtype != second[1].dtype:
            return False
        if first[1] != second[1] or abs(first[0] - second[0]) >= 1e-20:
            merged = _common(first, second, q2)
            for node in (q1, *ends):
                for slot, value in enumerate(merged, 1):
                    node.input[slot] = self._constant(f"{node.input[slot]}/merged", np.asarray(value).reshape(()))
        for node in ends:
            node.input[0] = q1.output[0]
        self.readers[q1.output[0]] = ends
        self._remove({dq1.output[0], q2.output[0]})
        return True

    def _reader(self, node: NodeProto, op: str) -> NodeProto | None:
        """The only reader of a node's output, if it is an `op` and the output no output of the model."""
        readers = self.readers.get(node.output[0], [])
        alone = len(readers) == 1 and not {node.output[0]} & (self.outputs | self.gone)
        return readers[0] if alone and readers[0].op_type == op else None

    def _pair(self, q: NodeProto, dqs: list[NodeProto]) -> _Params | None:
        """What all the nodes say, if they say the same, as constants of one value each."""
        if not dqs or any(node.op_type != _DQ for node in dqs):
            return None
        said = [[self.constants.get(name) for name in node.input[1:]] for node in (q, *dqs)]
        if any(len(s) != 2 or any(c is None or c.size != 1 or c.ndim > 1 for c in s) for s in said):
            return None
        (scale, zero), *others = [(s.reshape(-1), z.reshape(-1)) for s, z in said if s is not None and z is not None]
        if scale.dtype != np.float32 or zero.dtype not in (np.uint8, np.int8, np.uint16, np.int16):
            return None
        same = all(scale == s and zero == z and zero.dtype == z.dtype for s, z in others)
        return (scale[0], zero) if same else None

    def _remove(self, outputs: set[str]) -> None:
        """The nodes that make `outputs`, and those that did nothing behind them."""
        self.gone |= outputs
        for node in list(self.graph.node):
            if node.output[0] in self.gone or not self.gone.isdisjoint(node.input):
                self.gone.add(node.output[0])
                self.graph.node.remove(node)

    def _kept(self, node: NodeProto) -> str:
        """The input that is the node's output, where ORT drops the node; else "".

        Between DequantizeLinear and QuantizeLinear, all is float.
        """
        x = node.input[0] if node.input else ""
        if node.op_type == "Cast":
            return x if any(a.name == "to" and a.i == TensorProto.FLOAT for a in node.attribute) else ""
        if node.op_type in ("Identity", "Dropout"):
            return x if len(list(filter(None, node.output))) == 1 else ""
        if node.op_type == "Slice":
            return x if self._slices_all(node) else ""
        shape = self.shapes.get(x)
        if node.op_type == "Expand":
            wanted = self.shapes.get(node.input[1], ())
            same = shape is not None and shape == self.shapes.get(node.output[0])
            return x if shape and same and len(wanted) == 1 and 0 < wanted[0] <= len(shape) else ""
        neutral = _NEUTRAL.get(node.op_type)
        if neutral is None:
            return ""
        for slot, other in ((1, x), (0, node.input[1])):
            value, shape = self.constants.get(node.input[slot]), self.shapes.get(other)
            if value is None or shape is None or other in self.constants:
                continue
            if (slot == 1 or node.op_type in _COMMUTE) and value.size == 1 and value.ndim <= len(shape):
                return other if value.reshape(())[()] == neutral else ""
        return ""

    def _slices_all(self, node: NodeProto) -> bool:
        """From 0 to the largest number there is, in steps of 1, says ORT; not: to the size of the axis."""
        given = [self.constants.get(name) for name in node.input[1:] if name]
        if len(given) < 2 or any(array is None for array in given):
            return False
        starts, ends = given[:2]
        steps = self.constants.get(node.input[4]) if len(node.input) > 4 else None
        largest = np.iinfo(np.int64).max
        return bool(np.all(starts == 0) and np.all(ends == largest) and (steps is None or np.all(steps == 1)))

    def _constant(self, base: str, array: np.ndarray) -> str:
        name = unique(base, self.taken)
        self.taken.add(name)
        self.graph.initializer.append(numpy_helper.from_array(array, name))
        return name


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Of what ONNX infers, where an operator is there that does nothing for some shapes only."""
    if not any(node.op_type in (*_NEUTRAL, "Expand") for node in model.graph.node):
        return {}
    graph = inferred(model)
    known = {v.name: v.type.tensor_type for v in (*graph.input, *graph.value_info) if v.type.HasField("tensor_type")}
    shapes = {name: tuple(d.dim_value for d in t.shape.dim) for name, t in known.items() if t.HasField("shape")}
    return {name: shape for name, shape in shapes.items() if 0 not in shape} | {
        tensor.name: tuple(tensor.dims) for tensor in graph.initializer
    }


def _constants(model: onnx.ModelProto) -> Iterator[tuple[str, np.ndarray]]:
    """What ORT holds constant: from IR version 4 on, not the initializers that a caller may override."""
    inputs = {i.name for i in model.graph.input} if model.ir_version >= 4 else set()
    for tensor in model.graph.initializer:
        if tensor.name not in inputs:
            yield tensor.name, numpy_helper.to_array(tensor)
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name in _VALUES:
            yield node.output[0], constant_array(node)


def _common(a: _Params, b: _Params, origin: NodeProto) -> _Params:
    """The range that two quantizations have in common, as one quantization; float32 throughout, as in ORT."""
    info = np.iinfo(a[1].dtype)
    with np.errstate(all="ignore"):
        ends = [[np.float32(end - int(zero[0])) * scale for end in (info.min, info.max)] for scale, zero in (a, b)]
        low, high = max(ends[0][0], ends[1][0]), min(ends[0][1], ends[1][1])
        scale = np.float32(high - low) / np.float32(info.max - info.min)
        zero = np.float32(info.min) - low / scale
    if not (np.isfinite(scale) and scale > 0):
        raise UserError(
            "two quantizations in a row have no range in common",
            origin=origin.name or origin.output[0],
            hint="Quantize the model again with onnxruntime.quantization.",
        )
    rounded = int(math.copysign(math.floor(abs(float(zero)) + 0.5), zero))  # half away from zero, as std::round
    return scale, np.array(rounded).astype(a[1].dtype)
