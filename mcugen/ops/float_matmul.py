"""Matrix product of two float32 tensors, batched and broadcast as ONNX's MatMul is.

a [...,M,K], b [...,K,N] -> y [...,M,N]; a constant right matrix of two dimensions is a fully connected layer.
"""

from __future__ import annotations

import numpy as np

from ..ir import Node
from ..step import FLOAT, Buffer, Step, Struct, Table
from .base import Canonical, FloatUnit, Lowering, OpDef
from .float_conv import TOLERANCE
from .matmul import matrices, starts

# What the pass `decompose` makes of these.
_COMPOSED = ("Einsum",)


def _from_float(unit: FloatUnit) -> Node:
    return unit.make("float_matmul", (unit.name(0), unit.name(1)))


def _canonical(c: Canonical, node: Node) -> None:
    c.bounded(node, c.add("MatMul", [c.tensor(name) for name in node.inputs], f"{node.output}/product"))


def _lower(lowering: Lowering, node: Node) -> Step:
    a, b = node.inputs
    a_shape, b_shape, y_shape = (lowering.type(name).shape for name in (a, b, node.output))
    low, high = node.attrs["clamp"]
    fields = {
        "batches": int(np.prod(y_shape[:-2])),
        "rows": a_shape[-2],
        "depth": a_shape[-1],
        "columns": b_shape[-1],
        "a_start": Table("a_start", starts(a_shape, y_shape[:-2])),
        "b_start": Table("b_start", starts(b_shape, y_shape[:-2])),
        "low": np.float32(low),
        "high": np.float32(high),
    }
    return Step(
        name=lowering.name,
        kernel="mcugen_f32_matmul",
        args=(
            ("params", Struct("mcugen_f32_matmul_params", fields)),
            ("a", Buffer(a)),
            ("b", Buffer(b)),
            ("output", Buffer(node.output)),
        ),
        inputs=tuple(name for name in (a, b) if lowering.graph.data(name) is None),
        outputs=(node.output,),
        exactness=FLOAT,
        tolerance=TOLERANCE,
        origin=node.origin,
        macs=int(np.prod(y_shape)) * a_shape[-1],
    )


FLOAT_MATMUL = OpDef(
    name="float_matmul",
    onnx=("MatMul", *_COMPOSED),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    fit=matrices,
    layout="fixed",
    exactness=FLOAT,
    about=f"float32; Attention too, and Einsum of two operands; within {TOLERANCE:g} of the largest result",
)
