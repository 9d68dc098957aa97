"""Softmax and LogSoftmax of float32 tensors over the last axis, in the arithmetic of ORT on CPUs with AVX-512.

exp by a polynomial of fused multiply-adds, the sum in 16 lanes that are then added pairwise, a product with 1 / sum. Up
to 16 classes, CPUs without AVX-512 add in the same order.
"""

from __future__ import annotations

import numpy as np

from ..ir import Node
from ..step import REPLICATED, Buffer, Step
from .base import Canonical, Fitter, FloatUnit, Lowering, OpDef


def _from_float(unit: FloatUnit) -> Node:
    axis = int(unit.node.attrs["axis"]) % len(unit.type(0).shape)
    return unit.make("float_softmax", (unit.name(0),), axis=axis)


def _fit(fit: Fitter, node: Node) -> bool:
    """Bring the axis to the end."""
    x, axis = node.inputs[0], node.attrs["axis"]
    shape = fit.type(x).shape
    last = len(shape) - 1
    if axis == last:
        return False
    perm = [*(k for k in range(last + 1) if k != axis), axis]
    output = fit.inner([shape[k] for k in perm])
    inner = Node(node.op, (fit.transposed(x, perm),), (output,), {**node.attrs, "axis": last}, node.origin)
    fit.add(inner)
    fit.finish(output, tuple(int(k) for k in np.argsort(perm)))
    return True


def _canonical(c: Canonical, node: Node) -> None:
    c.add("Softmax", [c.tensor(node.inputs[0])], node.output, axis=node.attrs["axis"])


def _lower(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    shape = lowering.type(x).shape
    return Step(
        name=lowering.name,
        kernel="mcugen_f32_softmax",
        args=(
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


FLOAT_SOFTMAX = OpDef(
    name="float_softmax",
    onnx=("Softmax",),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    fit=_fit,
    layout="fixed",
    exactness=REPLICATED,
    about="float32; beyond 16 classes in the order of CPUs with AVX-512",
)
