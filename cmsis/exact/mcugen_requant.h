/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact requantization: an int32 accumulator becomes the integer that ONNX Runtime computes,
 *
 *     rne(fl32(fl32(acc) * s))        fl32 = round to float32, rne = round half to even
 *
 * s is a float32, written as a 24-bit mantissa and an exponent: s = mantissa_q31 / 2^31 * 2^shift,
 * with mantissa_q31 = 0 (a channel that is always 0, shift 0) or in [2^30, 2^31), its low 7 bits zero.
 *
 * Three builds, chosen by two macros that must be equal in every file of a program:
 *     MCUGEN_REQUANT_STOCK=1   CMSIS-NN's own rounding, not exact: for a prebuilt stock library
 *     MCUGEN_REQUANT_FPU=1     float32 hardware; the default where the compiler reports it
 *     MCUGEN_REQUANT_FPU=0     integers only; the default for Helium without float: faster than an FPU beside it
 *
 * The FPU build needs the reset state of the rounding mode (to nearest, ties to even), no extended
 * precision, and -ffp-contract=off. Right shifts of negative numbers are arithmetic on every
 * supported compiler (C leaves them to the implementation).
 */
#ifndef MCUGEN_REQUANT_H
#define MCUGEN_REQUANT_H

#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#endif

#ifndef MCUGEN_REQUANT_STOCK
#define MCUGEN_REQUANT_STOCK 0
#endif

#ifndef MCUGEN_REQUANT_FPU
#if defined(__ARM_FEATURE_MVE) && !(__ARM_FEATURE_MVE & 2)
#define MCUGEN_REQUANT_FPU 0
#elif defined(__ARM_FP) && ((__ARM_FP) & 4)
#define MCUGEN_REQUANT_FPU 1
#else
#define MCUGEN_REQUANT_FPU 0
#endif
#endif

/* What a Cortex-M's programs may use: Baseline (Armv6-M, Armv8-M Baseline) has no access to words at any address and no
 * product of 64 bits; Mainline has. */
#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#if __ARM_ARCH_ISA_THUMB == 1
#define MCUGEN_BASELINE 1
#else
#define MCUGEN_MAINLINE 1
#endif
#endif

/* One entry of a multiplier table: a constant expression, so the same generated table serves every
 * build. The FPU build carries the bits of the float s itself: its exponent is shift - 1, biased 127. */
#if MCUGEN_REQUANT_FPU
#define MCUGEN_MULTIPLIER(mantissa_q31, shift)                                                                   \
    ((mantissa_q31) == 0 ? 0                                                                                     \
                         : (int32_t)(((uint32_t)((shift) + 126) << 23) | (((uint32_t)(mantissa_q31) >> 7) & 0x7FFFFFu)))
#else
#define MCUGEN_MULTIPLIER(mantissa_q31, shift) ((int32_t)(mantissa_q31))
#endif

/* The same for channels that share one shift, at least `own` and at most 7 above it: no bit is lost. */
#if MCUGEN_REQUANT_FPU && !MCUGEN_REQUANT_STOCK
#define MCUGEN_MULTIPLIER_AT(mantissa_q31, own, shared) MCUGEN_MULTIPLIER(mantissa_q31, own)
#else
#define MCUGEN_MULTIPLIER_AT(mantissa_q31, own, shared) ((int32_t)((mantissa_q31) >> ((shared) - (own))))
#endif

#if defined(__GNUC__)
#define MCUGEN_RARELY(condition) __builtin_expect(!!(condition), 0)
#define MCUGEN_OUT_OF_LINE __attribute__((noinline, unused))
#define MCUGEN_COLD __attribute__((noinline, cold, unused)) /* hardly ever called: small rather than fast */
#else
#define MCUGEN_RARELY(condition) (condition)
#define MCUGEN_OUT_OF_LINE
#define MCUGEN_COLD
#endif

/* Where mcugen_requant_wide saturates: far outside every 8-bit and 16-bit result. */
#define MCUGEN_REQUANT_WIDE_MAX (INT32_C(1) << 20)

static inline int32_t mcugen_bit_length(uint64_t value)
{
    int32_t bits = value != 0 ? 1 : 0;
    for (int32_t step = 32; step > 0; step /= 2)
    {
        if ((value >> step) != 0)
        {
            value >>= step;
            bits += step;
        }
    }
    return bits;
}

/* value / 2^shift, ties to even; shift in [1, 63]. */
static inline uint64_t mcugen_shift_to_even(uint64_t value, int32_t shift)
{
    const uint64_t half = UINT64_C(1) << (shift - 1);
    const uint64_t rest = value & ((half << 1) - 1u);
    const uint64_t quotient = value >> shift;
    return quotient + (rest > half || (rest == half && (quotient & 1u) != 0) ? 1u : 0u);
}

/* The float32 nearest to an integer, as an integer. */
static inline uint64_t mcugen_round_to_float(uint64_t value)
{
    const int32_t excess = mcugen_bit_length(value) - 24;
    return excess > 0 ? mcugen_shift_to_even(value, excess) << excess : value;
}

/* Both float roundings in integers, for every accumulator and any shift in [-126, 127]: exact up to
 * +-MCUGEN_REQUANT_WIDE_MAX, where it saturates. Takes the mantissa, not MCUGEN_MULTIPLIER. */
MCUGEN_COLD static int32_t mcugen_requant_wide(int32_t acc, int32_t mantissa_q31, int32_t shift)
{
    const uint32_t magnitude = acc < 0 ? 0u - (uint32_t)acc : (uint32_t)acc;
    const uint64_t mantissa = (uint32_t)mantissa_q31 >> 7;
    const uint64_t product = mcugen_round_to_float(mcugen_round_to_float(magnitude) * mantissa);
    const int32_t right = 24 - shift; /* |result| = product / 2^right, product <= 2^56 */
    int32_t result;

    if (product == 0)
    {
        return 0;
    }
    if (mcugen_bit_length(product) - right > 20)
    {
        result = MCUGEN_REQUANT_WIDE_MAX;
    }
    else if (right <= 0)
    {
        result = (int32_t)(product << -right);
    }
    else
    {
        result = right < 64 ? (int32_t)mcugen_shift_to_even(product, right) : 0;
    }
    return acc < 0 ? -result : result;
}

/*
 * The requantization of the kernels. multiplier is MCUGEN_MULTIPLIER(mantissa_q31, shift), shift in
 * [-31, 15], |acc * s| < 32767 (the compiler of the model proves it). Results in [-256, 256] are
 * exact; larger ones are only certain to stay outside [-255, 255], on their side: the clamp to 8 bits,
 * whatever the zero point, makes them equal.
 */
static inline int32_t mcugen_requant(int32_t acc, int32_t multiplier, int32_t shift)
{
#if MCUGEN_REQUANT_FPU
    float scale;
    (void)shift;
    memcpy(&scale, &multiplier, sizeof scale);
    const float real = (float)acc * scale;
    int32_t result;
#if defined(__GNUC__) && defined(__arm__)
    /* vcvtr rounds by the FPSCR (the plain conversion of C truncates) and saturates. */
    float bits;
    __asm__("vcvtr.s32.f32 %0, %1" : "=t"(bits) : "t"(real));
    memcpy(&result, &bits, sizeof result);
    return result;
#else
    /* At 1.5 * 2^23 a float's last place is 1: the sum rounds to an integer that its low bits hold. */
    const float sum = real + 12582912.0f;
    memcpy(&result, &sum, sizeof result);
    return result - 0x4B400000;
#endif
#else
    /* Sixteen fraction bits decide, unless a tie is so near that the float roundings may cross it: for
     * a result of 8 bits they move acc * s by at most 255.5 * 2^-23, less than 2 units of 2^-16. */
    const int64_t product = (int64_t)acc * multiplier;
    const int32_t fixed = (int32_t)(product >> (15 - shift)) + 0x8000;
    if (MCUGEN_RARELY((((uint32_t)fixed + 2u) & 0xFFFFu) <= 4u))
    {
        return mcugen_requant_wide(acc, multiplier, shift);
    }
    return fixed >> 16;
#endif
}

/* The slow path behind MCUGEN_MULTIPLIER_AT: the mantissa back in its place, its shift lowered with it. */
MCUGEN_COLD static int32_t mcugen_requant_wide_at(int32_t acc, int32_t multiplier, int32_t shift)
{
    for (; multiplier < (INT32_C(1) << 30); multiplier *= 2)
    {
        shift--;
    }
    return mcugen_requant_wide(acc, multiplier, shift);
}

/* acc * multiplier / 2^right, rounded down, modulo 2^32; multiplier >= 0, right in [0, 46]. */
static inline int32_t mcugen_scale_down(int32_t acc, int32_t multiplier, int32_t right)
{
#if defined(MCUGEN_BASELINE)
    /* This core has no product of 64 bits. In halves, so that no sum overflows: */
    const int32_t high = acc >> 16, scale_high = multiplier >> 16, scale_low = multiplier & 0xFFFF;
    const uint32_t low = (uint32_t)acc & 0xFFFFu, lowest = low * (uint32_t)scale_low;
    const uint32_t middle = low * (uint32_t)scale_high + (lowest >> 16);
    const int32_t mixed = high * scale_low + (int32_t)(middle & 0xFFFFu);
    const int32_t upper = high * scale_high + (int32_t)(middle >> 16) + (mixed >> 16);
    const uint32_t lower = (uint32_t)mixed << 16 | (lowest & 0xFFFFu);
    if (right >= 32)
    {
        return right == 32 ? upper : upper >> (right - 32);
    }
    return (int32_t)(right == 0 ? lower : (uint32_t)upper << (32 - right) | lower >> right);
#else
    return (int32_t)(((int64_t)acc * multiplier) >> right);
#endif
}

/* mcugen_requant for MCUGEN_MULTIPLIER_AT: the product is the same, only its factors differ. */
static inline int32_t mcugen_requant_at(int32_t acc, int32_t multiplier, int32_t shift)
{
#if MCUGEN_REQUANT_FPU
    return mcugen_requant(acc, multiplier, shift);
#else
    const int32_t fixed = mcugen_scale_down(acc, multiplier, 15 - shift) + 0x8000;
    if (MCUGEN_RARELY((((uint32_t)fixed + 2u) & 0xFFFFu) <= 4u))
    {
        return mcugen_requant_wide_at(acc, multiplier, shift);
    }
    return fixed >> 16;
#endif
}

#if defined(__GNUC__) && defined(__OPTIMIZE__) && defined(MCUGEN_BASELINE)
#define MCUGEN_REQUANT_V6M 1
/* mcugen_requant_at for right = 15 - shift in [16, 31], then the zero point and the clamp to int8. */
MCUGEN_OUT_OF_LINE static int32_t mcugen_requant_output_v6m(int32_t acc, int32_t multiplier, int32_t right,
                                                            int32_t zero)
{
    register int32_t a __asm__("r0") = acc;
    register int32_t m __asm__("r1") = multiplier;
    register int32_t shift __asm__("r2") = right;
    register int32_t value __asm__("r4");
    register uint32_t near __asm__("r6"); /* to a tie: 4 or less */
    register int32_t kept __asm__("r12"), kept_multiplier __asm__("lr");
    /* As mcugen_scale_down: of the lower word, the upper half is enough. */
    __asm__(".syntax unified\n\t"
            "mov r12, r0\n\tmov lr, r1\n\t"
            "asrs r5, r0, #16\n\tuxth r0, r0\n\tlsrs r4, r1, #16\n\tuxth r1, r1\n\t"
            "movs r6, r0\n\tmuls r6, r1\n\tmuls r0, r4\n\tmuls r1, r5\n\tmuls r4, r5\n\t"
            "lsrs r6, r6, #16\n\tadds r0, r0, r6\n\tlsrs r6, r0, #16\n\tadds r4, r4, r6\n\t"
            "uxth r0, r0\n\tadds r1, r1, r0\n\tasrs r6, r1, #16\n\tadds r4, r4, r6\n\t"
            "lsls r1, r1, #16\n\tlsrs r1, r2\n\tmovs r6, #32\n\tsubs r6, r6, r2\n\tlsls r4, r6\n\torrs r4, r1\n\t"
            "movs r6, #128\n\tlsls r6, r6, #8\n\tadds r4, r4, r6\n\tadds r6, r4, #2\n\tuxth r6, r6\n\tasrs r4, r4, #16"
            : "+r"(a), "+r"(m), "=r"(value), "=r"(near), "=r"(kept), "=r"(kept_multiplier)
            : "r"(shift)
            : "r5", "cc");
    if (MCUGEN_RARELY(near <= 4u))
    {
        value = mcugen_requant_wide_at(kept, kept_multiplier, 15 - right);
    }
    value += zero;
    return value == (int8_t)value ? value : value >> 31 ^ 127;
}
#endif

#if MCUGEN_REQUANT_FPU && !MCUGEN_REQUANT_STOCK && defined(__ARM_FEATURE_MVE)
#if __ARM_FEATURE_MVE & 2
#define MCUGEN_REQUANT_MVE 1
/* Four of mcugen_requant: multiplier holds the bits of each lane's float. */
static inline int32x4_t mcugen_requant_mve(int32x4_t acc, int32x4_t multiplier)
{
    return vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(acc), vreinterpretq_f32_s32(multiplier)));
}
#endif
#endif

/* a * b / 2^31, halves up. */
static inline int32_t mcugen_high_product(int64_t a, int32_t b)
{
    return (int32_t)((a * b + (INT64_C(1) << 30)) >> 31);
}

/* value / 2^power, halves away from zero; power in [1, 62]. */
static inline int32_t mcugen_divide_by_power(int32_t value, int32_t power)
{
    const int64_t half = INT64_C(1) << (power - 1);
    return (int32_t)((value + half - (value < 0 ? 1 : 0)) >> power);
}

/* CMSIS-NN's default: a rounding doubling high multiply (half up), then a rounding division by a power
 * of two (half away from zero). acc * 2^shift must fit 32 bits; shift in [-31, 30]. */
static inline int32_t mcugen_requant_stock(int32_t acc, int32_t multiplier_q31, int32_t shift)
{
    const int32_t high = mcugen_high_product(shift > 0 ? acc * (INT64_C(1) << shift) : acc, multiplier_q31);
    return shift >= 0 ? high : mcugen_divide_by_power(high, -shift);
}

#if defined(__ARM_FEATURE_MVE)
/* Four of mcugen_requant_stock. */
static inline int32x4_t mcugen_requant_stock_mve(int32x4_t acc, int32_t multiplier_q31, int32_t shift)
{
    const int32_t right = shift < 0 ? shift : 0;
    const int32x4_t high = vqrdmulhq_n_s32(vshlq_r_s32(acc, shift - right), multiplier_q31);
    /* The rounding shift takes halves up: those of negative numbers go down by a last place before it. */
    return vrshlq_n_s32(vqaddq_s32(high, vshrq_n_s32(vandq_s32(high, vdupq_n_s32(right)), 31)), right);
}
#endif

/* What the kernels call. */
static inline int32_t mcugen_requantize(int32_t acc, int32_t multiplier, int32_t shift)
{
#if MCUGEN_REQUANT_STOCK
    return mcugen_requant_stock(acc, multiplier, shift);
#else
    return mcugen_requant(acc, multiplier, shift);
#endif
}

#endif
