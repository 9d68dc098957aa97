"""Pooling of float32 tensors: max, and averages.

x float32[N,H,W,C] -> y float32[N,OH,OW,C]. An average is the sum of its window row by row, from 0, divided by the
count, as ORT has it from opset 19 on; before, it adds the columns of a window first. A global one is summed in four
lanes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..ir import Node
from ..step import COPY, FLOAT, REPLICATED, Buffer, Step, Struct
from .base import Canonical, FloatUnit, Lowering, OpDef
from .conv import tile
from .one_dimension import with_height
from .pool import average_attrs, max_pool_attrs, max_pool_window, onnx_average, window_args

TOLERANCE = 1e-5
_LANES = 16  # floats in a vector of ORT's channel layout, on CPUs with AVX-512


def _max_from_float(unit: FloatUnit) -> Node:
    geometry = max_pool_attrs(unit.node, unit.type(0).shape[2:])
    return unit.make("float_max_pool", (unit.name(0),), **geometry)


def _average_from_float(unit: FloatUnit) -> Node:
    found = average_attrs(unit.node, unit.type(0).shape[2:])
    return unit.make("float_average_pool", (unit.name(0),), **found)


def _global_from_float(unit: FloatUnit) -> Node:
    x = unit.name(0)
    channels, *spatial = unit.type(0).shape[1:]
    if x in unit.graph.inputs and channels % _LANES == 0 and len(spatial) == 2:
        # ORT's layout for vectors of channels, which it takes here: each channel is summed as by AveragePool.
        window = {"kernel": tuple(spatial), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
        return unit.make("float_average_pool", (x,), include_pad=False, ceil_mode=0, **window)
    return unit.make("float_global_average_pool", (x,))


def _canonical_max(c: Canonical, node: Node) -> None:
    y = f"{node.output}/nchw"
    c.add("MaxPool", [c.nchw(node.inputs[0])], y, **max_pool_window(c.graph, node))
    c.bounded(node, c.from_nchw(y, f"{node.output}/nhwc"))


def _canonical_average(c: Canonical, node: Node) -> None:
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
    include = {"count_include_pad": int(node.attrs["include_pad"])}
    pads = {"padding_end": tile(node.attrs["pads"][2:])}
    step = _window_step(lowering, node, "mcugen_f32_average_pool", FLOAT, pads | include)
    return replace(step, tolerance=TOLERANCE)


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
    exactness=FLOAT,
    about="float32, 1-D and 2-D, any padding and count_include_pad; equal from opset 19 on, before within "
    f"{TOLERANCE:g} of the largest result",
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
