"""Add, Mul and Sub of 8-bit tensors: an integer path, compared with ONNX Runtime's floats for every pair of bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .scales import CODES, INT32_MAX, Float32, Int64, Real, dequantize, fma32, int64, quantize, ratio_of, valid_scale

_A, _B = CODES.reshape(256, 1), CODES.reshape(1, 256)


@dataclass(frozen=True)
class AddParams:
    """The members of mcugen_add_params; origin + byte is the model's number (128 for uint8, else 0)."""

    a_ratio: np.float32
    b_ratio: np.float32
    fixed: np.float32
    origin: int
    a_multiplier: int
    b_multiplier: int
    offset: int
    shift: int
    tie: int
    activation_min: int
    activation_max: int


@dataclass(frozen=True)
class MulParams:
    """The members of mcugen_mul_params; zero_point is the output's, as the model itself has it."""

    a_offset: int
    b_offset: int
    ratio: np.float32
    zero_point: np.float32
    origin: int
    multiplier: int
    offset: int
    shift: int
    tie: int
    activation_min: int
    activation_max: int


def add_params(
    sa: Real,
    za: int,
    sb: Real,
    zb: int,
    sc: Real,
    zc: int,
    a_is_scalar: bool = False,
    *,
    unsigned: bool = False,
    activation: tuple[int, int] = (-128, 127),
) -> AddParams:
    """Parameters of QLinearAdd, for int8 zero points (shifted ones if `unsigned`).

    Where a has only one element (b may have one, too) ORT exchanges the operands: with a_is_scalar the
    parameters are those of the exchanged call, and the kernel must be given b first and a second. A scalar b
    changes nothing.

    The integer path uses the widest multipliers that fit int32. Where some offset gives `ort_add`'s byte for all 65536
    pairs, it has that offset and no tie band (tie = -1). Else the band is the narrowest that all pairs allow: each pair
    outside it is compared with `ort_add`, so the kernel is exact by exhaustion.
    """
    if a_is_scalar:
        sa, za, sb, zb = sb, zb, sa, za
    origin = 128 if unsigned else 0
    out = valid_scale("output scale", sc)
    ra, rb = ratio_of(valid_scale("scale of a", sa), out), ratio_of(valid_scale("scale of b", sb), out)
    zeros = np.array([za, zb, zc]) + origin
    za32, zb32, zc32 = zeros.astype(np.float32)
    fixed = np.float32(zc32 - fma32(ra, za32, rb * zb32))

    constant = float(fixed) + origin * (float(ra) + float(rb) - 1.0)
    bits = _fraction_bits(128 * (float(ra) + float(rb)) + abs(constant))
    integers = (0, 0, 0, 0, 0)
    if bits > 0:
        a, b = round(math.ldexp(ra, bits)), round(math.ldexp(rb, bits))
        offset = round(math.ldexp(constant, bits)) + (1 << (bits - 1))
        found = _decided(_A * a + _B * b + offset, bits, _ort_add(ra, rb, fixed, origin, _A, _B), activation)
        if found is not None:
            integers = (a, b, offset + found.nudge, bits, found.tie)
    return AddParams(ra, rb, fixed, origin, *integers, *activation)


def mul_params(
    sa: Real,
    za: int,
    sb: Real,
    zb: int,
    sc: Real,
    zc: int,
    *,
    unsigned: bool = False,
    activation: tuple[int, int] = (-128, 127),
) -> MulParams:
    """Parameters of QLinearMul; zero points and the tie band as in `add_params`."""
    origin = 128 if unsigned else 0
    with np.errstate(over="ignore", under="ignore"):
        product = valid_scale("scale of a", sa) * valid_scale("scale of b", sb)
    ratio = ratio_of(product, valid_scale("output scale", sc))
    zero_point = np.float32(zc + origin)

    products = (_A - za) * (_B - zb)
    bits = _fraction_bits(float(np.abs(products).max()) * float(ratio) + abs(zc))
    integers = (0, 0, 0, 0)
    if bits > 0:
        multiplier, offset = round(math.ldexp(ratio, bits)), (zc << bits) + (1 << (bits - 1))
        wanted = _ort_mul(ratio, zero_point, origin, products)
        found = _decided(products * multiplier + offset, bits, wanted, activation)
        if found is not None:
            integers = (multiplier, offset + found.nudge, bits, found.tie)
    return MulParams(-za, -zb, ratio, zero_point, origin, *integers, *activation)


@dataclass(frozen=True)
class SubParams:
    """The members of mcugen_sub_params."""

    a_scale: np.float32
    b_scale: np.float32
    output_scale: np.float32
    a_zero_point: int
    b_zero_point: int
    output_zero_point: int
    a_multiplier: int
    b_multiplier: int
    offset: int
    shift: int
    tie: int
    activation_min: int
    activation_max: int


def sub_params(
    sa: Real,
    za: int,
    sb: Real,
    zb: int,
    sc: Real,
    zc: int,
    *,
    sign: int = -1,
    activation: tuple[int, int] = (-128, 127),
) -> SubParams:
    """Parameters of Sub between DequantizeLinear and QuantizeLinear; sign 1: of Add, by a negative scale of b.

    The integer path and its tie band are as in `add_params`. The zero point is added behind the rounding, so uint8
    tensors are no case of their own.
    """
    a_scale, b_scale = valid_scale("scale of a", sa), np.float32(-sign) * valid_scale("scale of b", sb)
    out = valid_scale("output scale", sc)
    ra, rb = (float(s) / float(out) for s in (a_scale, b_scale))
    constant = zc - za * ra + zb * rb
    bits = _fraction_bits(128 * (ra + abs(rb)) + abs(constant))
    integers = (0, 0, 0, 0, 0)
    if bits > 0:
        a, b = round(math.ldexp(ra, bits)), round(math.ldexp(rb, bits))
        offset = round(math.ldexp(constant, bits)) + (1 << (bits - 1))
        difference = dequantize(_A, a_scale, za) - dequantize(_B, b_scale, zb)
        found = _decided(_A * a - _B * b + offset, bits, quantize(difference, out, zc), activation)
        if found is not None:
            integers = (a, b, offset + found.nudge, bits, found.tie)
    scales = np.float32(a_scale), np.float32(b_scale), np.float32(out)
    return SubParams(*scales, za, zb, zc, *integers, *activation)


def ort_add(params: AddParams, a: ArrayLike, b: ArrayLike) -> Int64:
    """QLinearAdd on int8: rne(fma(a, rA, fma(b, rB, F))) saturated.

    rA = fl(sA / sC), rB = fl(sB / sC), F = fl(zC - fma(rA, zA, fl(rB * zB))).
    """
    out = _ort_add(params.a_ratio, params.b_ratio, params.fixed, params.origin, int64(a), int64(b))
    return np.clip(out, params.activation_min, params.activation_max)


def ort_mul(params: MulParams, a: ArrayLike, b: ArrayLike) -> Int64:
    """QLinearMul on int8: rne(fl(fl((a - zA)(b - zB) * r) + zC)) saturated, r = fl(fl(sA * sB) / sC)."""
    products = (int64(a) + params.a_offset) * (int64(b) + params.b_offset)
    out = _ort_mul(params.ratio, params.zero_point, params.origin, products)
    return np.clip(out, params.activation_min, params.activation_max)


def prove_add(params: AddParams) -> bool:
    """Do all 65536 pairs outside the tie band give `ort_add`'s byte on the integer path?"""
    fixed_point = _A * params.a_multiplier + _B * params.b_multiplier + params.offset
    return _proved(fixed_point, params, ort_add(params, _A, _B))


def prove_mul(params: MulParams) -> bool:
    """Do all 65536 pairs outside the tie band give `ort_mul`'s byte on the integer path?"""
    products = (_A + params.a_offset) * (_B + params.b_offset)
    return _proved(products * params.multiplier + params.offset, params, ort_mul(params, _A, _B))


def _ort_add(ra: np.float32, rb: np.float32, fixed: np.float32, origin: int, a: Int64, b: Int64) -> Int64:
    t = fma32(a + origin, ra, fma32(b + origin, rb, fixed))
    return _convert(t, origin)


def _ort_mul(ratio: np.float32, zero_point: np.float32, origin: int, products: Int64) -> Int64:
    return _convert(products.astype(np.float32) * ratio + zero_point, origin)


def _convert(t: Float32, origin: int) -> Int64:
    """rne and saturation as x86 converts: what no int32 holds, of either sign, becomes the lowest value."""
    value = np.where(t < np.float32(2.0**31), np.clip(np.rint(t), -1024, 1024), -1024).astype(np.int64)
    return np.clip(value - origin, -128, 127)


def _fraction_bits(reach: float) -> int:
    """How many fraction bits int32 leaves to values of magnitude `reach` and the rounding half."""
    return min(30 - math.ceil(math.log2(reach + 1.0)), 30)


@dataclass(frozen=True)
class _Decision:
    """What is added to the rounding half of an integer path, and its tie band: -1 where it needs none."""

    nudge: int
    tie: int


def _decided(fixed_point: Int64, bits: int, wanted: Int64, activation: tuple[int, int]) -> _Decision | None:
    """How (fixed_point + nudge) >> bits, clamped, gives `wanted`, clamped; None if it decides nothing."""
    low, high = activation
    bound = np.clip(wanted, low, high)
    least = ((bound << bits) - fixed_point)[bound > low].max(initial=-(1 << bits))
    most = (((bound + 1) << bits) - 1 - fixed_point)[bound < high].min(initial=1 << bits)
    if least <= most:
        return _Decision(int(np.clip(0, least, most)), -1)
    tie = _tie_band(fixed_point, bits, wanted)
    return None if tie is None else _Decision(0, tie)


def _tie_band(fixed_point: Int64, bits: int, wanted: Int64) -> int | None:
    """The narrowest band around a tie that holds every wrong result; None if that is everything.

    fixed_point has `bits` fraction bits and the rounding half added, so a tie has fraction 0.
    """
    wrong = np.clip(fixed_point >> bits, -128, 127) != wanted
    fraction = fixed_point & ((1 << bits) - 1)
    distance = np.minimum(fraction, (1 << bits) - fraction)
    band = int(distance[wrong].max(initial=0))
    return band if band < 1 << (bits - 1) else None


def _proved(fixed_point: Int64, params: AddParams | MulParams, wanted: Int64) -> bool:
    mask = (1 << params.shift) - 1
    near_tie = (((fixed_point + params.tie) & mask) <= 2 * params.tie) & (params.tie >= 0)
    result = np.clip(fixed_point >> params.shift, params.activation_min, params.activation_max)
    in_range = np.abs(fixed_point) + max(params.tie, 0) <= INT32_MAX
    return bool(np.all((near_tie | (result == wanted)) & in_range))
