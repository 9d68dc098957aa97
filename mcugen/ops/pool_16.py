"""Averages of windows of 16-bit activations. ORT sums in float32, in the order of `pool.summing_order`.

The kernel sums integers, and floats in ORT's order where the mean lies near a tie: requant.wide_pool_params.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .. import requant
from ..ir import Graph, Node
from ..step import REPLICATED, Step, Struct
from .base import Canonical, Lowering, OpDef, Unit, members
from .conv import tile
from .pool import (
    AVERAGE_POOL,
    COLUMNS,
    GLOBAL_AVERAGE_POOL,
    LANES,
    columns_average,
    onnx_average,
    quantized_average_attrs,
    summing_order,
    window_args,
)


def _recognise_average(unit: Unit) -> Node:
    shape = unit.type(0).shape
    found = quantized_average_attrs(unit.node, shape[2:])
    order = summing_order(unit.node, found, shape)
    if order == LANES:
        return _recognise_global(unit)
    return unit.make("average_pool_16", (unit.inputs[0],), clamp=unit.clamp, by_columns=order == COLUMNS, **found)


def _recognise_global(unit: Unit) -> Node:
    return unit.make("global_average_pool_16", (unit.inputs[0],), clamp=unit.clamp)


def _is_global(node: Node) -> bool:
    return node.op == "global_average_pool_16"


def _canonical(c: Canonical, node: Node) -> None:
    x, y = node.inputs[0], node.output
    real = c.add("Transpose", [c.real(x, y)], f"{y}/real nchw", perm=[0, 3, 1, 2])
    if _is_global(node):
        mean = c.add("GlobalAveragePool", [real], f"{y}/mean")
    elif node.attrs["by_columns"]:
        mean = columns_average(c, node, real)
    else:
        mean = c.add("AveragePool", [real], f"{y}/mean", **onnx_average(node))
    last = c.from_nchw(mean, f"{y}/mean nhwc")
    c.clamped(node, lambda output: c.add("QuantizeLinear", [last, *c.q(y)], output))


def _window(graph: Graph, node: Node) -> tuple[int, int]:
    _, height, width, _ = graph.type(node.inputs[0]).shape
    return (height, width) if _is_global(node) else node.attrs["kernel"]


def _lower(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    window = _window(lowering.graph, node)
    pads = node.attrs.get("pads", (0, 0, 0, 0))
    operands = (*lowering.quant(x), *lowering.quant(node.output))
    params = requant.wide_pool_params(*operands, int(np.prod(window)), activation=node.attrs["clamp"])
    fields = {
        "stride": tile(node.attrs.get("strides", (1, 1))),
        "padding": tile(pads[:2]),
        "padding_end": tile(pads[2:]),
        "count_include_pad": int(node.attrs.get("include_pad", False)),
        "lanes": int(_is_global(node)),
        "by_columns": int(node.attrs.get("by_columns", False)),
    }
    return Step(
        name=lowering.name,
        kernel="mcugen_average_pool_s16",
        args=(
            ("params", Struct("mcugen_average_pool_s16_params", fields | members(params))),
            *window_args(lowering, node, window),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=REPLICATED,
        origin=node.origin,
    )


def _small_window(graph: Graph, node: Node) -> str | None:
    """A window takes at most 65,535 values, so that int32 holds their sum. Pool in two steps."""
    count = int(np.prod(_window(graph, node)))
    return None if count < 65536 else f"it has {count:,}"


def _definition(narrow: OpDef, onnx_op: str, recognise: Callable[[Unit], Node], about: str) -> OpDef:
    return replace(
        narrow,
        name=f"{narrow.name}_16",
        onnx=(onnx_op,),
        recognise=recognise,
        canonical=_canonical,
        lower=_lower,
        exactness=REPLICATED,
        limits=(_small_window,),
        in_float=True,
        bits=(16,),
        about=f"16-bit tensors; {about}",
    )


AVERAGE_POOL_16 = _definition(AVERAGE_POOL, "AveragePool", _recognise_average, AVERAGE_POOL.about)
GLOBAL_AVERAGE_POOL_16 = _definition(
    GLOBAL_AVERAGE_POOL, "GlobalAveragePool", _recognise_global, "ONNX Runtime's float32 sum in its order"
)
