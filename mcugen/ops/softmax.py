"""Softmax, as ORT's QLinearSoftmax: a table of exponentials, a float sum, a division."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .. import requant
from ..ir import Node, attrs
from ..step import REPLICATED, Buffer, Scratch, Step, Struct, Table
from .base import Canonical, Fitter, Lowering, OpDef, Unit, widened


def _recognise(unit: Unit) -> Node:
    axis = int(unit.node.attrs["axis"]) % len(unit.type(0).shape)
    return unit.make("softmax", (unit.inputs[0],), axis=axis, coerced=bool(unit.node.attrs.get("coerced", 0)))


def axis_last(fit: Fitter, node: Node) -> bool:
    """The attribute `axis` last. `coerced` (before opset 13): all dimensions from the axis on are one."""
    x, axis = node.inputs[0], node.attrs["axis"]
    shape = fit.type(x).shape
    last = len(shape) - 1
    if axis == last:
        return False
    if node.attrs.get("coerced"):
        flat = (math.prod(shape[:axis]), math.prod(shape[axis:]))
        output = fit.inner(flat)
        fit.add(replace(node, inputs=(fit.view(x, flat),), outputs=(output,), attrs=attrs(**{**node.attrs, "axis": 1})))
        fit.finish(output)
        return True
    perm = [*range(last + 1)]
    perm[axis], perm[last] = last, axis
    output = fit.inner([shape[i] for i in perm])
    changed = attrs(**{**node.attrs, "axis": last})
    fit.add(replace(node, inputs=(fit.transposed(x, perm),), outputs=(output,), attrs=changed))
    fit.finish(output, perm)
    return True


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


def _canonical_16(c: Canonical, node: Node) -> None:
    """ORT has no integer form: the float operator between DequantizeLinear and QuantizeLinear."""
    value = c.add("Softmax", [c.real(node.inputs[0], node.output)], f"{node.output}/real", axis=node.attrs["axis"])
    c.add("QuantizeLinear", [value, *c.q(node.output)], node.output)


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
            ("rows", math.prod(shape[:-1])),
            ("classes", shape[-1]),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=REPLICATED,
        origin=node.origin,
        in_place=(x,),
    )


def _lower_16(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    shape = lowering.type(x).shape
    (x_scale, x_zero), (y_scale, y_zero) = lowering.quant(x), lowering.quant(node.output)
    fields = {
        "input_scale": x_scale,
        "output_scale": y_scale,
        "input_zero_point": x_zero,
        "output_zero_point": y_zero,
    }
    return Step(
        name=lowering.name,
        kernel="mcugen_softmax_s16",
        args=(
            ("context", Scratch()),
            ("params", Struct("mcugen_softmax_s16_params", fields)),
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("rows", math.prod(shape[:-1])),
            ("classes", shape[-1]),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=REPLICATED,
        origin=node.origin,
        in_place=(x,),
        scratch_bytes=shape[-1] * np.dtype(np.float32).itemsize,
    )


SOFTMAX = OpDef(
    name="softmax",
    onnx=("Softmax", "QLinearSoftmax"),
    recognise=_recognise,
    canonical=_canonical,
    lower=_lower,
    layout="fixed",
    exactness=REPLICATED,
    fit=axis_last,
    about="over any axis; the flattening one of opsets before 13 too",
)

SOFTMAX_16 = replace(
    SOFTMAX,
    name="softmax_16",
    onnx=("Softmax",),
    recognise=widened(_recognise),
    canonical=_canonical_16,
    lower=_lower_16,
    bits=(16,),
    about="16-bit tensors, over any axis; beyond 16 classes in the order of CPUs with AVX-512",
)
