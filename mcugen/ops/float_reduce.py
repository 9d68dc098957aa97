"""ReduceMean, ReduceSum, ReduceProd, ReduceMax and ReduceMin of float32 tensors: [outer, reduced, inner]."""

from __future__ import annotations

import numpy as np

from ..ir import Node
from ..step import FLOAT, PROVED, Buffer, Step
from .base import Canonical, FloatUnit, Lowering, OpDef
from .reduce import axes_of, neighbours, parts_of

TOLERANCE, PRODUCT_TOLERANCE = 1e-6, 1e-5
_TOLERANCES = {
    "ReduceMean": TOLERANCE,
    "ReduceSum": TOLERANCE,
    "ReduceProd": PRODUCT_TOLERANCE,
    "ReduceMax": 0.0,
    "ReduceMin": 0.0,
}
# What the pass `decompose` makes of these.
_COMPOSED = ("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")


def _from_float(unit: FloatUnit) -> Node:
    axes = axes_of(unit.graph, unit.node, len(unit.type(0).shape))
    return unit.make("float_reduce", (unit.name(0),), operator=unit.node.op, axes=axes)


def _canonical(c: Canonical, node: Node) -> None:
    axes = c.constant(f"{node.output}/axes", np.array(node.attrs["axes"], np.int64))
    c.add(node.attrs["operator"], [c.tensor(node.inputs[0]), axes], node.output, keepdims=1)


def _lower(lowering: Lowering, node: Node) -> Step:
    x, operator = node.inputs[0], node.attrs["operator"]
    outer, reduced, inner = parts_of(lowering.graph, node)
    return Step(
        name=lowering.name,
        kernel=f"mcugen_f32_reduce_{operator.removeprefix('Reduce').lower()}",
        args=(
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("outer", outer),
            ("reduced", reduced),
            ("inner", inner),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=FLOAT if _TOLERANCES[operator] else PROVED,
        tolerance=_TOLERANCES[operator],
        origin=node.origin,
    )


FLOAT_REDUCE = OpDef(
    name="float_reduce",
    onnx=(*_TOLERANCES, *_COMPOSED),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    fit=neighbours,
    layout="axes",
    exactness=FLOAT,
    about=f"float32, over any axes; sums within {TOLERANCE:g} of the largest result, products {PRODUCT_TOLERANCE:g}",
)
