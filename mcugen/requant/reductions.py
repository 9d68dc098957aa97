"""Softmax, average pools and reductions of 8-bit tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import UserError
from .scales import REQUANT_LIMIT, Float32, Real, valid_scale


def softmax_table(sx: Real, classes: int) -> Float32:
    """f32[256] of QLinearSoftmax: entry i = fl(exp((i - 255 + shift) * sx)), in double.

    shift = max(0, logf(FLT_MAX / classes) - 5) / sx keeps the sum finite. Entry 255 belongs to the row's
    largest byte, 254 to one less, and so on; the same table serves int8 and uint8.
    """
    scale = float(valid_scale("input scale", sx))
    headroom = float(np.float32(math.log(float(np.finfo(np.float32).max / np.float32(classes)))))
    shift = max(0.0, headroom - 5.0) / scale
    with np.errstate(under="ignore"):
        return np.array([math.exp((i - 255 + shift) * scale) for i in range(256)]).astype(np.float32)


def softmax_scale_inverse(sy: Real, classes: int) -> np.float32:
    """floor(1 / sy), the factor of QLinearSoftmax.

    UserError where ORT's own product of table and factor overflows: its bytes would mean nothing.
    """
    with np.errstate(over="ignore"):
        inverse = np.float32(np.floor(np.float32(1.0) / valid_scale("output scale", sy)))
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
    input_scale, output_scale = valid_scale("input scale", sx), valid_scale("output scale", sy)
    ratio = float(input_scale) / float(output_scale)
    reach = 255.0 * ratio
    bound = reach * ((window + 3) * 2.0**-24 + window * 2.0**-29) + (reach + 256.0) * 2.0**-23
    path = _integer_path((input_scale, output_scale), ratio, reach, bound, longest=47)
    scales, origin = (np.float32(input_scale), np.float32(output_scale)), 128 if unsigned else 0
    return AveragePoolParams(*scales, zx, zy, origin, count_include_pad, *path, *activation)


@dataclass(frozen=True)
class ReduceParams:
    """The arithmetic members of mcugen_reduce_sum_params and mcugen_reduce_sum_s16_params."""

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
    input_scale, output_scale = valid_scale("input scale", sx), valid_scale("output scale", sy)
    divisor = count if mean else 1
    ratio = float(input_scale) / float(output_scale) / divisor
    reach = 255.0 * count * ratio
    bound = reach * ((count + 3) * 2.0**-24 + 2.0**-29)
    path = _integer_path((input_scale, output_scale), ratio, reach, bound, longest=62)
    scales = np.float32(input_scale), np.float32(output_scale), np.float32(divisor)
    return ReduceParams(*scales, zx, zy, *path, *activation)


def _integer_path(
    scales: tuple[Float32, Float32], ratio: float, reach: float, bound: float, longest: int
) -> tuple[int, int, int]:
    """(multiplier, shift, tie) of a sum times `ratio` in 16.16 fixed point, within `bound` steps of ORT's floats.

    longest: shift that the kernel can take. (0, 0, 0x8000), the float path for all results, where 16.16 does not hold
    `reach` or a scale is subnormal: those have no relative bound.
    """
    mantissa, exponent = math.frexp(ratio)
    shift, tie = 15 - exponent, math.ceil(bound * 65536.0) + 2
    normal = all(float(scale) > 2.0**-100 for scale in scales)
    if not (normal and reach < REQUANT_LIMIT - 512 and tie < 0x8000 and shift <= longest):
        return 0, 0, 0x8000
    return int(math.ldexp(mantissa, 31)), shift, tie
