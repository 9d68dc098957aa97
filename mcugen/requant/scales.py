"""Scales and zero points: what ONNX Runtime makes of them, and the multiplier and shift of a layer's requantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UserError

Real = float | np.floating[Any]
Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]
CODES = np.arange(-128, 128, dtype=np.int64)
"""Every int8 value, the lowest first."""
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
REQUANT_LIMIT = 32767.0
"""The 16.16 fixed point of the fast requantization holds results up to here."""
_SCALE_LIMIT = 2.0**100
"""Scales and ratios of scales below this keep every intermediate float finite."""


def conv_scale(sx: ArrayLike, sw: ArrayLike, sy: ArrayLike) -> Float32:
    """fl(fl(sx * sw) / sy) per output channel, of QLinearConv and QLinearMatMul. Returns f32[C], C >= 1."""
    product = valid_scale("input scale", sx) * valid_scale("weight scale", sw)
    return np.atleast_1d(divided(product, valid_scale("output scale", sy)))


def gemm_scale(alpha: float, sa: ArrayLike, sb: ArrayLike, sy: ArrayLike) -> Float32:
    """fl(fl(fl(alpha * sa) * sb) / sy) per output channel, of QGemm. Returns f32[C], C >= 1."""
    product = np.float32(alpha) * valid_scale("input scale", sa) * valid_scale("weight scale", sb)
    return np.atleast_1d(divided(product, valid_scale("output scale", sy)))


def global_average_scale(sx: Real, sy: Real, count: int) -> np.float32:
    """fl(sx / fl(sy * count)), for the integer sum over `count` pixels, of QLinearGlobalAveragePool.

    ORT's own limits hold: count < 2^24 and 2^-32 <= scale < 256, else UserError.
    """
    numerator, divisor = valid_scale("input scale", sx), valid_scale("output scale", sy)
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        scale = np.float32(numerator / (divisor * np.float32(count)))
    if not (0 < count < 2**24 and 2.0**-32 <= float(scale) < 256.0):
        raise UserError(
            f"global average pool of {count} pixels needs the factor {scale:g}; "
            "ONNX Runtime takes fewer than 2^24 pixels and a factor in [2^-32, 256).",
            hint="Quantize the model again: the two scales do not fit each other.",
        )
    return scale


@dataclass(frozen=True)
class Multiplier:
    """scale[c] = multiplier[c] / 2^31 * 2^shift[c], exactly; (0, 0) where every int32 accumulator gives 0."""

    multiplier: Int32
    shift: Int32


def split(scale: ArrayLike) -> Multiplier:
    """Each float32 scale [C] as its 24-bit mantissa << 7, in [2^30, 2^31), and a shift in [-31, 31].

    Below 2^-32 even the largest accumulator stays under one half and rounds to 0, so those become (0, 0).
    From 2^31 on every accumulator but 0 saturates whatever the exponent is, so the shift stops at 31.
    """
    s = np.atleast_1d(np.asarray(scale, np.float32))
    valid = np.isfinite(s) & (s >= 0)
    if not np.all(valid):
        raise UserError(
            f"a requantization scale is {s[~valid][0]:g}; it must be finite and not negative.",
            hint="Check the model's scales: one of them is far out of range.",
        )
    mantissa, exponent = np.frexp(s)
    dead = s < np.float32(2.0**-32)
    multiplier = np.where(dead, 0, np.ldexp(mantissa.astype(np.float64), 31)).astype(np.int32)
    return Multiplier(multiplier, np.where(dead, 0, np.minimum(exponent, 31)).astype(np.int32))


def valid_scale(name: str, value: ArrayLike) -> Float32:
    with np.errstate(over="ignore"):
        scale = np.asarray(value, np.float32)
    valid = (scale > 0) & (scale < _SCALE_LIMIT)
    if not np.all(valid):
        raise UserError(
            f"the {name} is {scale[~valid].flat[0]:g}; a scale must be positive and below 2^100.",
            hint="Quantize the model again.",
        )
    return scale


def divided(numerator: Float32, divisor: Float32) -> Float32:
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(numerator / divisor, np.float32)


def ratio_of(numerator: Float32, divisor: Float32) -> np.float32:
    ratio = np.float32(divided(numerator, divisor))
    if not ratio < _SCALE_LIMIT:
        raise UserError(
            f"the scales are too far apart: their ratio is {ratio:g}, the limit is 2^100.",
            hint="Quantize the model again with realistic calibration data.",
        )
    return ratio


def ort_requantize(acc: ArrayLike, scale: ArrayLike, zero_point: int, lo: int, hi: int) -> Int64:
    """rne(clamp(fl(fl(acc) * scale), lo - zp, hi - zp)) + zp: how QLinearConv, QGemm, ... end.

    acc holds int32 values; acc and scale broadcast.
    """
    with np.errstate(over="ignore", under="ignore"):
        x = np.asarray(acc, np.int64).astype(np.float32) * np.asarray(scale, np.float32)
    x = np.clip(x, np.float32(lo - zero_point), np.float32(hi - zero_point))
    return np.rint(x).astype(np.int64) + zero_point


def accumulator_range(
    weights: ArrayLike, weight_zero_point: ArrayLike, bias: ArrayLike, input_lo: int, input_hi: int
) -> tuple[Int64, Int64]:
    """The smallest and the largest accumulator each channel can reach, exact: (lo i64[C], hi i64[C]).

    weights i8[C, K]; weight_zero_point scalar or [C]; bias i32[C]; input_lo..input_hi is the range of
    (x - zx), taken to include 0, which is what padding contributes.
    """
    w = np.asarray(weights, np.int64)
    w = w - np.asarray(weight_zero_point, np.int64).reshape(-1, 1)
    low, high = w * min(input_lo, 0), w * max(input_hi, 0)
    b = np.asarray(bias, np.int64)
    return b + np.minimum(low, high).sum(axis=1), b + np.maximum(low, high).sum(axis=1)


def exact_precondition(scale: ArrayLike, lo: ArrayLike, hi: ArrayLike) -> Bool:
    """bool[C]: may the fast requantization be used for all accumulators in lo..hi?

    It needs |acc * scale| < 32767 and acc in int32. Elsewhere mcugen_convolve_direct_s8 wraps and saturates.
    """
    low, high = np.asarray(lo, np.int64), np.asarray(hi, np.int64)
    # In double: its rounding is far inside the margin below the format's own limit of 32768.
    reach = np.maximum(np.abs(low), np.abs(high)) * np.asarray(scale, np.float32).astype(np.float64)
    return np.asarray((reach < REQUANT_LIMIT) & (low >= INT32_MIN) & (high <= INT32_MAX))


def dequantize(q: ArrayLike, scale: ArrayLike, zero_point: int) -> Float32:
    """fl((q - zp) * s): DequantizeLinear."""
    return (int64(q) - zero_point).astype(np.float32) * np.asarray(scale, np.float32)


def quantize(real: ArrayLike, scale: ArrayLike, zero_point: int) -> Int64:
    """rne(fl(x / s)) + zp, saturated to int8: QuantizeLinear."""
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.asarray(real, np.float32) / np.asarray(scale, np.float32)
    return np.rint(np.clip(scaled, -128 - zero_point, 127 - zero_point)).astype(np.int64) + zero_point


def requantize_table(
    sx: Real, zx: int, sy: Real, zy: int, *, activation: tuple[int, int] = (-128, 127)
) -> NDArray[np.int8]:
    """int8[256] of QuantizeLinear(DequantizeLinear(x)), lowest x first."""
    real = dequantize(CODES, valid_scale("input scale", sx), zx)
    return np.clip(quantize(real, valid_scale("output scale", sy), zy), *activation).astype(np.int8)


def fma32(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Float32:
    """fl(a * b + c), rounded once, of finite float32: by rounding to odd in double (Boldo and Melquiond)."""
    a64, b64, c64 = (np.asarray(x, np.float32).astype(np.float64) for x in (a, b, c))
    p = a64 * b64  # exact: 48 bits
    s = np.asarray(p + c64)
    part = s - p
    error = (p - (s - part)) + (c64 - part)  # exact (Knuth's TwoSum)
    bits = s.view(np.int64)
    step = np.where((error > 0) == (s > 0), 1, -1)  # towards the exact sum
    odd = np.where((error != 0) & (bits & 1 == 0), bits + step, bits)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(odd.view(np.float64).astype(np.float32))


def int64(x: ArrayLike) -> Int64:
    return np.asarray(x, np.int64)
