"""A stock CMSIS-NN: multipliers, shifts and biases with which its own double rounding gives ONNX Runtime's bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UserError
from .scales import INT32_MAX, INT32_MIN, Bool, Float32, Int32, Int64, int64, ort_requantize, split


@dataclass(frozen=True)
class StockSolution:
    """What a CMSIS-NN with its own (double) rounding must be given for one layer.

    Channel c computes clamp(requantize(acc + bias_delta[c], multiplier[c], shift[c]) + zero_point -
    output_offset_delta). certified[c]: equal to ORT for every reachable accumulator.
    """

    multiplier: Int32
    shift: Int32
    bias_delta: Int32
    output_offset_delta: int
    certified: Bool


def stock_requantize(acc: ArrayLike, multiplier: ArrayLike, shift: ArrayLike) -> Int64:
    """CMSIS-NN's arm_nn_requantize: the high half of the doubled product, rounded, then a rounding shift.

    r = (acc * 2^left * multiplier + 2^30) >> 31, then r / 2^right with halves away from zero.
    """
    s = int64(shift)
    left, right = np.maximum(s, 0), np.maximum(-s, 0)
    r = ((int64(acc) << left) * int64(multiplier) + (1 << 30)) >> 31
    half = (np.int64(1) << right) >> 1
    return np.where(r < 0, -((half - r) >> right), (r + half) >> right)


def solve_layer(
    scales: ArrayLike, lo: ArrayLike, hi: ArrayLike, zero_point: int, clamp_lo: int, clamp_hi: int
) -> StockSolution:
    """Multipliers with which a stock CMSIS-NN equals ORT on accumulators lo[c]..hi[c], where they exist.

    Both sides are non-decreasing step functions, so they are equal if and only if they are equal at both
    sides of each of ORT's at most 255 steps: bounds on the multiplier, one interval per shift. Where that
    interval is empty, moving the origin helps: a bias delta with an output offset (shared by the layer)
    shifts the steps against the double rounding, and makes all values positive, where halves round one way.
    Channels without a solution get the nearest multiplier and are not certified.

    scales f32[C], lo and hi i64[C] within int32.
    """
    problem = _Steps.of(scales, lo, hi, zero_point, clamp_lo, clamp_hi)
    plain = _solve(problem, 0)
    best, best_offset = plain, 0
    failed = np.flatnonzero(~plain.solved)
    if failed.size:
        sample = problem.take(failed[:: max(1, failed.size // 24)])
        offsets = [e for e in _OFFSETS if problem.allows(e)]
        gains = [int(_solve(sample, e).solved.sum()) for e in offsets]
        for gain, offset in sorted(zip(gains, offsets, strict=True), key=lambda item: -item[0])[:2]:
            trial = _solve(problem, offset) if gain else plain
            if trial.solved.sum() > best.solved.sum():
                best, best_offset = trial, offset
    certified = problem.certify(best, best_offset)
    as_int32 = [x.astype(np.int32) for x in (best.multiplier, best.shift, best.delta)]
    return StockSolution(as_int32[0], as_int32[1], as_int32[2], best_offset, certified)


_OFFSETS = (300, 500, 1000, 2000, 4000, 8000, 12000, 16000, 24000, 32000, 45000, 60000)
"""Output offsets worth trying: beyond the 8-bit range, and small enough to leave the multiplier its bits."""


@dataclass(frozen=True)
class _Choice:
    multiplier: Int64
    shift: Int64
    delta: Int64
    solved: Bool


@dataclass(frozen=True)
class _Steps:
    """ORT's requantization of a layer as steps.

    first[c, k] is the first accumulator in lo[c]..hi[c] whose result is target[k] or more, hi[c] + 1 if there
    is none. clamp is (zero point, lowest, highest).
    """

    scale: Float32
    lo: Int64
    hi: Int64
    first: Int64
    target: Int64
    clamp: tuple[int, int, int]

    @staticmethod
    def of(scales: ArrayLike, lo: ArrayLike, hi: ArrayLike, zero_point: int, clamp_lo: int, clamp_hi: int) -> _Steps:
        scale = np.atleast_1d(np.asarray(scales, np.float32))
        low, high = np.atleast_1d(int64(lo)), np.atleast_1d(int64(hi))
        if np.any(low < INT32_MIN) or np.any(high > INT32_MAX):
            raise UserError(
                f"accumulators reach {low.min()}..{high.max()}, beyond int32.",
                hint="Use --requant exact, whose direct kernel wraps as ONNX Runtime does.",
            )
        target = np.arange(clamp_lo + 1, clamp_hi + 1)
        below = np.repeat(low[:, None] - 1, target.size, axis=1)
        above = np.repeat(high[:, None] + 1, target.size, axis=1)
        while np.any(above - below > 1):
            middle = (below + above) >> 1
            reached = ort_requantize(middle, scale[:, None], zero_point, clamp_lo, clamp_hi) >= target
            open_ = above - below > 1
            above = np.where(open_ & reached, middle, above)
            below = np.where(open_ & ~reached, middle, below)
        return _Steps(scale, low, high, above, target, (zero_point, clamp_lo, clamp_hi))

    def take(self, channels: NDArray[np.intp]) -> _Steps:
        """The same layer with these channels only."""
        c = channels
        return _Steps(self.scale[c], self.lo[c], self.hi[c], self.first[c], self.target, self.clamp)

    def reach(self) -> Int64:
        """The largest magnitude of an accumulator, per channel."""
        return np.maximum(np.abs(self.lo), np.abs(self.hi))

    def allows(self, offset: int) -> bool:
        """Does acc + offset / scale stay inside int32 in every channel? (A dead channel allows no offset.)"""
        scale = self.scale.astype(np.float64)
        inside = offset + 8 * scale < (INT32_MAX - self.reach()) * scale
        return bool(np.all(inside & (scale >= 2.0**-31)))

    def certify(self, choice: _Choice, offset: int) -> Bool:
        """bool[C]: compare both functions themselves at the two sides of every step and at both ends."""
        zero_point, clamp_lo, clamp_hi = self.clamp
        ends = (self.lo[:, None], self.hi[:, None])
        points = np.concatenate([self.first, self.first - 1, *ends], axis=1).clip(*ends)
        moved = points + choice.delta[:, None]
        y = stock_requantize(moved, choice.multiplier[:, None], choice.shift[:, None])
        y = np.clip(y + (zero_point - offset), clamp_lo, clamp_hi)
        wanted = ort_requantize(points, self.scale[:, None], zero_point, clamp_lo, clamp_hi)
        return np.asarray(np.all(y == wanted, axis=1) & _fits(self.reach(), choice.delta, choice.shift))


def _solve(steps: _Steps, offset: int) -> _Choice:
    """Per channel the first (delta, shift) with a multiplier in its interval; else the nearest multiplier."""
    nearest = split(steps.scale)
    multiplier, base = nearest.multiplier.astype(np.int64), nearest.shift.astype(np.int64)
    shift = base.copy()
    centre = np.zeros(base.shape, np.int64)
    if offset:  # then `allows` held: no scale is 0
        centre = np.rint(offset / steps.scale.astype(np.float64)).astype(np.int64)
    delta, solved = centre.copy(), multiplier == 0  # a dead channel is right as it is
    for nudge in (0, 1, -1, 2, -2) if offset else (0,):
        for extra in (0, 1, 2):
            todo = np.flatnonzero(~solved)
            if not todo.size:
                break
            part = steps.take(todo)
            tried, d = base[todo] + extra, centre[todo] + nudge
            low, high = _interval(part, tried, d, offset)
            good = (low <= high) & (tried >= -31) & (tried <= 30) & _fits(part.reach(), d, tried)
            won = todo[good]
            multiplier[won], shift[won], delta[won] = (low[good] + high[good]) // 2, tried[good], d[good]
            solved[won] = True
    return _Choice(multiplier, shift, delta, solved)


def _fits(reach: Int64, delta: Int64, shift: Int64) -> Bool:
    """Does (acc + delta) << shift stay inside int32?"""
    return np.asarray((reach + np.abs(delta)) << np.clip(shift, 0, 31) <= INT32_MAX)


def _interval(steps: _Steps, shift: Int64, delta: Int64, offset: int) -> tuple[Int64, Int64]:
    """The multipliers low[C]..high[C] that put every step where ORT has it; none if low > high."""
    left, right = np.clip(shift, 0, 31)[:, None], np.clip(-shift, 0, 31)[:, None]
    wanted = (steps.target - steps.clamp[0] + offset)[None, :]
    # The smallest r of `stock_requantize` whose rounding shift gives `wanted`: halves go away from zero.
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    r = np.where(right > 0, (2 * wanted - 1) * half + (wanted <= 0), wanted)
    beyond = np.abs(r) > INT32_MAX
    # result >= wanted  <=>  acc * 2^left * multiplier >= product
    product = (np.where(beyond, 0, r) << 31) - (1 << 30)

    rises = steps.first <= steps.hi[:, None]
    falls = steps.first > steps.lo[:, None]
    after = (steps.first + delta[:, None]) << left
    before = (steps.first - 1 + delta[:, None]) << left
    broken = beyond | (rises & (after == 0) & (product > 0)) | (falls & (before == 0) & (product < 1))
    low, high = np.int64(1), np.int64(INT32_MAX)
    lows = (
        np.where(rises & (after > 0), -(-product // np.maximum(after, 1)), low),
        np.where(falls & (before < 0), -((1 - product) // np.minimum(before, -1)), low),
    )
    highs = (
        np.where(rises & (after < 0), product // np.minimum(after, -1), high),
        np.where(falls & (before > 0), (product - 1) // np.maximum(before, 1), high),
    )
    lowest = np.where(np.any(broken, axis=1), high, np.maximum(*lows).max(axis=1, initial=low))
    highest = np.where(np.any(broken, axis=1), low, np.minimum(*highs).min(axis=1, initial=high))
    return lowest, highest
