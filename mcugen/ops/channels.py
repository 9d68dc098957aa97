"""What conv and fully connected share: weights times inputs, then one multiplier per output channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import requant
from ..ir import Node
from ..step import PROVED, STOCK, Table
from .base import Lowering


@dataclass(frozen=True)
class Channels:
    """Requantization of one layer: arrays of length C, as the kernel takes them."""

    multiplier: Table
    shift: Table
    bias: np.ndarray  # int32
    output_offset: int
    fast: bool  # False: needs mcugen_convolve_direct_s8, which wraps and saturates like ORT
    exactness: str
    notes: tuple[str, ...] = ()


def channels(lowering: Lowering, node: Node, weights: np.ndarray) -> Channels:
    """weights int8[C, K]: the taps of each output channel, zero point not yet taken off."""
    x, w, b = node.inputs
    count = len(weights)
    x_scale, x_zero = lowering.quant(x)
    y_scale, y_zero = lowering.quant(node.output)
    w_quant = lowering.type(w).quant
    assert w_quant is not None
    w_zero = np.broadcast_to(w_quant.zero_point, (count,))
    scale = np.broadcast_to(requant.conv_scale(x_scale, w_quant.scale, y_scale), (count,))
    bias = _bias(lowering, b, count)
    split = requant.split(scale)
    multiplier, shift = split.multiplier, split.shift
    # A channel whose scale is below 2^-32 gives 0 for every int32 accumulator: its bias must not overflow one.
    bias = np.where(multiplier == 0, np.int32(0), bias).astype(np.int32)
    low, high = requant.accumulator_range(weights, w_zero, bias, -128 - x_zero, 127 - x_zero)
    exact = requant.exact_precondition(scale, low, high) | (multiplier == 0)
    fast = bool(exact.all() and (w_zero == 0).all())
    if lowering.requant == "stock" and fast:
        return _stock(scale, low, high, bias, y_zero, node)
    if fast:
        return Channels(Table("multiplier", multiplier, shift), Table("shift", shift), bias, y_zero, True, PROVED)
    # The direct kernel takes the mantissas themselves, with or without an FPU.
    return Channels(Table("multiplier", multiplier), Table("shift", shift), bias, y_zero, False, PROVED)


def _bias(lowering: Lowering, name: str, count: int) -> np.ndarray:
    data = lowering.graph.data(name)
    return np.zeros(count, np.int32) if data is None else np.asarray(data, np.int32)


def _stock(
    scale: np.ndarray, low: np.ndarray, high: np.ndarray, bias: np.ndarray, zero_point: int, node: Node
) -> Channels:
    """Multipliers, bias and offset for a prebuilt CMSIS-NN with its own rounding, with a certificate a channel."""
    clamp_low, clamp_high = node.attrs["clamp"]
    solution = requant.solve_layer(scale, low, high, zero_point, clamp_low, clamp_high)
    missing = int((~solution.certified).sum())
    notes = (f"{missing} of {len(scale)} channels differ from ORT in some value under stock rounding",)
    return Channels(
        Table("multiplier", solution.multiplier),
        Table("shift", solution.shift),
        (bias + solution.bias_delta).astype(np.int32),
        zero_point - int(solution.output_offset_delta),
        True,
        STOCK if missing else PROVED,
        notes if missing else (),
    )
