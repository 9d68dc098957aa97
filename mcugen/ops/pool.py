"""Pooling: max (exact copies), average in ORT's float order, and the global average on integer sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from .. import requant
from ..errors import UserError
from ..ir import Graph, Node
from ..step import COPY, PROVED, REPLICATED, SUM, Arg, Buffer, Requant, Scratch, Step, Struct
from .base import Canonical, Lowering, OpDef, Unit, activation, members
from .conv import dims, tile, window
from .one_dimension import with_height


def max_pool_attrs(node: Node, input_hw: tuple[int, ...]) -> dict[str, Any]:
    """Attributes of the integer max_pool; UserError for what no kernel does."""
    if len(input_hw) not in (1, 2):
        raise UserError(
            f"only 1-D and 2-D pooling is supported (it is {len(input_hw)}-D)",
            origin=node.where,
            hint="Reshape to fewer dimensions before export.",
        )
    if node.attrs.get("storage_order", 0):
        raise UserError("storage_order must be 0", origin=node.where, hint="Export it so: it only orders the indices.")
    kernel = tuple(node.attrs["kernel_shape"])
    shape = window(node, kernel, input_hw)
    return {"kernel": kernel, **shape}


def average_attrs(node: Node, input_hw: tuple[int, ...]) -> dict[str, Any]:
    """Attributes of an average pool; UserError for what no kernel does."""
    return {
        "include_pad": bool(node.attrs.get("count_include_pad", 0)),
        "ceil_mode": int(node.attrs.get("ceil_mode", 0)),
        **max_pool_attrs(node, input_hw),
    }


def quantized_average_attrs(node: Node, input_hw: tuple[int, ...]) -> dict[str, Any]:
    """The same between DequantizeLinear and QuantizeLinear: ORT makes an operator of it that has no dilations."""
    found = average_attrs(node, input_hw)
    if set(found["dilations"]) != {1}:
        raise UserError(
            "a quantized average pool with dilations is not supported",
            origin=node.where,
            hint="ONNX Runtime runs none of 8 bits; leave it in float32, or use a convolution.",
        )
    return found


# Orders in which ORT adds up a window of floats.
ROWS, LANES, COLUMNS = "rows", "lanes", "columns"
_VECTOR = 16  # floats in a vector of ORT's channel layout, on CPUs with AVX-512
_SMALL = 32  # the largest side of a window that ORT adds up by columns
_ROW = 2045  # floats of a padded row that it adds up so


def takes_layout(shape: tuple[int, ...]) -> bool:
    """True if ORT has vectors of channels of [N,C,H,W], in a layout of their own."""
    return len(shape) == 4 and shape[1] % _VECTOR == 0


def summing_order(node: Node, found: dict[str, Any], shape: tuple[int, ...]) -> str:
    """How ORT adds up the windows of a float AveragePool with the attributes `found`, of an input [N,C,...].

    Its kernel of opset 19 and its channel layout go row by row. The one before has four lanes for a window that is the
    whole input, and where vectors of neighbouring windows fit its buffer it adds up each column, then the columns.
    """
    spatial = shape[2:]
    if not node.attrs.get("before_19") or takes_layout(shape) or (found["include_pad"] and found["ceil_mode"]):
        return ROWS
    if found["kernel"] == spatial and not any(found["pads"]) and set(found["strides"]) == {1}:
        return LANES
    width = spatial[-1] + sum(found["pads"][len(spatial) - 1 :: len(spatial)])
    vectors = len(spatial) == 2 and found["strides"][-1] <= 2 and max(found["kernel"]) <= _SMALL and width <= _ROW
    return COLUMNS if vectors else ROWS


def _recognise_average(unit: Unit) -> Node:
    hw = unit.type(0).shape[2:]
    found = quantized_average_attrs(unit.node, hw)
    if found["kernel"] == tuple(hw) and not any(found["pads"]):
        return _recognise_global(unit)  # ORT's own rule: such a pool takes the integer path
    return unit.make("average_pool", (unit.inputs[0],), clamp=unit.clamp, **found)


def _recognise_global(unit: Unit) -> Node:
    return unit.make("global_average_pool", (unit.inputs[0],), clamp=unit.clamp)


def max_pool_window(graph: Graph, node: Node) -> dict[str, Any]:
    """Attributes of an ONNX MaxPool; ceil_mode where the output is larger than whole windows make it."""
    x_hw, y_hw = graph.type(node.inputs[0]).shape[1:3], graph.type(node.output).shape[1:3]
    kernel, strides, pads = node.attrs["kernel"], node.attrs["strides"], node.attrs["pads"]
    dilations = node.attrs["dilations"]
    room = [x_hw[i] + pads[i] + pads[i + 2] - (kernel[i] - 1) * dilations[i] - 1 for i in (0, 1)]
    ceil = any(y > r // s + 1 for y, r, s in zip(y_hw, room, strides, strict=True))
    return {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads, "ceil_mode": int(ceil)}


def _canonical_max(c: Canonical, node: Node) -> None:
    y, given = f"{node.output}/nchw", max_pool_window(c.graph, node)
    x = c.nchw(node.inputs[0])
    if c.graph.type(node.output).dtype == "int16":
        x = c.add("Cast", [x], f"{x}/wide", to=onnx.TensorProto.FLOAT)
        c.narrow(c.from_nchw(c.add("MaxPool", [x], y, **given), f"{node.output}/wide"), node.output)
        return
    c.add("MaxPool", [x], y, **given)
    c.from_nchw(y, node.output)


def onnx_average(node: Node) -> dict[str, Any]:
    """ONNX's attributes of an average pool."""
    return {
        "kernel_shape": node.attrs["kernel"],
        "strides": node.attrs["strides"],
        "pads": node.attrs["pads"],
        "count_include_pad": int(node.attrs["include_pad"]),
        "ceil_mode": node.attrs["ceil_mode"],
    }


def columns_average(c: Canonical, node: Node, x: str) -> str:
    """The averages [N,C,OH,OW] of x [N,C,H,W], each column of a window added up by itself; no dilations."""
    key, name = node.output, node.inputs[0]
    size, outputs = c.graph.type(name).shape[1:3], c.graph.type(node.output).shape[1:3]
    kernel, strides, pads = node.attrs["kernel"], node.attrs["strides"], node.attrs["pads"]
    counts = []
    for at in (0, 1):
        first = np.arange(outputs[at]) * strides[at] - pads[at]
        end = first + kernel[at]
        inside = np.minimum(end, size[at]) - np.maximum(first, 0)
        counts.append(np.full_like(inside, kernel[at]) if node.attrs["include_pad"] else inside)
        after = max(0, int(end[-1]) - size[at])
        # A padded column is 0, and a padded row none: -0 changes no sum.
        around = np.zeros((2, 4), np.int64)
        around[:, at + 2] = pads[at], after
        fill = c.constant(f"{key}/pad {at}", np.float32(0.0 if at else -0.0))
        x = c.add("Pad", [x, c.constant(f"{key}/pads {at}", around.reshape(-1)), fill], f"{key}/padded {at}")
        walk = {"axis": at + 2, "step": strides[at]}
        axis, step = (c.constant(f"{key}/{n} {at}", np.array([v])) for n, v in walk.items())
        total = ""
        for tap in range(kernel[at]):
            last = tap + (outputs[at] - 1) * strides[at] + 1
            ends = [c.constant(f"{key}/{n} {at} {tap}", np.array([v])) for n, v in (("from", tap), ("to", last))]
            taken = c.add("Slice", [x, *ends, axis, step], f"{key}/tap {at} {tap}")
            total = c.add("Add", [total, taken], f"{key}/sum {at} {tap}") if total else taken
        x = total
    return c.add("Div", [x, c.constant(f"{key}/counts", np.float32(np.outer(*counts)))], f"{key}/nchw")


def _canonical_average(c: Canonical, node: Node) -> None:
    x = node.inputs[0]
    inputs = [c.nchw(x), *c.q(x), *c.q(node.output)]

    def emit(output: str) -> None:
        c.add("QLinearAveragePool", inputs, f"{output}/nchw", "com.microsoft", **onnx_average(node))
        c.from_nchw(f"{output}/nchw", output)

    c.clamped(node, emit)


def _canonical_global(c: Canonical, node: Node) -> None:
    x = node.inputs[0]
    inputs = [c.nchw(x), *c.q(x), *c.q(node.output)]

    def emit(output: str) -> None:
        c.add("QLinearGlobalAveragePool", inputs, f"{output}/nchw", "com.microsoft", channels_last=0)
        c.from_nchw(f"{output}/nchw", output)

    c.clamped(node, emit)


def _geometry(node: Node) -> dict[str, Any]:
    return {"stride": tile(node.attrs["strides"]), "padding": tile(node.attrs["pads"][:2])}


def window_args(lowering: Lowering, node: Node, kernel: Sequence[int]) -> tuple[tuple[str, Arg], ...]:
    """Dimensions and pointers of a pool over windows (h, w), in the order in which the kernels take them."""
    x = node.inputs[0]
    return (
        ("input_dims", dims(lowering.type(x).shape)),
        ("input", Buffer(x)),
        ("filter_dims", dims((1, *kernel, 1))),
        ("output_dims", dims(lowering.type(node.output).shape)),
        ("output", Buffer(node.output)),
    )


def _lower_max(lowering: Lowering, node: Node) -> Step:
    x, dilations = node.inputs[0], node.attrs["dilations"]
    context: tuple[tuple[str, Any], ...] = (("context", Scratch()),)
    kernel, params, fields = "arm_max_pool_s8", "cmsis_nn_pool_params", {"activation": activation((-128, 127))}
    wide = lowering.type(x).dtype == "int16"
    if dilations != (1, 1) or wide:
        context = ()
        kernel, params = f"mcugen_max_pool_{'s16' if wide else 'dilated_s8'}", "mcugen_max_pool_dilated_params"
        fields = {"dilation": tile(dilations)}
    return Step(
        name=lowering.name,
        kernel=kernel,
        args=(
            *context,
            ("params", Struct(params, _geometry(node) | fields)),
            *window_args(lowering, node, node.attrs["kernel"]),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=COPY,
        origin=node.origin,
        returns_status=bool(context),
    )


def _lower_average(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    (x_scale, x_zero), (y_scale, y_zero) = lowering.quant(x), lowering.quant(node.output)
    params = requant.average_pool_params(
        x_scale,
        x_zero,
        y_scale,
        y_zero,
        int(np.prod(node.attrs["kernel"])),
        count_include_pad=node.attrs["include_pad"],
        unsigned=lowering.type(node.output).origin > 0,
        activation=node.attrs["clamp"],
    )
    fields = _geometry(node) | members(params)
    return Step(
        name=lowering.name,
        kernel="mcugen_average_pool_s8",
        args=(
            ("params", Struct("mcugen_average_pool_params", fields)),
            *window_args(lowering, node, node.attrs["kernel"]),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=REPLICATED,
        origin=node.origin,
    )


def _lower_global(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    images, height, width, channels = lowering.type(x).shape
    (x_scale, x_zero), (y_scale, y_zero) = lowering.quant(x), lowering.quant(node.output)
    scale = requant.global_average_scale(x_scale, y_scale, height * width)
    split = requant.split(np.atleast_1d(scale))
    fields = {
        "input_offset": -x_zero,
        "output_offset": y_zero,
        "multiplier": Requant(int(split.multiplier[0]), int(split.shift[0])),
        "shift": int(split.shift[0]),
        "activation": activation(node.attrs["clamp"]),
    }
    batch = (("images", images),) if images > 1 else ()
    return Step(
        name=lowering.name,
        kernel=f"mcugen_global_average_pool{'_images' if batch else ''}_s8",
        args=(
            ("params", Struct("mcugen_global_average_pool_params", fields)),
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            *batch,
            ("pixels", height * width),
            ("channels", channels),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=PROVED,
        origin=node.origin,
    )


def sum_rows(whole: Step, part: str, sums: str, pixels: int, *, first: bool) -> Step:
    """Adds the pixels of the tensor `part`, some rows of the input of the global average pool `whole`, to its sums."""
    return replace(
        whole,
        name=f"{whole.name}_sum",
        kernel=SUM,
        args=(
            ("input", Buffer(part)),
            ("sums", Buffer(sums)),
            ("pixels", pixels),
            ("channels", dict(whole.args)["channels"]),
            ("first", int(first)),
        ),
        inputs=(part,) if first else (part, sums),
        outputs=(sums,),
    )


def average_sums(whole: Step, sums: str) -> Step:
    """The output of the global average pool `whole`, from the sums of its channels, int32."""
    args = {"sums" if role == "input" else role: arg for role, arg in whole.args} | {"sums": Buffer(sums)}
    return replace(whole, kernel="mcugen_average_sums_s8", args=tuple(args.items()), inputs=(sums,))


def _within_precondition(graph: Graph, node: Node) -> str | None:
    """The mean must stay within 32767 output steps. Requantize the output with a larger scale."""
    x, y = graph.type(node.inputs[0]), graph.type(node.output)
    assert x.quant is not None and y.quant is not None
    count = x.shape[1] * x.shape[2]
    scale = requant.global_average_scale(x.quant.per_tensor[0], y.quant.per_tensor[0], count)
    reach = 255 * count
    exact = requant.exact_precondition(np.atleast_1d(scale), np.array([-reach]), np.array([reach]))
    return None if exact.all() else f"scale {float(scale):g} over {count} pixels"


MAX_POOL = OpDef(
    name="max_pool",
    onnx=("MaxPool", "GlobalMaxPool"),
    canonical=_canonical_max,
    lower=_lower_max,
    fit=with_height,
    layout="spatial",
    exactness=COPY,
    bits=(8, 16),
    about="1-D to 3-D; any kernel, stride, padding, dilation, ceil_mode; GlobalMaxPool",
)

AVERAGE_POOL = OpDef(
    name="average_pool",
    onnx=("AveragePool", "QLinearAveragePool"),
    recognise=_recognise_average,
    canonical=_canonical_average,
    lower=_lower_average,
    fit=with_height,
    layout="spatial",
    exactness=REPLICATED,
    about="1-D and 2-D; any kernel, stride, padding, count_include_pad, ceil_mode",
)

GLOBAL_AVERAGE_POOL = OpDef(
    name="global_average_pool",
    onnx=("GlobalAveragePool", "QLinearGlobalAveragePool"),
    recognise=_recognise_global,
    canonical=_canonical_global,
    lower=_lower_global,
    fit=with_height,
    layout="spatial",
    exactness=PROVED,
    limits=(_within_precondition,),
    about="and AveragePool over the whole input",
)
