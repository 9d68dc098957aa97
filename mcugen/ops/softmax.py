"""Softmax over the last axis, as ORT's QLinearSoftmax: a table of exponentials, a float sum, a division."""

from __future__ import annotations

import numpy as np

from .. import requant
from ..ir import Graph, Node
from ..step import REPLICATED, Buffer, Step, Table
from .base import Canonical, Lowering, OpDef, Unit


def _recognise(unit: Unit) -> Node:
    axis = int(unit.node.attrs["axis"])
    return unit.make("softmax", (unit.inputs[0],), axis=axis % len(unit.type(0).shape))


def _last_axis(graph: Graph, node: Node) -> str | None:
    """The axis must be the last dimension. Transpose before export."""
    rank = len(graph.type(node.inputs[0]).shape)
    return None if node.attrs["axis"] == rank - 1 else f"axis is {node.attrs['axis']} of {rank}"


def _canonical(c: Canonical, node: Node) -> None:
    x = node.inputs[0]
    c.add(
        "QLinearSoftmax",
        [c.tensor(x), *c.q(x), *c.q(node.output)],
        node.output,
        "com.microsoft",
        axis=node.attrs["axis"],
        opset=13,
    )


def _lower(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    shape = lowering.type(x).shape
    y_scale, y_zero = lowering.quant(node.output)
    return Step(
        name=lowering.name,
        kernel="mcugen_softmax_s8",
        args=(
            ("table", Table("exponentials", requant.softmax_table(lowering.quant(x)[0], shape[-1]))),
            ("output_scale_inverse", requant.softmax_scale_inverse(y_scale, shape[-1])),
            ("output_zero_point", y_zero),
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("rows", int(np.prod(shape[:-1], dtype=np.int64))),
            ("classes", shape[-1]),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=REPLICATED,
        origin=node.origin,
        in_place=(x,),
    )


SOFTMAX = OpDef(
    name="softmax",
    onnx=("Softmax", "QLinearSoftmax"),
    recognise=_recognise,
    canonical=_canonical,
    lower=_lower,
    layout="fixed",
    exactness=REPLICATED,
    limits=(_last_axis,),
    about="over the last axis",
)
