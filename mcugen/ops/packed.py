"""Weights of 4 bits, two a byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..ir import Node
from ..step import Buffer, Scratch, Step, Struct, Table
from .base import Lowering
from .channels import Channels


def fits(weights: np.ndarray) -> bool:
    """Is every weight one of the sixteen that 4 bits hold?"""
    return bool(weights.size and weights.min() >= -8 and weights.max() <= 7)


def pack(filters: np.ndarray) -> np.ndarray:
    """int8[O, 4 * ceil(K / 8)] from filters [O, ...] of K weights in -8..7.

    Eight a word, and 8 more each, the first in the lowest bits.
    """
    assert fits(filters)
    flat = filters.reshape(len(filters), -1).astype(np.int16) + 8
    pairs = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8))).astype(np.uint8)
    return (pairs[:, 0::2] | (pairs[:, 1::2] << 4)).view(np.int8)


def is_smaller(filters: np.ndarray) -> bool:
    """Do whole words of eight weights take less than a byte a weight?"""
    size = filters[0].size
    return 4 * -(-size // 8) < size


def columns_bytes(filters: np.ndarray, pixels: int) -> int:
    """The scratch of mcugen_convolve_s4: the taps of two windows as int16, in groups of at most 16."""
    return min(pixels, 2) * -(-filters[0].size // 16) * 16 * np.dtype(np.int16).itemsize


def in_four_bits(lower: Callable[[Lowering, Node], Step]) -> Callable[[Lowering, Node], Step]:
    """`lower` of a layer of 8-bit activations, which says so where weights of 4 bits are stored in 8."""

    def lowered(lowering: Lowering, node: Node) -> Step:
        step = lower(lowering, node)
        if node.attrs.get("weight_bits") != 4 or step.kernel == _KERNEL:
            return step
        return replace(step, notes=(*step.notes, "weights of 4 bits stored in 8"))

    return lowered


_KERNEL = "mcugen_convolve_s4"


def packed_step(
    node: Node,
    layer: Channels,
    weights: np.ndarray,
    fields: Mapping[str, Any],
    shapes: tuple[Struct, Struct, Struct],
    common: Mapping[str, Any],
) -> Step | None:
    """The call that keeps the weights packed; None where the layer has none of 4 bits, or needs another kernel.

    weights int8[O,KH,KW,C/groups]; shapes: of input, filter and output.
    """
    if node.attrs.get("weight_bits") != 4 or not layer.fast or not fits(weights) or not is_smaller(weights):
        return None
    folded = layer.bias.astype(np.int64) + fields["input_offset"] * weights.reshape(len(weights), -1).sum(axis=1)
    if np.abs(folded).max(initial=0) >= 2**31:
        return None
    input_dims, filter_dims, output_dims = shapes
    tables = {"multiplier": layer.multiplier, "shift": layer.shift}
    return Step(
        kernel=_KERNEL,
        args=(
            ("context", Scratch()),
            ("params", Struct("mcugen_direct_params", {**fields, **tables})),
            ("input_dims", input_dims),
            ("input", Buffer(node.inputs[0])),
            ("filter_dims", filter_dims),
            ("filter", Table("weights", pack(weights))),
            ("bias", Table("bias", folded.astype(np.int32))),
            ("output_dims", output_dims),
            ("output", Buffer(node.output)),
        ),
        scratch_bytes=columns_bytes(weights, output_dims.fields["h"] * output_dims.fields["w"]),
        **common,
    )
