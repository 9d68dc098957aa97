"""Every fixed-point rule: what ONNX Runtime computes, and the integers that make C compute the same.

The formulas are those of ONNX Runtime 1.31.1 on x86-64 with AVX2 and FMA. In the docstrings fl(x) is x
rounded to float32 and rne(x) is x rounded to the nearest integer, halves to even.

Tensors are int8 here. A uint8 tensor of the model arrives shifted down by 128, bytes and zero point alike.
Most operators cannot tell the difference; those that add the zero point before they round (add, mul,
average pool) can, and take `unsigned=True` for such tensors: they then round the model's own numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcugen.errors import UserError

Real = float | np.floating[Any]
Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1
_REQUANT_LIMIT = 32767.0
"""The 16.16 fixed point of the fast requantization holds results up to here."""
_SCALE_LIMIT = 2.0**100
"""Scales and ratios of scales below this keep every intermediate float finite."""


# Scales --------------------------------------------------------------------------------------------


def conv_scale(sx: ArrayLike, sw: ArrayLike, sy: ArrayLike) -> Float32:
    """fl(fl(sx * sw) / sy) per output channel, of QLinearConv and QLinearMatMul. Returns f32[C], C >= 1."""
    product = _scale("input scale", sx) * _scale("weight scale", sw)
    return np.atleast_1d(_divide(product, _scale("output scale", sy)))


def gemm_scale(alpha: float, sa: ArrayLike, sb: ArrayLike, sy: ArrayLike) -> Float32:
    """fl(fl(fl(alpha * sa) * sb) / sy) per output channel, of QGemm. Returns f32[C], C >= 1."""
    product = np.float32(alpha) * _scale("input scale", sa) * _scale("weight scale", sb)
    return np.atleast_1d(_divide(product, _scale("output scale", sy)))


def global_average_scale(sx: Real, sy: Real, count: int) -> np.float32:
    """fl(sx / fl(sy * count)), for the integer sum over `count` pixels, of QLinearGlobalAveragePool.

    ORT's own limits hold: count < 2^24 and 2^-32 <= scale < 256, else UserError.
    """
    numerator, divisor = _scale("input scale", sx), _scale("output scale", sy)
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
    weights = np.atleast_1d(_scale("weight scale", sw)).astype(np.float64)
    ratio = float(_scale("input scale", sx)) * weights / float(_scale("output scale", sy))
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


def _scale(name: str, value: ArrayLike) -> Float32:
    with np.errstate(over="ignore"):
        scale = np.asarray(value, np.float32)
    valid = (scale > 0) & (scale < _SCALE_LIMIT)
    if not np.all(valid):
        raise UserError(
            f"the {name} is {scale[~valid].flat[0]:g}; a scale must be positive and below 2^100.",
            hint="Quantize the model again.",
        )
    return scale


def _divide(numerator: Float32, divisor: Float32) -> Float32:
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(numerator / divisor, np.float32)


def _ratio(numerator: Float32, divisor: Float32) -> np.float32:
    ratio = np.float32(_divide(numerator, divisor))
    if not ratio < _SCALE_LIMIT:
        raise UserError(
            f"the scales are too far apart: their ratio is {ratio:g}, the limit is 2^100.",
            hint="Quantize the model again with realistic calibration data.",
        )
    return ratio


# Requantization ------------------------------------------------------------------------------------


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
    return np.asarray((reach < _REQUANT_LIMIT) & (low >= _INT32_MIN) & (high <= _INT32_MAX))


# Element-wise add and mul --------------------------------------------------------------------------

_A = np.arange(-128, 128, dtype=np.int64).reshape(256, 1)
_B = np.arange(-128, 128, dtype=np.int64).reshape(1, 256)


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
    out = _scale("output scale", sc)
    ra, rb = _ratio(_scale("scale of a", sa), out), _ratio(_scale("scale of b", sb), out)
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
        product = _scale("scale of a", sa) * _scale("scale of b", sb)
    ratio = _ratio(product, _scale("output scale", sc))
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
    sa: Real, za: int, sb: Real, zb: int, sc: Real, zc: int, *, activation: tuple[int, int] = (-128, 127)
) -> SubParams:
    """Parameters of Sub between DequantizeLinear and QuantizeLinear; the integer path and its tie band as in
    `add_params`. The zero point is added behind the rounding, so uint8 tensors are no case of their own.
    """
    a_scale, b_scale, out = _scale("scale of a", sa), _scale("scale of b", sb), _scale("output scale", sc)
    ra, rb = (float(s) / float(out) for s in (a_scale, b_scale))
    constant = zc - za * ra + zb * rb
    bits = _fraction_bits(128 * (ra + rb) + abs(constant))
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


def dequantize(q: ArrayLike, scale: ArrayLike, zero_point: int) -> Float32:
    """fl((q - zp) * s): DequantizeLinear."""
    return (_int64(q) - zero_point).astype(np.float32) * np.asarray(scale, np.float32)


def quantize(real: ArrayLike, scale: ArrayLike, zero_point: int) -> Int64:
    """rne(fl(x / s)) + zp, saturated to int8: QuantizeLinear."""
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.asarray(real, np.float32) / np.asarray(scale, np.float32)
    return np.rint(np.clip(scaled, -128 - zero_point, 127 - zero_point)).astype(np.int64) + zero_point


def requantize_table(
    sx: Real, zx: int, sy: Real, zy: int, *, activation: tuple[int, int] = (-128, 127)
) -> NDArray[np.int8]:
    """int8[256] of QuantizeLinear(DequantizeLinear(x)), lowest x first."""
    codes = quantize(dequantize(_A.ravel(), _scale("input scale", sx), zx), _scale("output scale", sy), zy)
    return np.clip(codes, *activation).astype(np.int8)


def ort_add(params: AddParams, a: ArrayLike, b: ArrayLike) -> Int64:
    """QLinearAdd on int8: rne(fma(a, rA, fma(b, rB, F))) saturated.

    rA = fl(sA / sC), rB = fl(sB / sC), F = fl(zC - fma(rA, zA, fl(rB * zB))).
    """
    out = _ort_add(params.a_ratio, params.b_ratio, params.fixed, params.origin, _int64(a), _int64(b))
    return np.clip(out, params.activation_min, params.activation_max)


def ort_mul(params: MulParams, a: ArrayLike, b: ArrayLike) -> Int64:
    """QLinearMul on int8: rne(fl(fl((a - zA)(b - zB) * r) + zC)) saturated, r = fl(fl(sA * sB) / sC)."""
    products = (_int64(a) + params.a_offset) * (_int64(b) + params.b_offset)
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


def _int64(x: ArrayLike) -> Int64:
    return np.asarray(x, np.int64)


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
    in_range = np.abs(fixed_point) + max(params.tie, 0) <= _INT32_MAX
    return bool(np.all((near_tie | (result == wanted)) & in_range))


# Softmax and pooling -------------------------------------------------------------------------------


def softmax_table(sx: Real, classes: int) -> Float32:
    """f32[256] of QLinearSoftmax: entry i = fl(exp((i - 255 + shift) * sx)), in double.

    shift = max(0, logf(FLT_MAX / classes) - 5) / sx keeps the sum finite. Entry 255 belongs to the row's
    largest byte, 254 to one less, and so on; the same table serves int8 and uint8.
    """
    scale = float(_scale("input scale", sx))
    headroom = float(np.float32(math.log(float(np.finfo(np.float32).max / np.float32(classes)))))
    shift = max(0.0, headroom - 5.0) / scale
    with np.errstate(under="ignore"):
        return np.array([math.exp((i - 255 + shift) * scale) for i in range(256)]).astype(np.float32)


def softmax_scale_inverse(sy: Real, classes: int) -> np.float32:
    """floor(1 / sy), the factor of QLinearSoftmax.

    UserError where ORT's own product of table and factor overflows: its bytes would mean nothing.
    """
    with np.errstate(over="ignore"):
        inverse = np.float32(np.floor(np.float32(1.0) / _scale("output scale", sy)))
    # The largest entry does not depend on the input scale, up to an ulp: FLT_MAX / classes / e^5.
    if not float(inverse) < min(classes * math.exp(5.0) * (1.0 - 2.0**-16), 2.0**30):
        raise UserError(
            f"softmax over {classes} classes with output scale {float(sy):g}: "
            "ONNX Runtime's float32 arithmetic overflows.",
            hint="Use the output scale 1/256; a softmax over one class is the constant 1.",
        )
    return inverse


@dataclass(frozen=True)
class AveragePoolParams:
    """The arithmetic members of mcugen_average_pool_params; stride and padding are the caller's."""

    input_scale: np.float32
    output_scale: np.float32
    input_zero_point: int
    output_zero_point: int
    origin: int
    count_include_pad: bool
    multiplier: int
    shift: int
    tie: int
    activation_min: int
    activation_max: int


def average_pool_params(
    sx: Real,
    zx: int,
    sy: Real,
    zy: int,
    window: int,
    *,
    count_include_pad: bool = False,
    unsigned: bool = False,
    activation: tuple[int, int] = (-128, 127),
) -> AveragePoolParams:
    """Parameters of QLinearAveragePool; window = kernel height * width, zero points as in `add_params`.

    Not for a kernel that covers the whole input without pads: ORT computes that as a global average pool.

    The integer path computes sum(x - zx) * (sx / sy / count) in 16.16 fixed point. The result of the float
    path is within `bound` of the real value: relative 2^-24 for each of the window's products and additions
    and for two divisions, on at most reach = 255 * sx / sy, and 2^-24 of the sum with the zero point. The
    integer multiplier, (2^31 / count) bits wide, adds count * 2^-30 relatively. Nearer than that to a tie
    the kernel takes the float path.
    """
    input_scale, output_scale = _scale("input scale", sx), _scale("output scale", sy)
    ratio = float(input_scale) / float(output_scale)
    mantissa, exponent = math.frexp(ratio)
    reach = 255.0 * ratio
    bound = reach * ((window + 3) * 2.0**-24 + window * 2.0**-29) + (reach + 256.0) * 2.0**-23
    tie = math.ceil(bound * 65536.0) + 2
    multiplier, shift = int(math.ldexp(mantissa, 31)), 15 - exponent
    # Subnormal floats have no relative bound, and 16.16 must hold the result: else all take the float path.
    normal = float(input_scale) > 2.0**-100 and float(output_scale) > 2.0**-100
    if not (normal and reach < _REQUANT_LIMIT - 512 and tie < 0x8000 and shift < 48):
        multiplier, shift, tie = 0, 0, 0x8000
    return AveragePoolParams(
        np.float32(input_scale),
        np.float32(output_scale),
        zx,
        zy,
        128 if unsigned else 0,
        count_include_pad,
        multiplier,
        shift,
        tie,
        *activation,
    )


@dataclass(frozen=True)
class ReduceParams:
    """The arithmetic members of mcugen_reduce_sum_params."""

    input_scale: np.float32
    output_scale: np.float32
    divisor: np.float32
    input_zero_point: int
    output_zero_point: int
    multiplier: int
    shift: int
    tie: int
    activation_min: int
    activation_max: int


def reduce_params(
    sx: Real,
    zx: int,
    sy: Real,
    zy: int,
    count: int,
    *,
    mean: bool,
    activation: tuple[int, int] = (-128, 127),
) -> ReduceParams:
    """Parameters of ReduceMean and ReduceSum of `count` values between DequantizeLinear and QuantizeLinear.

    The integer path computes sum(x - zx) * sx / sy (/ count) in 16.16 fixed point. In whatever order they are added,
    the floats are within relative 2^-24 for each of count products, count - 1 additions and two divisions of the sum
    of magnitudes, at most `reach` output steps. Nearer than that to a tie the kernel takes the float path.
    """
    input_scale, output_scale = _scale("input scale", sx), _scale("output scale", sy)
    divisor = count if mean else 1
    ratio = float(input_scale) / float(output_scale) / divisor
    mantissa, exponent = math.frexp(ratio)
    reach = 255.0 * count * ratio
    tie = math.ceil(reach * ((count + 3) * 2.0**-24 + 2.0**-29) * 65536.0) + 2
    multiplier, shift = int(math.ldexp(mantissa, 31)), 15 - exponent
    # Subnormal floats have no relative bound, and 16.16 must hold the result: else all take the float path.
    normal = float(input_scale) > 2.0**-100 and float(output_scale) > 2.0**-100
    if not (normal and reach < _REQUANT_LIMIT - 512 and tie < 0x8000 and 0 <= shift < 63):
        multiplier, shift, tie = 0, 0, 0x8000
    scales = np.float32(input_scale), np.float32(output_scale), np.float32(divisor)
    return ReduceParams(*scales, zx, zy, multiplier, shift, tie, *activation)


# Operators on 16-bit tensors -----------------------------------------------------------------------


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
    scales = [_scale(name, s) for name, s in (("scale of a", sa), ("scale of b", sb), ("output scale", sy))]
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
    scales = [_scale(name, s) for name, s in (("scale of a", sa), ("scale of b", sb), ("output scale", sy))]
    ratio = float(scales[0]) * float(scales[1]) / float(scales[2])
    reach = float(_wide_steps(za) * _wide_steps(zb)) * ratio
    shift = min(28 - math.frexp(ratio)[1], _WIDE_FRACTION)
    bound = min(reach, _SATURATED) * (4.001 * 2.0**-24 + math.ldexp(0.5, -shift) / ratio)
    (multiplier,), shift, tie = _wide_path(scales, reach, bound, shift, (ratio,))
    offset = (zy << shift) + (1 << (shift - 1))
    a_scale, b_scale, y_scale = (np.float32(scale) for scale in scales)
    return WideProductParams(a_scale, b_scale, y_scale, za, zb, zy, multiplier, shift, offset, tie, *activation)


@dataclass(frozen=True)
class WideReduceParams:
    """The arithmetic members of mcugen_reduce_sum_s16_params."""

    input_scale: np.float32
    output_scale: np.float32
    divisor: np.float32
    input_zero_point: int
    output_zero_point: int
    multiplier: int
    shift: int
    tie: int
    activation_min: int
    activation_max: int


def wide_reduce_params(
    sx: Real, zx: int, sy: Real, zy: int, count: int, *, mean: bool, activation: tuple[int, int]
) -> WideReduceParams:
    """Parameters of 16-bit ReduceMean and ReduceSum of `count` values; the floats' error as in `reduce_params`, the
    band around ties as in `wide_sum_params`.
    """
    scales = [_scale("input scale", sx), _scale("output scale", sy)]
    divisor = count if mean else 1
    ratio, steps = float(scales[0]) / float(scales[1]) / divisor, _wide_steps(zx) * count
    reach = steps * ratio
    room = _WIDE_PRODUCT - math.frexp(max(reach, 1.0))[1]  # of a sum times the multiplier
    shift = min(31 - math.frexp(ratio)[1], _WIDE_FRACTION, room)
    bound = reach * (count + 3) * 1.001 * 2.0**-24 + math.ldexp(0.5 * steps, -shift)
    (multiplier,), shift, tie = _wide_path(scales, reach, bound, shift, (ratio,))
    x_scale, y_scale = (np.float32(scale) for scale in scales)
    return WideReduceParams(x_scale, y_scale, np.float32(divisor), zx, zy, multiplier, shift, tie, *activation)


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
    scales = [_scale("input scale", sx), _scale("output scale", sy)]
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


# A stock CMSIS-NN: multipliers for its own rounding ------------------------------------------------


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
    s = _int64(shift)
    left, right = np.maximum(s, 0), np.maximum(-s, 0)
    r = ((_int64(acc) << left) * _int64(multiplier) + (1 << 30)) >> 31
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
        low, high = np.atleast_1d(_int64(lo)), np.atleast_1d(_int64(hi))
        if np.any(low < _INT32_MIN) or np.any(high > _INT32_MAX):
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
        inside = offset + 8 * scale < (_INT32_MAX - self.reach()) * scale
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
    return np.asarray((reach + np.abs(delta)) << np.clip(shift, 0, 31) <= _INT32_MAX)


def _interval(steps: _Steps, shift: Int64, delta: Int64, offset: int) -> tuple[Int64, Int64]:
    """The multipliers low[C]..high[C] that put every step where ORT has it; none if low > high."""
    left, right = np.clip(shift, 0, 31)[:, None], np.clip(-shift, 0, 31)[:, None]
    wanted = (steps.target - steps.clamp[0] + offset)[None, :]
    # The smallest r of `stock_requantize` whose rounding shift gives `wanted`: halves go away from zero.
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    r = np.where(right > 0, (2 * wanted - 1) * half + (wanted <= 0), wanted)
    beyond = np.abs(r) > _INT32_MAX
    # result >= wanted  <=>  acc * 2^left * multiplier >= product
    product = (np.where(beyond, 0, r) << 31) - (1 << 30)

    rises = steps.first <= steps.hi[:, None]
    falls = steps.first > steps.lo[:, None]
    after = (steps.first + delta[:, None]) << left
    before = (steps.first - 1 + delta[:, None]) << left
    broken = beyond | (rises & (after == 0) & (product > 0)) | (falls & (before == 0) & (product < 1))
    low, high = np.int64(1), np.int64(_INT32_MAX)
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
