"""Give every operator the rank and the axis its kernel works on, by views and transposes around it.

Each operator says how in its `fit`: a 1-D convolution gets a height of 1, a softmax its axis last, the smaller operand
of an addition its missing dimensions. Views cost nothing, and to_nhwc cancels the transposes where it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..ir import Graph, Node, TensorType, attrs
from ..ops import OPS
from .rewrite import Builder, rebuild


def fit_kernels(graph: Graph) -> Graph:
    def change(builder: Builder, node: Node) -> bool:
        fit = OPS[node.op].fit
        return fit is not None and fit(_Fitter(builder, node), node)

    return rebuild(graph, change)


class _Fitter:
    """What `ops.base.Fitter` promises, around one node."""

    def __init__(self, builder: Builder, node: Node) -> None:
        self.builder = builder
        self.node = node

    def type(self, name: str) -> TensorType:
        return self.builder.values[name].type

    def _made(self, op: str, source: str, shape: Sequence[int], **attributes: object) -> str:
        output = self.builder.value(f"{source}/{op}", replace(self.type(source), shape=tuple(shape)))
        self.builder.add(Node(op, (source,), (output,), attrs(**attributes), self.node.origin))
        return output

    def view(self, name: str, shape: Sequence[int]) -> str:
        value = self.builder.values[name]
        if tuple(shape) == value.type.shape:
            return name
        if value.data is not None:
            return self.builder.constant(f"{name}/reshape", value.data.reshape(shape), value.type.quant)
        return self._made("reshape", name, shape)

    def transposed(self, name: str, perm: Sequence[int]) -> str:
        value, shape = self.builder.values[name], self.type(name).shape
        if value.data is not None:
            return self.builder.constant(f"{name}/transpose", np.transpose(value.data, perm), value.type.quant)
        return self._made("transpose", name, [shape[axis] for axis in perm], perm=tuple(perm))

    def inner(self, shape: Sequence[int]) -> str:
        type = replace(self.type(self.node.output), shape=tuple(shape))
        return self.builder.value(f"{self.node.output}/inner", type)

    def add(self, node: Node) -> None:
        self.builder.add(node)

    def finish(self, name: str, perm: Sequence[int] | None = None) -> None:
        op, extra = ("reshape", {}) if perm is None else ("transpose", {"perm": tuple(perm)})
        self.builder.add(Node(op, (name,), self.node.outputs, attrs(**extra), self.node.origin))
