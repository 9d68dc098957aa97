"""How far a kernel's output may reach into its dying input.

All kernels named here make their output in the order of its addresses, and what they have not yet read lies at growing
addresses too. So the output may begin a few bytes before the input and follow the reading: `lead` is the least distance
at which no byte is overwritten before its last use. The C file of each kernel states the same as "Order:", and the
tests run every one at exactly this distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..ir import Graph, Node
from ..step import Step


@dataclass(frozen=True)
class Order:
    """A window kernel makes `pixels` adjacent output pixels (all channels) at a time, groups in raster order.

    The windows of a group are not read again once the next group has begun; copied: not even once it is being written.
    anywhere: a group may begin at any pixel, as the borders have it; lanes: it has as many pixels as fit that many
    channels, at least one.
    """

    pixels: int
    copied: bool = False
    anywhere: bool = False
    lanes: int = 0


ORDERS = {
    "mcugen_conv_dsp": Order(2, copied=True),
    "mcugen_depthwise_dsp": Order(1),
    "mcugen_conv_scalar": Order(2),
    "mcugen_depthwise_scalar": Order(1),
    "mcugen_conv_mve": Order(2, anywhere=True),
    "mcugen_depthwise_mve": Order(1, anywhere=True, lanes=16),
    "arm_convolve_wrapper_s8": Order(1),
    "arm_depthwise_conv_wrapper_s8": Order(1),
    "arm_max_pool_s8": Order(1),
    "mcugen_average_pool_s8": Order(1),
    "mcugen_convolve_direct_s8": Order(1),
}


# Element by element (or row by row), from the first to the last: their output may lie anywhere before its operand.
_BINARY = ("add", "sub", "mul", "div", "min", "max")
_FORWARD = {
    *(f"mcugen_{name}{kind}_s8" for name in _BINARY for kind in ("", "_broadcast")),
    *(f"mcugen_{name}_s16" for name in _BINARY),
    "mcugen_lut_s8",
    "mcugen_channel_lut_s8",
    "mcugen_softmax_s8",
}


def overlap(graph: Graph, node: Node, step: Step, library: str) -> tuple[tuple[str, int], ...]:
    """(input, lead in bytes) for the inputs that the step's output may overlap.

    Nothing is known of the order in which Arm's kernels work (library "arm").
    """
    size = graph.type(step.outputs[0]).bytes
    forward = step.in_place if step.kernel in _FORWARD else ()
    found = {name: 0 for name in forward if graph.type(name).bytes == size}
    order = ORDERS.get(step.kernel)
    unordered = step.kernel.startswith("arm_") and library == "arm"
    if order is not None and not unordered:
        x, y = graph.type(node.inputs[0]).shape, graph.type(node.output).shape
        if "strides" not in node.attrs:  # fully connected: every vector is a pixel
            x, y = (1, 1, int(np.prod(x[:-1])), x[-1]), (1, 1, int(np.prod(y[:-1])), y[-1])
        strides, pads = node.attrs.get("strides", (1, 1)), node.attrs.get("pads", (0, 0))
        found[step.inputs[0]] = window_lead(x, y, strides, pads, order)
    return tuple(found.items())


def window_lead(x: Sequence[int], y: Sequence[int], strides: Sequence[int], pads: Sequence[int], order: Order) -> int:
    """max over groups of (bytes written when it is done - lowest byte read while it is written or later).

    x, y: shapes NHWC of input and output; strides (h, w); pads (top, left, ...).
    """
    (batch, height, width, channels), (_, rows, columns, outputs) = x, y
    (stride_h, stride_w), (top, left) = strides, pads[:2]
    first_row = np.clip(np.arange(rows) * stride_h - top, 0, height)
    first_column = np.clip(np.arange(columns) * stride_w - left, 0, width)
    window = (first_row[:, None] * width + first_column[None, :]) * channels
    images = np.arange(batch)[:, None, None] * (height * width * channels)
    reads = (images + window[None]).reshape(-1)
    lowest = np.minimum.accumulate(reads[::-1])[::-1]
    pixels = max(order.pixels, order.lanes // outputs)
    first = np.arange(0, reads.size, 1 if order.anywhere else pixels)
    behind = np.minimum(first + pixels, reads.size)
    still_read = behind if order.copied else first
    needs = behind * outputs - np.append(lowest, reads.size * outputs)[still_read]  # behind the last one: no matter
    return max(0, int(needs.max()))
