"""Pooling of float32 tensors: max, and averages summed in ORT's order.

x float32[N,H,W,C] -> y float32[N,OH,OW,C]. An average is the sum of its window divided by the count, row by row from 0
or column by column (`pool.summing_order`); a global one is summed in four lanes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir import Graph, Node
from ..step import COPY, REPLICATED, Buffer, Step, Struct
from .base import Canonical, FloatUnit, Lowering, OpDef
from .conv import tile
from .one_dimension import with_height
from .pool import (
    COLUMNS,
    LANES,
    average_attrs,
    columns_average,
    max_pool_attrs,
    max_pool_window,
    onnx_average,
    summing_order,
    takes_layout,
    window_args,
)

_KEEP_LAYOUT = ("Relu", "Sigmoid", "Tanh", "HardSigmoid", "Add", "Sum", "Mul")  # ORT's layout of channels


def _max_from_float(unit: FloatUnit) -> Node:
    geometry = max_pool_attrs(unit.node, unit.type(0).shape[2:])
    return unit.make("float_max_pool", (unit.name(0),), **geometry)


def _average_from_float(unit: FloatUnit) -> Node:
    shape = unit.type(0).shape
    found = average_attrs(unit.node, shape[2:])
    order = summing_order(unit.node, found, shape)
    if order == LANES:
        return unit.make("float_global_average_pool", (unit.name(0),))
    return unit.make("float_average_pool", (unit.name(0),), by_columns=order == COLUMNS, **found)


def _global_from_float(unit: FloatUnit) -> Node:
    x, spatial = unit.name(0), unit.type(0).shape[2:]
    if (x in unit.graph.inputs and takes_layout(unit.type(0).shape)) or _in_layout(unit.graph, x):
        # Each channel is summed as by AveragePool.
        window = {"kernel": tuple(spatial), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
        return unit.make("float_average_pool", (x,), by_columns=False, include_pad=False, ceil_mode=0, **window)
    return unit.make("float_global_average_pool", (x,))


def _in_layout(graph: Graph, name: str) -> bool:
    """True if ORT has the tensor in its channel layout, by what makes it: a pool, and what keeps the layout behind it.

    Not asked of convolutions: what stands behind them is within their tolerance.
    """
    producers, names = graph.producers(), [name]
    seen: set[str] = set()
    while names:
        name = names.pop()
        maker, shape = producers.get(name), graph.type(name).shape
        if maker is None or not takes_layout(shape):
            return False
        joined = maker.op == "Concat" and maker.attrs["axis"] in (1, -3)
        alike = all(graph.type(operand).shape == shape for operand in maker.inputs)
        if joined or (maker.op in _KEEP_LAYOUT and alike):
            names.extend(set(maker.inputs) - seen)
            seen.update(maker.inputs)
        elif maker.op not in ("MaxPool", "AveragePool"):
            return False
    return True


def _canonical_max(c: Canonical, node: Node) -> None:
    y = f"{node.output}/nchw"
    c.add("MaxPool", [c.nchw(node.inputs[0])], y, **max_pool_window(c.graph, node))
    c.bounded(node, c.from_nchw(y, f"{node.output}/nhwc"))


def _canonical_average(c: Canonical, node: Node) -> None:
    if node.attrs["by_columns"]:
        y = columns_average(c, node, c.nchw(node.inputs[0]))
        c.bounded(node, c.from_nchw(y, f"{node.output}/nhwc"))
        return
    dilations = None if node.attrs["dilations"] == (1, 1) else node.attrs["dilations"]  # opset 19
    y = c.add("AveragePool", [c.nchw(node.inputs[0])], f"{node.output}/nchw", **onnx_average(node), dilations=dilations)
    c.bounded(node, c.from_nchw(y, f"{node.output}/nhwc"))


def _canonical_global(c: Canonical, node: Node) -> None:
    y = c.add("GlobalAveragePool", [c.nchw(node.inputs[0])], f"{node.output}/nchw")
    c.bounded(node, c.from_nchw(y, f"{node.output}/nhwc"))


def _window_step(lowering: Lowering, node: Node, kernel: str, exactness: str, extra: dict[str, Any]) -> Step:
    x = node.inputs[0]
    low, high = node.attrs["clamp"]
    geometry = {"stride": "strides", "padding": "pads", "dilation": "dilations"}
    fields = {name: tile(node.attrs[key][:2]) for name, key in geometry.items()} | extra
    fields |= {"low": np.float32(low), "high": np.float32(high)}
    return Step(
        name=lowering.name,
        kernel=kernel,
        args=(
            ("params", Struct("mcugen_f32_pool_params", fields)),
            *window_args(lowering, node, node.attrs["kernel"]),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=exactness,
        origin=node.origin,
    )


def _lower_max(lowering: Lowering, node: Node) -> Step:
    return _window_step(lowering, node, "mcugen_f32_max_pool", COPY, {})


def _lower_average(lowering: Lowering, node: Node) -> Step:
    flags = {"count_include_pad": int(node.attrs["include_pad"]), "by_columns": int(node.attrs["by_columns"])}
    pads = {"padding_end": tile(node.attrs["pads"][2:])}
    return _window_step(lowering, node, "mcugen_f32_average_pool", REPLICATED, pads | flags)


def _lower_global(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    batch, height, width, channels = lowering.type(x).shape
    low, high = node.attrs["clamp"]
    return Step(
        name=lowering.name,
        kernel="mcugen_f32_global_average_pool",
        args=(
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("images", batch),
            ("pixels", height * width),
            ("channels", channels),
            ("low", np.float32(low)),
            ("high", np.float32(high)),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=REPLICATED,
        origin=node.origin,
    )


FLOAT_MAX_POOL = OpDef(
    name="float_max_pool",
    onnx=("MaxPool",),
    from_float=_max_from_float,
    canonical=_canonical_max,
    lower=_lower_max,
    fit=with_height,
    layout="spatial",
    exactness=COPY,
    about="float32, 1-D to 3-D",
)

FLOAT_AVERAGE_POOL = OpDef(
    name="float_average_pool",
    onnx=("AveragePool",),
    from_float=_average_from_float,
    canonical=_canonical_average,
    lower=_lower_average,
    fit=with_height,
    layout="spatial",
    exactness=REPLICATED,
    about="float32, 1-D and 2-D, any padding and count_include_pad; before opset 19 in the order of CPUs with AVX-512",
)

FLOAT_GLOBAL_AVERAGE_POOL = OpDef(
    name="float_global_average_pool",
    onnx=("GlobalAveragePool",),
    from_float=_global_from_float,
    canonical=_canonical_global,
    lower=_lower_global,
    fit=with_height,
    layout="spatial",
    exactness=REPLICATED,
    about="float32",
)
