"""Weights of 4 bits, two a byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..ir import Node
from ..step import INTEGER, Buffer, Scratch, Step, Struct, Table
from .base import Lowering
from .channels import Channels


def fits(weights: np.ndarray) -> bool:
    """Is every weight one of the sixteen that 4 bits hold?"""
    return bool(weights.size and weights.min() >= -8 and weights.max() <= 7)


def pack(filters: np.ndarray) -> np.ndarray:
    """int8[O, ceil(K / 2)] from filters [O, ...] of K weights in -8..7: the first in the low half of a byte."""
    assert fits(filters)
    flat = filters.reshape(len(filters), -1).astype(np.uint8)
    pairs = np.pad(flat, ((0, 0), (0, flat.shape[1] % 2)))
    return ((pairs[:, 0::2] & 15) | (pairs[:, 1::2] << 4)).astype(np.uint8).view(np.int8)


def in_four_bits(lower: Callable[[Lowering, Node], Step]) -> Callable[[Lowering, Node], Step]:
    """`lower` of a layer of 8-bit activations; where its weights come in 4 bits, ORT computes it in float."""

    def lowered(lowering: Lowering, node: Node) -> Step:
        step = lower(lowering, node)
        if node.attrs.get("weight_bits") != 4:
            return step
        notes = () if step.kernel == _KERNEL else ("weights of 4 bits stored in 8",)
        return replace(step, exactness=INTEGER, codes=1, notes=(*step.notes, *notes))

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
    if node.attrs.get("weight_bits") != 4 or not layer.fast or not fits(weights) or weights[0].size == 1:
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
            ("bias", Table("bias", layer.bias)),
            ("output_dims", output_dims),
            ("output", Buffer(node.output)),
        ),
        scratch_bytes=weights[0].size,
        **common,
    )
