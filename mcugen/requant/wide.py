"""16-bit tensors: layers with int64 sums, and operators whose integer path leaves values near a tie to floats."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..errors import UserError
from .reductions import ReduceParams
from .scales import Float32, Int32, Real, valid_scale

_WIDE_PRODUCT = 61
"""Bits of the largest product of a 16-bit layer: what int64 holds with a rounding half."""


@dataclass(frozen=True)
class WideMultiplier:
    """y = rne(acc * multiplier[c] / 2^shift[c]) for an int64 sum: i32[C] each, shift in [1, 61]."""

    multiplier: Int32
    shift: Int32


def wide_multiplier(sx: Real, sw: ArrayLike, sy: Real, reach: ArrayLike) -> WideMultiplier:
    """The factor sx * sw / sy of a layer with 16-bit activations, for sums of magnitude reach[c] at most.

    ORT computes such a layer in float32 on real numbers. The nearest integers to that are the sums themselves, times
    the factor with as many bits as the product leaves room for: 31 for sums below 2^30, never fewer than 24.
    """
    weights = np.atleast_1d(valid_scale("weight scale", sw)).astype(np.float64)
    ratio = float(valid_scale("input scale", sx)) * weights / float(valid_scale("output scale", sy))
    mantissa, exponent = np.frexp(ratio)
    room = _WIDE_PRODUCT - np.frexp(np.maximum(np.asarray(reach, np.float64), 1.0))[1]
    bits = np.broadcast_to(np.minimum(room, 31), ratio.shape)
    if np.any(bits < 24):
        raise UserError(
            f"a sum reaches {float(np.max(reach)):g}, beyond the 2^37 of layers with 16-bit activations.",
            hint="Quantize this layer to 8 bits.",
        )
    shift = bits - exponent
    if np.any(shift < 1):
        raise UserError(
            f"a requantization scale is {ratio[shift < 1].max():g}; it must be below 2^23.",
            hint="Check the model's scales: one of them is far out of range.",
        )
    # A factor of 2^bits does not fit int32 where bits is 31; a tiny one loses bits that no sum can show.
    multiplier = np.rint(np.ldexp(mantissa, bits + np.minimum(_WIDE_PRODUCT - shift, 0)))
    multiplier = np.minimum(multiplier, 2.0**31 - 1)
    return WideMultiplier(multiplier.astype(np.int32), np.minimum(shift, _WIDE_PRODUCT).astype(np.int32))


_WIDE_FRACTION = 44
"""Fraction bits at most of a 16-bit result in int64: zero point and rounding half then stay below 2^60."""
_WIDE_REACH = 2.0**30
"""Results are cut to int32 before they are clamped."""
_SATURATED = 65540.0
"""Steps from which on every 16-bit result saturates, whatever the zero point."""


@dataclass(frozen=True)
class WideSumParams:
    """The arithmetic members of mcugen_add_s16_params."""

    a_scale: np.float32
    b_scale: np.float32
    output_scale: np.float32
    a_zero_point: int
    b_zero_point: int
    output_zero_point: int
    a_multiplier: int
    b_multiplier: int
    shift: int
    offset: int
    tie: int
    activation_min: int
    activation_max: int


def wide_sum_params(
    sa: Real, za: int, sb: Real, zb: int, sy: Real, zy: int, *, sign: int, activation: tuple[int, int]
) -> WideSumParams:
    """Parameters of 16-bit Add (sign 1) and Sub (sign -1) between DequantizeLinear and QuantizeLinear.

    The integer path computes (a - za) * sa / sy +- (b - zb) * sb / sy in fixed point. ORT's float32 result is off by at
    most 2^-24 of `reach` for each of the products, the sum and the division; nearer than that to a tie the kernel
    computes it in float32 as well.
    """
    scales = [valid_scale(name, s) for name, s in (("scale of a", sa), ("scale of b", sb), ("output scale", sy))]
    ratios = [float(scale) / float(scales[2]) for scale in scales[:2]]
    steps = [_wide_steps(zero) for zero in (za, zb)]
    reach = sum(ratio * step for ratio, step in zip(ratios, steps, strict=True))
    shift = min(30 - math.frexp(max(ratios))[1], _WIDE_FRACTION)
    bound = reach * 3.001 * 2.0**-24 + sum(steps) * math.ldexp(0.5, -shift)
    a_scale, b_scale, y_scale = (np.float32(scale) for scale in scales)
    (a, b), shift, tie = _wide_path(scales, reach, bound, shift, (ratios[0], sign * ratios[1]))
    offset = (zy << shift) + (1 << (shift - 1)) - za * a - zb * b
    return WideSumParams(
        a_scale, np.float32(sign) * b_scale, y_scale, za, zb, zy, a, b, shift, offset, tie, *activation
    )


def wide_choice_params(
    sa: Real, za: int, sb: Real, zb: int, sy: Real, zy: int, *, activation: tuple[int, int]
) -> WideSumParams:
    """The arithmetic members of mcugen_choice_s16_params: of 16-bit Min and Max.

    As in `wide_sum_params`, but that operands come without their zero points: the one that is chosen is no further from
    a tie than the sum of both may be.
    """
    found = wide_sum_params(sa, za, sb, zb, sy, zy, sign=1, activation=activation)
    return replace(found, offset=(zy << found.shift) + (1 << (found.shift - 1)))


@dataclass(frozen=True)
class WideProductParams:
    """The arithmetic members of mcugen_mul_s16_params."""

    a_scale: np.float32
    b_scale: np.float32
    output_scale: np.float32
    a_zero_point: int
    b_zero_point: int
    output_zero_point: int
    multiplier: int
    shift: int
    offset: int
    tie: int
    activation_min: int
    activation_max: int


def wide_product_params(
    sa: Real, za: int, sb: Real, zb: int, sy: Real, zy: int, *, activation: tuple[int, int]
) -> WideProductParams:
    """Parameters of 16-bit Mul; the integer path and its tie band as in `wide_sum_params`.

    Two dequantized operands, their product and the division each round once, relative to the result.
    """
    scales = [valid_scale(name, s) for name, s in (("scale of a", sa), ("scale of b", sb), ("output scale", sy))]
    ratio = float(scales[0]) * float(scales[1]) / float(scales[2])
    reach = float(_wide_steps(za) * _wide_steps(zb)) * ratio
    shift = min(28 - math.frexp(ratio)[1], _WIDE_FRACTION)
    bound = min(reach, _SATURATED) * (4.001 * 2.0**-24 + math.ldexp(0.5, -shift) / ratio)
    (multiplier,), shift, tie = _wide_path(scales, reach, bound, shift, (ratio,))
    offset = (zy << shift) + (1 << (shift - 1))
    a_scale, b_scale, y_scale = (np.float32(scale) for scale in scales)
    return WideProductParams(a_scale, b_scale, y_scale, za, zb, zy, multiplier, shift, offset, tie, *activation)


def wide_reduce_params(
    sx: Real, zx: int, sy: Real, zy: int, count: int, *, mean: bool, activation: tuple[int, int]
) -> ReduceParams:
    """Parameters of 16-bit ReduceMean and ReduceSum of `count` values.

    The floats' error is as in `reduce_params`, the band around ties as in `wide_sum_params`.
    """
    scales = [valid_scale("input scale", sx), valid_scale("output scale", sy)]
    divisor = count if mean else 1
    ratio, steps = float(scales[0]) / float(scales[1]) / divisor, _wide_steps(zx) * count
    reach = steps * ratio
    room = _WIDE_PRODUCT - math.frexp(max(reach, 1.0))[1]  # of a sum times the multiplier
    shift = min(31 - math.frexp(ratio)[1], _WIDE_FRACTION, room)
    bound = reach * (count + 3) * 1.001 * 2.0**-24 + math.ldexp(0.5 * steps, -shift)
    (multiplier,), shift, tie = _wide_path(scales, reach, bound, shift, (ratio,))
    x_scale, y_scale = (np.float32(scale) for scale in scales)
    return ReduceParams(x_scale, y_scale, np.float32(divisor), zx, zy, multiplier, shift, tie, *activation)


@dataclass(frozen=True)
class WidePoolParams:
    """The arithmetic members of mcugen_average_pool_s16_params."""

    input_scale: np.float32
    output_scale: np.float32
    input_zero_point: int
    output_zero_point: int
    multiplier: int
    shift: int
    tie: int
    activation_min: int
    activation_max: int


def wide_pool_params(
    sx: Real, zx: int, sy: Real, zy: int, window: int, *, activation: tuple[int, int]
) -> WidePoolParams:
    """Parameters of a 16-bit average of at most `window` values, divided by the number of values that count.

    The integer path computes sum(x - zx) * (sx / sy / count) in fixed point, the factor rounded down. In whatever order
    they are added, the floats are within relative 2^-24 for each of the products and additions and two divisions of
    `reach`. The band around ties is as in `wide_sum_params`.
    """
    scales = [valid_scale("input scale", sx), valid_scale("output scale", sy)]
    ratio, steps = float(scales[0]) / float(scales[1]), _wide_steps(zx)
    reach = steps * ratio
    shift = min(31 - math.frexp(ratio)[1], _WIDE_FRACTION)
    bound = reach * (window + 3) * 1.001 * 2.0**-24 + math.ldexp(2.0 * steps * window, -shift)
    (multiplier,), shift, tie = _wide_path(scales, reach, bound, shift, (ratio,))
    x_scale, y_scale = (np.float32(scale) for scale in scales)
    return WidePoolParams(x_scale, y_scale, zx, zy, multiplier, shift, tie, *activation)


def _wide_steps(zero_point: int) -> int:
    """The largest magnitude of a 16-bit value less its zero point."""
    return max(zero_point + 32768, 32767 - zero_point)


def _wide_path(
    scales: list[Float32], reach: float, bound: float, shift: int, ratios: tuple[float, ...]
) -> tuple[tuple[int, ...], int, int]:
    """(multipliers, shift, tie) of an integer path whose result is within `bound` steps of ORT's.

    Multipliers of 0 where all results take the float path: subnormal floats have no relative bound, and beyond
    `_WIDE_REACH` int32 does not hold the result.
    """
    normal = all(float(scale) > 2.0**-100 for scale in scales)
    if not (normal and reach < _WIDE_REACH and shift > 0 and bound < 0.5):
        return (0,) * len(ratios), 1, 1
    tie = math.ceil(math.ldexp(bound, shift)) + 2
    return tuple(min(round(math.ldexp(ratio, shift)), 2**31 - 1) for ratio in ratios), shift, tie
