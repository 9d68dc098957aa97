"""A function of 65,536 integers as quadratic pieces, and corrections where a piece misses.

A table of 16-bit inputs would take 128 KB. A smooth function takes a few: each run of 2^shift inputs is a polynomial in
fixed point, fitted to the function in real numbers. `fit` then evaluates all 65,536 inputs as the kernel does and notes
every one that comes out wrong, so what is stored is the table itself, without loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

INPUTS = 65536
# Fraction bits of the coefficients: with runs of at most 2^_LONGEST inputs each contributes less than 2^-6 of a step.
FRACTION = (14, 22, 30)
_SHORTEST, _LONGEST = 2, 12
_BEYOND = 4096.0  # steps outside the output's range to which the function is followed: the kernel clamps


@dataclass(frozen=True)
class Pieces:
    """Input u = 0..65535 lies in piece p = u >> shift, at t = u - (p << shift).

    y = clamp((c[p,0] * 2^16 + c[p,1] * t * 2^8 + c[p,2] * t * t) >> 30, low, high), unless u is one of
    at[first[p]..first[p+1]-1], which ascend: then y is the value beside it. c int32[P,3] (c[:,0] holds the rounding
    half), first uint16[P+1], at uint16[K], value int16[K].
    """

    shift: int
    coefficients: NDArray[np.int32]
    first: NDArray[np.uint16]
    at: NDArray[np.uint16]
    value: NDArray[np.int16]
    low: int
    high: int

    @property
    def bytes(self) -> int:
        return sum(part.nbytes for part in (self.coefficients, self.first, self.at, self.value))


def fit(table: NDArray[np.integer], real: NDArray[np.floating]) -> Pieces | None:
    """The smallest Pieces equal to `table`; None if it takes more than 65,535 corrections in every division.

    table int8[65536] or int16[65536], lowest input first; real float[65536]: the same before it was rounded, in steps
    of the output, zero point included. Only `table` decides what is right.
    """
    wanted = table.astype(np.int64)
    info = np.iinfo(table.dtype)
    target = np.where(np.isnan(real), wanted, np.clip(real, info.min - _BEYOND, info.max + _BEYOND))
    found = (_fit(wanted, target, shift, int(info.min), int(info.max)) for shift in range(_SHORTEST, _LONGEST + 1))
    return min((pieces for pieces in found if pieces is not None), key=lambda pieces: pieces.bytes, default=None)


def _fit(wanted: NDArray[np.int64], target: NDArray[np.float64], shift: int, low: int, high: int) -> Pieces | None:
    runs = target.reshape(-1, 1 << shift)
    t = np.arange(1 << shift, dtype=np.float64)
    powers = np.stack([np.ones_like(t), t, t * t])
    fitted = runs @ np.linalg.pinv(powers) + np.array([0.5, 0.0, 0.0])
    scaled = np.rint(fitted * 2.0 ** np.array(FRACTION))
    coefficients = np.clip(scaled, -(2**31), 2**31 - 1).astype(np.int32)
    wrong = np.flatnonzero(evaluate(coefficients, shift, low, high) != wanted)
    if wrong.size >= INPUTS:
        return None
    first = np.searchsorted(wrong, np.arange(len(runs) + 1) << shift)
    return Pieces(
        shift,
        coefficients,
        first.astype(np.uint16),
        wrong.astype(np.uint16),
        wanted[wrong].astype(np.int16),
        low,
        high,
    )


def evaluate(coefficients: NDArray[np.int32], shift: int, low: int, high: int) -> NDArray[np.int64]:
    """The polynomials at all 65,536 inputs, as the kernel computes them: no sum reaches 2^58."""
    c = coefficients.astype(np.int64)
    t = np.arange(1 << shift, dtype=np.int64)
    total = (c[:, :1] << 16) + ((c[:, 1:2] * t) << 8) + c[:, 2:] * t * t
    return np.clip(total >> 30, low, high).reshape(-1)
