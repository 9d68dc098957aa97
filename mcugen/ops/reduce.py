"""ReduceMax, ReduceMin, ReduceMean, ReduceSum, ArgMax and ArgMin over neighbouring axes: [outer, reduced, inner].

The largest and smallest of bytes are exact copies. ORT computes mean and sum in float32, in an order that depends on
which axes are reduced (measured; see `sum_order`); the kernel has the same orders for what an integer sum leaves open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import requant
from ..errors import UserError
from ..ir import Graph, Node, attrs
from ..step import COPY, PROVED, REPLICATED, Buffer, Step, Struct
from .base import Canonical, Fitter, Lowering, OpDef, Unit, members, widened


def no_axes(graph: Graph, node: Node) -> bool:
    """Does an ONNX Reduce* node say that it reduces nothing?"""
    name = node.inputs[1] if len(node.inputs) > 1 else ""
    axes = graph.data(name)
    empty = not node.attrs.get("axes", ()) and (not name or (axes is not None and axes.size == 0))
    return empty and bool(node.attrs.get("noop_with_empty_axes", 0))


def axes_of(graph: Graph, node: Node, rank: int) -> tuple[int, ...]:
    """Of an ONNX Reduce* node: from its attribute or its second input; all axes if there are none."""
    given = node.attrs.get("axes", ())
    if len(node.inputs) > 1 and node.inputs[1]:
        data = graph.data(node.inputs[1])
        if data is None:
            raise UserError("the axes are computed at run time", origin=node.where, hint="Export constant axes.")
        given = tuple(int(axis) for axis in data.reshape(-1))
    if no_axes(graph, node):
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


SEQUENTIAL, LANES, BLOCKS, RUNS = 0, 1, 2, 3  # MCUGEN_SUM_*


def sum_order(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, int]:
    """(how ORT adds up, the length of a run).

    Sizes of 1 dropped, but for a last dimension that is kept, and neighbours merged, K being kept and R reduced:

    R, KR    four lanes, two vectors at a time, counted from where a row meets a 16-byte boundary
    KRK      a + (((b + c) + d) + e), four at a time
    RKR      lanes within each run of the last R, then the runs; not behind a kept dimension of size 1
    others   one after the other
    """
    last = len(shape) - 1
    kinds = [
        "R" if axis in axes else "K"
        for axis, size in enumerate(shape)
        if size != 1 or (axis == last and axis not in axes)
    ]
    pattern = "".join(kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] != kind)
    order = {"R": LANES, "KR": LANES, "KRK": BLOCKS, "RKR": RUNS}.get(pattern, SEQUENTIAL)
    if order != RUNS:
        return order, 0
    if 0 not in axes:
        return SEQUENTIAL, 0
    last_kept = max(axis for axis, size in enumerate(shape) if axis not in axes and size != 1)
    return order, int(np.prod(shape[last_kept + 1 :], dtype=np.int64))


def stored_axes(shape: Sequence[int], perm: Sequence[int], axes: Sequence[int]) -> tuple[int, ...] | None:
    """`axes` of transpose(stored, perm) as axes of stored, which has `shape`.

    None if they do not lie together there, or if kept or reduced axes change their order among themselves.
    """
    kept = [perm[axis] for axis in range(len(perm)) if axis not in axes and shape[perm[axis]] != 1]
    reduced = [perm[axis] for axis in axes if shape[perm[axis]] != 1]
    if kept != sorted(kept) or reduced != sorted(reduced) or three_parts(shape, reduced) is None:
        return None
    return tuple(perm[axis] for axis in axes)


def neighbours(fit: Fitter, node: Node) -> bool:
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


def parts_of(graph: Graph, node: Node) -> tuple[int, int, int]:
    found = three_parts(graph.type(node.inputs[0]).shape, node.attrs["axes"])
    assert found is not None, node.where
    return found


def _recognise(op: str) -> Callable[[Unit], Node]:
    def recognise(unit: Unit) -> Node:
        shape = unit.type(0).shape
        axes = axes_of(unit.graph, unit.node, len(shape))
        order, run = sum_order(shape, axes)
        return unit.make(op, unit.inputs[:1], axes=axes, clamp=unit.clamp, order=order, run=run)

    return recognise


def arg_of(graph: Graph, node: Node, x: str) -> Node:
    """The operator for an ONNX ArgMax or ArgMin of the tensor x: of 8-bit codes, or of float32 numbers."""
    axis = int(node.attrs.get("axis", 0)) % len(graph.type(x).shape)
    chosen = attrs(axes=(axis,), last=int(node.attrs.get("select_last_index", 0)))
    if graph.type(x).dtype not in ("float32", "int8", "uint8", "int16", "uint16"):
        raise UserError(
            f"{node.op} of {graph.type(x).dtype} numbers is not supported",
            origin=node.where,
            hint="Cast them to float32 before export.",
        )
    return Node({"ArgMax": "arg_max", "ArgMin": "arg_min"}[node.op], (x,), node.outputs, chosen, node.origin)


# Meaning


def _canonical_extreme(onnx_op: str) -> Callable[[Canonical, Node], None]:
    def canonical(c: Canonical, node: Node) -> None:
        x, y = node.inputs[0], node.output
        axes = c.constant(f"{y}/axes", np.array(node.attrs["axes"], np.int64))
        if c.graph.type(y).dtype == "int16":
            c.narrow(c.add(onnx_op, [c.wide(x, y), axes], f"{y}/wide", keepdims=1), y)
        else:
            c.add(onnx_op, [c.tensor(x), axes], y, keepdims=1)

    return canonical


def _canonical_arg(onnx_op: str) -> Callable[[Canonical, Node], None]:
    def canonical(c: Canonical, node: Node) -> None:
        (axis,) = node.attrs["axes"]
        last = node.attrs["last"]
        c.add(onnx_op, [c.tensor(node.inputs[0])], node.output, axis=axis, keepdims=1, select_last_index=last)

    return canonical


def _canonical_sum(onnx_op: str) -> Callable[[Canonical, Node], None]:
    """The reduction in the layout that makes ORT add in the node's order, on real numbers."""

    def canonical(c: Canonical, node: Node) -> None:
        x, key, order = node.inputs[0], node.output, node.attrs["order"]
        outer, reduced, inner = parts_of(c.graph, node)
        run = node.attrs["run"] or reduced
        runs = reduced // run
        axes, perm, shape = {
            LANES: ([1], [0, 3, 1, 2], (outer * inner, reduced)),
            SEQUENTIAL: ([0], [1, 2, 0, 3], (reduced, outer * inner)),
            BLOCKS: ([1], [0, 1, 2, 3], (outer, reduced, inner)),
            RUNS: ([0, 2], [1, 0, 3, 2], (runs, outer * inner, run)),
        }[order]
        parts = c.reshaped(c.tensor(x), (outer, runs, run, inner), f"{key}/parts")
        turned = c.reshaped(c.add("Transpose", [parts], f"{key}/turned", perm=perm), shape, f"{key}/rows")
        real = c.add("DequantizeLinear", [turned, *c.q(x)], f"{key}/real")
        over = c.constant(f"{key}/axes", np.array(axes, np.int64))
        total = c.reshaped(c.add(onnx_op, [real, over], f"{key}/total"), c.graph.type(key).shape, f"{key}/reals")
        c.clamped(node, lambda output: c.add("QuantizeLinear", [total, *c.q(key)], output))

    return canonical


# Calls


def _step(lowering: Lowering, node: Node, kernel: str, exactness: str, *before: tuple[str, Any]) -> Step:
    x = node.inputs[0]
    outer, reduced, inner = parts_of(lowering.graph, node)
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
    def lower(lowering: Lowering, node: Node) -> Step:
        kind = "s16" if lowering.type(node.output).dtype == "int16" else "s8"
        return _step(lowering, node, f"{kernel}_{kind}", COPY)

    return lower


def _lower_arg(lowering: Lowering, node: Node) -> Step:
    is_float = lowering.type(node.inputs[0]).dtype == "float32"
    kernel = f"mcugen_f32_{node.op}" if is_float else f"mcugen_{node.op}_s8"
    return _step(lowering, node, kernel, PROVED, ("last", node.attrs["last"]))


def _lower_sum(lowering: Lowering, node: Node) -> Step:
    reduced = parts_of(lowering.graph, node)[1]
    operands = (*lowering.quant(node.inputs[0]), *lowering.quant(node.output), reduced)
    options = {"mean": node.op.startswith("reduce_mean"), "activation": node.attrs["clamp"]}
    order = {"order": node.attrs["order"], "run": node.attrs["run"]}
    if node.op.endswith("_16"):
        struct = Struct(
            "mcugen_reduce_sum_s16_params", order | members(requant.wide_reduce_params(*operands, **options))
        )
        return _step(lowering, node, "mcugen_reduce_sum_s16", REPLICATED, ("params", struct))
    struct = Struct("mcugen_reduce_sum_params", order | members(requant.reduce_params(*operands, **options)))
    return _step(lowering, node, "mcugen_reduce_sum_s8", REPLICATED, ("params", struct))


def _small_sum(graph: Graph, node: Node) -> str | None:
    """A sum takes at most 8,000,000 values, so that int32 holds it. Reduce in two steps."""
    count = parts_of(graph, node)[1]
    return None if count <= 8_000_000 else f"{count} here"


def _extreme(name: str, onnx_op: str) -> OpDef:
    return OpDef(
        name=name,
        onnx=(onnx_op,),
        canonical=_canonical_extreme(onnx_op),
        lower=_lower_extreme(f"mcugen_{name}"),
        fit=neighbours,
        layout="axes",
        exactness=COPY,
        bits=(8, 16),
        about="over any axes",
    )


def _arg(name: str, onnx_op: str) -> OpDef:
    return OpDef(
        name=name,
        onnx=(onnx_op,),
        canonical=_canonical_arg(onnx_op),
        lower=_lower_arg,
        fit=neighbours,
        layout="axes",
        exactness=PROVED,
        about="int64 positions, as ONNX has them; of 8-bit or float32 numbers",
    )


def _sum(name: str, onnx_op: str) -> OpDef:
    return OpDef(
        name=name,
        onnx=(onnx_op,),
        recognise=_recognise(name),
        canonical=_canonical_sum(onnx_op),
        lower=_lower_sum,
        fit=neighbours,
        layout="axes",
        exactness=REPLICATED,
        limits=(_small_sum,),
        in_float=True,
        about="ONNX Runtime's float32 operations in its order; over any axes",
    )


def _wide(narrow: OpDef) -> OpDef:
    return replace(
        narrow,
        name=f"{narrow.name}_16",
        recognise=widened(narrow.recognise),
        bits=(16,),
        about=f"16-bit tensors; {narrow.about}",
    )


REDUCE_MAX = _extreme("reduce_max", "ReduceMax")
REDUCE_MIN = _extreme("reduce_min", "ReduceMin")
REDUCE_MEAN = _sum("reduce_mean", "ReduceMean")
REDUCE_SUM = _sum("reduce_sum", "ReduceSum")
REDUCE_MEAN_16 = _wide(REDUCE_MEAN)
REDUCE_SUM_16 = _wide(REDUCE_SUM)
ARG_MAX = _arg("arg_max", "ArgMax")
ARG_MIN = _arg("arg_min", "ArgMin")
