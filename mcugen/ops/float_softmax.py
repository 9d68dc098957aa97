"""Softmax and LogSoftmax of float32 tensors over the last axis, in the arithmetic of ORT on CPUs with AVX-512.

exp by a polynomial of fused multiply-adds, the sum in 16 lanes that are then added pairwise, a product with 1 / sum. Up
to 16 classes, CPUs without AVX-512 add in the same order. The logarithm is our own: within TOLERANCE.
"""

from __future__ import annotations

import math

from ..ir import Node
from ..step import FLOAT, REPLICATED, Buffer, Step
from .base import Canonical, FloatUnit, Lowering, OpDef
from .softmax import axis_last

TOLERANCE = 1e-6


def _from_float(unit: FloatUnit) -> Node:
    axis = int(unit.node.attrs["axis"]) % len(unit.type(0).shape)
    coerced = bool(unit.node.attrs.get("coerced", 0))
    return unit.make("float_softmax", (unit.name(0),), operator=unit.node.op, axis=axis, coerced=coerced)


def _canonical(c: Canonical, node: Node) -> None:
    c.add(node.attrs["operator"], [c.tensor(node.inputs[0])], node.output, axis=node.attrs["axis"])


def _lower(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    shape = lowering.type(x).shape
    is_log = node.attrs["operator"] == "LogSoftmax"
    return Step(
        name=lowering.name,
        kernel="mcugen_f32_log_softmax" if is_log else "mcugen_f32_softmax",
        args=(
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("rows", math.prod(shape[:-1])),
            ("classes", shape[-1]),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=FLOAT if is_log else REPLICATED,
        tolerance=TOLERANCE if is_log else 0.0,
        origin=node.origin,
        in_place=(x,),
    )


FLOAT_SOFTMAX = OpDef(
    name="float_softmax",
    onnx=("Softmax", "LogSoftmax"),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    fit=axis_last,
    layout="fixed",
    exactness=REPLICATED,
    about=f"float32; beyond 16 classes in the order of CPUs with AVX-512; LogSoftmax within {TOLERANCE:g}",
)
