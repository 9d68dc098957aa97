"""Matrix product of two activations, or of a constant and an activation, batched as ONNX's MatMul is.

a int8[...,M,K], b int8[...,K,N] -> y int8[...,M,N]; the leading dimensions broadcast. ORT: QLinearMatMul.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .. import requant
from ..errors import UserError
from ..ir import Node
from ..step import PROVED, Buffer, Requant, Step, Struct, Table
from .base import Canonical, Fitter, Lowering, OpDef, Unit, activation


def _recognise(unit: Unit) -> Node:
    for slot in (0, 1):
        q = unit.type(slot).quant
        if q is not None and q.scale.size > 1:
            raise UserError(
                "a matrix of more than two dimensions is quantized per channel",
                origin=unit.node.where,
                hint="Quantize it per tensor.",
            )
    return unit.make("matmul", unit.inputs[:2], clamp=unit.clamp)


def matrices(fit: Fitter, node: Node) -> bool:
    """A vector becomes a matrix of one row or one column."""
    a, b, *others = node.inputs
    a_shape, b_shape = fit.type(a).shape, fit.type(b).shape
    if len(a_shape) > 1 and len(b_shape) > 1:
        return False
    shape = list(fit.type(node.output).shape)
    if len(b_shape) == 1:
        b, shape = fit.view(b, (*b_shape, 1)), [*shape, 1]
    if len(a_shape) == 1:
        a = fit.view(a, (1, *a_shape))
        shape.insert(len(shape) - 1, 1)
    output = fit.inner(shape)
    fit.add(replace(node, inputs=(a, b, *others), outputs=(output,)))
    fit.finish(output)
    return True


def _canonical(c: Canonical, node: Node) -> None:
    a, b = node.inputs
    inputs = [c.tensor(a), *c.q(a), c.tensor(b), *c.q(b), *c.q(node.output)]
    c.clamped(node, lambda output: c.add("QLinearMatMul", inputs, output))


def starts(shape: tuple[int, ...], batch: tuple[int, ...]) -> np.ndarray:
    """Element at which each matrix of the batch begins, int32[batches]."""
    own = shape[:-2]
    found = np.arange(int(np.prod(own)), dtype=np.int32).reshape(own) * (shape[-2] * shape[-1])
    return np.broadcast_to(found, batch).reshape(-1).astype(np.int32)


def _lower(lowering: Lowering, node: Node) -> Step:
    a, b = node.inputs
    a_shape, b_shape, y_shape = (lowering.type(name).shape for name in (a, b, node.output))
    (a_scale, a_zero), (b_scale, b_zero) = lowering.quant(a), lowering.quant(b)
    y_scale, y_zero = lowering.quant(node.output)
    rows, depth, columns = *a_shape[-2:], b_shape[-1]
    scale = requant.conv_scale(a_scale, b_scale, y_scale)
    split = requant.split(scale)
    multiplier, shift = int(split.multiplier[0]), int(split.shift[0])
    reach = depth * max(128 + a_zero, 127 - a_zero) * max(128 + b_zero, 127 - b_zero)
    wide = not requant.exact_precondition(scale, [-reach], [reach]).all()
    fields: dict[str, Any] = {
        "batches": int(np.prod(y_shape[:-2])),
        "rows": rows,
        "depth": depth,
        "columns": columns,
        "a_offset": -a_zero,
        "b_offset": -b_zero,
        "output_offset": y_zero,
        "multiplier": multiplier if wide else Requant(multiplier, shift),
        "shift": shift,
        "wide": int(wide),
        "a_start": Table("a_start", starts(a_shape, y_shape[:-2])),
        "b_start": Table("b_start", starts(b_shape, y_shape[:-2])),
        "activation": activation(node.attrs["clamp"]),
    }
    return Step(
        name=lowering.name,
        kernel="mcugen_matmul_s8",
        args=(
            ("params", Struct("mcugen_matmul_params", fields)),
            ("a", Buffer(a)),
            ("b", Buffer(b)),
            ("output", Buffer(node.output)),
        ),
        inputs=(a, b),
        outputs=(node.output,),
        exactness=PROVED,
        origin=node.origin,
        macs=int(np.prod(y_shape)) * depth,
    )


MATMUL = OpDef(
    name="matmul",
    onnx=("MatMul", "QLinearMatMul"),
    recognise=_recognise,
    canonical=_canonical,
    lower=_lower,
    fit=matrices,
    layout="fixed",
    exactness=PROVED,
    about="of two activations or a constant and one; batched and broadcast; a constant right matrix: fully_connected",
)
