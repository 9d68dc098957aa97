"""Weights of 4 bits, two a byte."""

from __future__ import annotations

import numpy as np


def fits(weights: np.ndarray) -> bool:
    """Is every weight one of the sixteen that 4 bits hold?"""
    return bool(weights.size and weights.min() >= -8 and weights.max() <= 7)


def pack(filters: np.ndarray) -> np.ndarray:
    """int8[O, ceil(K / 2)] from filters [O, ...] of K weights in -8..7: the first in the low half of a byte."""
    assert fits(filters)
    flat = filters.reshape(len(filters), -1).astype(np.uint8)
    pairs = np.pad(flat, ((0, 0), (0, flat.shape[1] % 2)))
    return ((pairs[:, 0::2] & 15) | (pairs[:, 1::2] << 4)).astype(np.uint8).view(np.int8)
