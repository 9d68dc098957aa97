"""ReduceMax, ReduceMin, ReduceMean, ReduceSum, ArgMax and ArgMin over neighbouring axes: [outer, reduced, inner].

The largest and smallest of bytes are exact copies. ORT computes mean and sum in float, in an order of its own: here they
are the integer form, an int32 sum and one multiplier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import requant
from ..errors import UserError
from ..ir import Graph, Node, attrs
from ..step import COPY, PROVED, Buffer, Requant, Step, Struct
from .base import Canonical, Fitter, Lowering, OpDef, Unit, activation


def axes_of(graph: Graph, node: Node, rank: int) -> tuple[int, ...]:
    """Of an ONNX Reduce* node: from its attribute or its second input; all axes if there are none."""
    given = node.attrs.get("axes", ())
    if len(node.inputs) > 1 and node.inputs[1]:
        data = graph.data(node.inputs[1])
        if data is None:
            raise UserError("the axes are computed at run time", origin=node.where, hint="Export constant axes.")
        given = tuple(int(axis) for axis in data.reshape(-1))
    if not given and node.attrs.get("noop_with_empty_axes", 0):
        raise UserError("a reduction over no axes is not supported", origin=node.where, hint="Remove the node.")
    return tuple(sorted(int(axis) % rank for axis in given)) or tuple(range(rank))


def three_parts(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, int, int] | None:
    """(outer, reduced, inner) sizes, or None if an axis that stays lies between reduced ones."""
    real = [axis for axis in range(len(shape)) if shape[axis] != 1]
    inside = [axis for axis in real if axis in axes]
    if inside and any(inside[0] < axis < inside[-1] for axis in real if axis not in axes):
        return None
    first, last = (inside[0], inside[-1] + 1) if inside else (len(shape), len(shape))
    sizes = [int(np.prod(part, dtype=np.int64)) for part in (shape[:first], shape[first:last], shape[last:])]
    return sizes[0], sizes[1], sizes[2]


def _fit(fit: Fitter, node: Node) -> bool:
    """Reduced dimensions stay as sizes of 1, and reduced axes become neighbours."""
    shape, axes = fit.type(node.inputs[0]).shape, node.attrs["axes"]
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    if three_parts(shape, axes) is None:
        staying = [axis for axis in range(len(shape)) if axis not in axes]
        turned = fit.transposed(node.inputs[0], (*staying, *axes))
        kept = (*(shape[axis] for axis in staying), *(1,) * len(axes))
        last = tuple(range(len(staying), len(shape)))
        node = replace(node, inputs=(turned,), attrs=attrs(**{**node.attrs, "axes": last}))
    elif kept == fit.type(node.output).shape:
        return False
    output = fit.inner(kept)
    fit.add(replace(node, outputs=(output,)))
    fit.finish(output)
    return True


def _parts(graph: Graph, node: Node) -> tuple[int, int, int]:
    found = three_parts(graph.type(node.inputs[0]).shape, node.attrs["axes"])
    assert found is not None, node.where
    return found


def _recognise(op: str) -> Callable[[Unit], Node]:
    def recognise(unit: Unit) -> Node:
        axes = axes_of(unit.graph, unit.node, len(unit.type(0).shape))
        return unit.make(op, unit.inputs[:1], axes=axes, clamp=unit.clamp, integer_form=True)

    return recognise


def _recognise_arg(op: str) -> Callable[[Unit], Node]:
    def recognise(unit: Unit) -> Node:
        axis = int(unit.node.attrs.get("axis", 0)) % len(unit.type(0).shape)
        return unit.make(op, unit.inputs[:1], axes=(axis,), last=int(unit.node.attrs.get("select_last_index", 0)))

    return recognise


# Meaning


def _canonical_extreme(onnx_op: str) -> Callable[[Canonical, Node], None]:
    def canonical(c: Canonical, node: Node) -> None:
        axes = c.constant(f"{node.output}/axes", np.array(node.attrs["axes"], np.int64))
        c.add(onnx_op, [c.tensor(node.inputs[0]), axes], node.output, keepdims=1)

    return canonical


def _canonical_arg(onnx_op: str) -> Callable[[Canonical, Node], None]:
    def canonical(c: Canonical, node: Node) -> None:
        (axis,) = node.attrs["axes"]
        last = node.attrs["last"]
        c.add(onnx_op, [c.tensor(node.inputs[0])], node.output, axis=axis, keepdims=1, select_last_index=last)

    return canonical


def _canonical_mean(c: Canonical, node: Node) -> None:
    """ORT's global average pool over [outer, reduced, 1, inner], channels last."""
    x = node.inputs[0]
    outer, reduced, inner = _parts(c.graph, node)
    pixels = c.reshaped(c.tensor(x), (outer, reduced, 1, inner), f"{node.output}/pixels")
    inputs = [pixels, *c.q(x), *c.q(node.output)]

    def emit(output: str) -> None:
        c.add("QLinearGlobalAveragePool", inputs, f"{output}/pooled", "com.microsoft", channels_last=1)
        c.reshaped(f"{output}/pooled", c.graph.type(node.output).shape, output)

    c.clamped(node, emit)


def _canonical_sum(c: Canonical, node: Node) -> None:
    """A row of ones times [reduced, inner], for each outer index."""
    x = node.inputs[0]
    outer, reduced, inner = _parts(c.graph, node)
    matrix = c.reshaped(c.tensor(x), (outer, reduced, inner), f"{node.output}/matrices")
    ones = c.constant(f"{node.output}/ones", c.native(np.ones((1, reduced))))
    one = c.constant(f"{node.output}/one", np.float32(1))
    zero = c.constant(f"{node.output}/zero", c.native(0))
    inputs = [ones, one, zero, matrix, *c.q(x), *c.q(node.output)]

    def emit(output: str) -> None:
        c.add("QLinearMatMul", inputs, f"{output}/summed")
        c.reshaped(f"{output}/summed", c.graph.type(node.output).shape, output)

    c.clamped(node, emit)


# Calls


def _step(lowering: Lowering, node: Node, kernel: str, exactness: str, *before: tuple[str, Any]) -> Step:
    x = node.inputs[0]
    outer, reduced, inner = _parts(lowering.graph, node)
    return Step(
        name=lowering.name,
        kernel=kernel,
        args=(
            *before,
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("outer", outer),
            ("reduced", reduced),
            ("inner", inner),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=exactness,
        origin=node.origin,
    )


def _lower_extreme(kernel: str) -> Callable[[Lowering, Node], Step]:
    return lambda lowering, node: _step(lowering, node, kernel, COPY)


def _lower_arg(kernel: str) -> Callable[[Lowering, Node], Step]:
    return lambda lowering, node: _step(lowering, node, kernel, PROVED, ("last", node.attrs["last"]))


def _lower_sum(lowering: Lowering, node: Node) -> Step:
    (x_scale, x_zero), (y_scale, y_zero) = lowering.quant(node.inputs[0]), lowering.quant(node.output)
    reduced = _parts(lowering.graph, node)[1]
    if node.op == "reduce_mean":
        scale = np.atleast_1d(requant.global_average_scale(x_scale, y_scale, reduced))
    else:
        scale = requant.conv_scale(x_scale, np.float32(1), y_scale)
    split = requant.split(scale)
    multiplier, shift = int(split.multiplier[0]), int(split.shift[0])
    wide = not requant.exact_precondition(scale, [-255 * reduced], [255 * reduced]).all()
    fields = {
        "input_offset": -x_zero,
        "output_offset": y_zero,
        "multiplier": multiplier if wide else Requant(multiplier, shift),
        "shift": shift,
        "wide": int(wide),
        "activation": activation(node.attrs["clamp"]),
    }
    return _step(
        lowering, node, "mcugen_reduce_sum_s8", PROVED, ("params", Struct("mcugen_reduce_sum_params", fields))
    )


def _small_sum(graph: Graph, node: Node) -> str | None:
    """A sum takes at most 8,000,000 values, so that int32 holds it. Reduce in two steps."""
    count = _parts(graph, node)[1]
    return None if count <= 8_000_000 else f"{count} here"


def _extreme(name: str, onnx_op: str) -> OpDef:
    return OpDef(
        name=name,
        onnx=(onnx_op,),
        canonical=_canonical_extreme(onnx_op),
        lower=_lower_extreme(f"mcugen_{name}_s8"),
        fit=_fit,
        layout="axes",
        exactness=COPY,
        about="over any axes",
    )


def _arg(name: str, onnx_op: str) -> OpDef:
    return OpDef(
        name=name,
        onnx=(onnx_op,),
        recognise=_recognise_arg(name),
        canonical=_canonical_arg(onnx_op),
        lower=_lower_arg(f"mcugen_{name}_s8"),
        fit=_fit,
        layout="axes",
        exactness=PROVED,
        about="int64 positions, as ONNX has them",
    )


def _sum(name: str, onnx_op: str, canonical: Callable[[Canonical, Node], None]) -> OpDef:
    return OpDef(
        name=name,
        onnx=(onnx_op,),
        recognise=_recognise(name),
        canonical=canonical,
        lower=_lower_sum,
        fit=_fit,
        layout="axes",
        exactness=PROVED,
        limits=(_small_sum,),
        about="over any axes; integer form (ONNX Runtime computes it in float)",
    )


REDUCE_MAX = _extreme("reduce_max", "ReduceMax")
REDUCE_MIN = _extreme("reduce_min", "ReduceMin")
REDUCE_MEAN = _sum("reduce_mean", "ReduceMean", _canonical_mean)
REDUCE_SUM = _sum("reduce_sum", "ReduceSum", _canonical_sum)
ARG_MAX = _arg("arg_max", "ArgMax")
ARG_MIN = _arg("arg_min", "ArgMin")
