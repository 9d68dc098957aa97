"""Channels last, as CMSIS-NN wants them, with the transposes cancelled.

Spatial operators take and give NHWC. Instead of a Transpose behind each, a value may be *pending*: known as
`transpose(stored, perm)`. Element-wise operators work on the stored form, two permutations in a row become one, and a
Flatten before a fully connected layer moves the permutation into the weights. A Transpose is emitted only where
somebody needs the original order: in the end, at the model's own inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..ir import Graph, Node, TensorType, attrs, quant
from ..ops import OPS
from ..ops.layout import moves_data
from ..ops.reduce import stored_axes
from .rewrite import Builder

_TO_NHWC = (0, 2, 3, 1)
_TO_NCHW = (0, 3, 1, 2)
_FULLY_CONNECTED = ("fully_connected", "fully_connected_16")


def to_nhwc(graph: Graph) -> Graph:
    layout = _Layout(graph)
    for node in graph.nodes:
        layout.place(node)
    for name in graph.outputs:
        layout.original(name, ())
    return layout.builder.graph_out()


def _compose(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    """transpose(transpose(x, first), second) = transpose(x, result)."""
    return tuple(first[axis] for axis in second)


def _inverse(perm: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(axis) for axis in np.argsort(perm))


def _groups(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """A reshape as the finest list of (axes of `before`, axes of `after`) of equal products, in order."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) and j < len(after):
        ins, outs, left, right = [i], [j], before[i], after[j]
        while left != right:
            if left < right:
                i += 1
                ins.append(i)
                left *= before[i]
            else:
                j += 1
                outs.append(j)
                right *= after[j]
        groups.append((ins, outs))
        i, j = i + 1, j + 1
    if groups:  # what is left on one side are sizes of 1
        groups[-1][0].extend(range(i, len(before)))
        groups[-1][1].extend(range(j, len(after)))
    return groups


class _Layout:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.builder = Builder(graph)
        self.consumers = graph.consumers()
        # original name -> (stored value, perm): the original is transpose(stored, perm)
        self.pending: dict[str, tuple[str, tuple[int, ...]]] = {}
        self.made: dict[tuple[str, tuple[int, ...]], str] = {}
        # flattened value -> where each of its elements lies in the stored one
        self.shuffled: dict[str, np.ndarray] = {}

    def type(self, name: str) -> TensorType:
        return self.builder.values[name].type

    def place(self, node: Node) -> None:
        layout = OPS[node.op].layout
        if node.op == "transpose":
            stored, perm = self.pending.get(node.inputs[0], (node.inputs[0], None))
            perm = node.attrs["perm"] if perm is None else _compose(perm, node.attrs["perm"])
            self.pending[node.output] = (stored, perm)
        elif layout == "spatial":
            self._spatial(node)
        elif layout in ("elementwise", "axis", "axes") and self._stored_form(node):
            pass
        elif node.op == "reshape":
            self._reshape(node)
        else:
            inputs = [self.original(name, node.origin) for name in node.inputs]
            if node.op in _FULLY_CONNECTED and node.inputs[0] in self.shuffled:
                inputs[1] = self._shuffled_weights(node, inputs[1])
            self.builder.add(replace(node, inputs=tuple(inputs)))

    def _spatial(self, node: Node) -> None:
        inputs = [self._permuted(node.inputs[0], _TO_NHWC, node.origin), *node.inputs[1:]]
        if len(inputs) > 1:
            weights = self.builder.values[inputs[1]]
            if weights.data is None:  # of an integer_conv
                inputs[1] = self._permuted(weights.name, _TO_NHWC, node.origin)
            else:
                inputs[1] = self.builder.constant(
                    f"{weights.name}/ohwi", np.transpose(weights.data, _TO_NHWC), weights.type.quant
                )
        self._add_stored(node, tuple(inputs), _TO_NCHW, {})

    def _add_stored(
        self, node: Node, inputs: tuple[str, ...], perm: tuple[int, ...], changes: dict[str, object]
    ) -> None:
        """Add `node` working on stored values; its output is transpose(stored output, perm)."""
        type = self.type(node.output)
        shape = tuple(type.shape[axis] for axis in _inverse(perm))
        output = self.builder.value(f"{node.output}/nhwc", replace(type, shape=shape))
        outputs = (output, *node.outputs[1:])
        self.builder.add(replace(node, inputs=inputs, outputs=outputs, attrs=attrs(**{**node.attrs, **changes})))
        self.pending[node.output] = (output, perm)

    def _stored_form(self, node: Node) -> bool:
        """Run an element-wise or axis operator on stored values: in the order of its largest operand."""
        operands = node.inputs[:1] if node.op in ("lut", "channel_lut") else node.inputs
        known = [name for name in operands if name in self.pending]
        if not known:
            return False
        perm = self.pending[max(known, key=lambda name: self.type(name).count)][1]
        inputs = list(node.inputs)
        for slot, name in enumerate(operands):
            inputs[slot] = self._permuted(name, _inverse(perm), node.origin)
        changes: dict[str, object] = {}
        if "axis" in node.attrs:
            changes["axis"] = perm[node.attrs["axis"]]
        if "axes" in node.attrs:
            axes = stored_axes(self.type(self.pending[node.inputs[0]][0]).shape, perm, node.attrs["axes"])
            if axes is None:
                return False
            changes["axes"] = axes
        if "positions" in node.attrs:
            changes["positions"] = tuple(node.attrs["positions"][axis] for axis in _inverse(perm))
        if "pads" in node.attrs:
            rank = len(perm)
            pads = [0] * (2 * rank)
            for axis, stored_axis in enumerate(perm):
                pads[stored_axis] = node.attrs["pads"][axis]
                pads[rank + stored_axis] = node.attrs["pads"][rank + axis]
            changes["pads"] = tuple(pads)
        self._add_stored(node, tuple(inputs), perm, changes)
        return True

    def _reshape(self, node: Node) -> None:
        name = node.inputs[0]
        if name in self.pending:
            stored, perm = self.pending[name]
            shape = self.type(stored).shape
            if not moves_data(shape, perm):
                self.builder.add(replace(node, inputs=(stored,)))
                return
            readers = self.consumers[node.output]
            flat = self.type(node.output).shape
            rows = shape[0] == flat[0] and len(flat) == 2 and perm[0] == 0
            if rows and node.output not in self.graph.outputs and all(r.op in _FULLY_CONNECTED for r in readers):
                self.builder.add(replace(node, inputs=(stored,)))
                index = np.arange(flat[1]).reshape(shape[1:])
                self.shuffled[node.output] = np.transpose(index, [axis - 1 for axis in perm[1:]]).reshape(-1)
                return
            if self._reshaped_stored(node, stored, perm):
                return
        self.builder.add(replace(node, inputs=(self.original(name, node.origin),)))

    def _reshaped_stored(self, node: Node, stored: str, perm: tuple[int, ...]) -> bool:
        """Split and merge axes of the stored form, which needs at most one transpose to bring merged axes together."""
        shape = self.type(stored).shape
        output = self.type(node.output)
        groups = _groups([shape[axis] for axis in perm], output.shape)
        if len(groups) < 2:
            return False
        positions = [min((perm[a] for a in ins if shape[perm[a]] != 1), default=-1) for ins, _ in groups]
        order = sorted(range(len(groups)), key=lambda g: positions[g])
        together = tuple(perm[axis] for g in order for axis in groups[g][0])
        outer = [axis for g in order for axis in groups[g][1]]
        name = f"{node.output}/nhwc"
        inner = self.builder.value(name, replace(output, shape=tuple(output.shape[axis] for axis in outer)))
        self.builder.add(replace(node, inputs=(self._permuted(stored, together, node.origin),), outputs=(inner,)))
        self.pending[node.output] = (inner, _inverse(outer))
        return True

    def _shuffled_weights(self, node: Node, name: str) -> str:
        """Weights whose columns are in the stored order: new[:, index[k]] = old[:, k]."""
        old = self.builder.values[name]
        assert old.data is not None
        new = np.empty_like(old.data)
        new[:, self.shuffled[node.inputs[0]]] = old.data
        q = old.type.quant
        return self.builder.constant(f"{name}/nhwc", new, q and quant(q.scale, q.zero_point, q.axis))

    def original(self, name: str, origin: tuple[str, ...]) -> str:
        """`name` in its own order, made from the stored value if need be."""
        if name not in self.pending:
            return name
        stored, perm = self.pending.pop(name)
        self._emit(stored, perm, name, origin)
        return name

    def _permuted(self, name: str, perm: tuple[int, ...], origin: tuple[str, ...]) -> str:
        """transpose(name, perm), through the stored value; nothing is emitted where the two cancel."""
        stored, before = self.pending.get(name, (name, tuple(range(len(perm)))))
        total = _compose(before, perm)
        if total == tuple(range(len(total))):
            return stored
        if (stored, total) not in self.made:
            data = self.builder.values[stored].data
            if data is not None:
                made = self.builder.constant(f"{stored}/nhwc", np.transpose(data, total), self.type(stored).quant)
            else:
                type = self.type(stored)
                shape = tuple(type.shape[axis] for axis in total)
                made = self.builder.value(f"{stored}/nhwc", replace(type, shape=shape))
                self._emit(stored, total, made, origin)
            self.made[stored, total] = made
        return self.made[stored, total]

    def _emit(self, stored: str, perm: tuple[int, ...], output: str, origin: tuple[str, ...]) -> None:
        if moves_data(self.type(stored).shape, perm):
            self.builder.add(Node("transpose", (stored,), (output,), attrs(perm=perm), origin))
        else:
            self.builder.add(Node("reshape", (stored,), (output,), attrs(), origin))
