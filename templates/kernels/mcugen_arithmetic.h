/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic that the kernels share; not for users. See mcugen_kernels.h for what it asks of the compiler. */
#ifndef MCUGEN_ARITHMETIC_H
#define MCUGEN_ARITHMETIC_H

#include <stdint.h>
#include <string.h>

#include "arm_nn_types.h"
#include "mcugen_requant.h"

#if defined(__GNUC__)
#define MCUGEN_INLINED static inline __attribute__((always_inline))
#define MCUGEN_IN_REGISTER(value) __asm__("" : "+r"(value)) /* before more is added: one MLA a product */
#else
#define MCUGEN_INLINED static inline
#define MCUGEN_IN_REGISTER(value) ((void)(value))
#endif

MCUGEN_INLINED int8_t mcugen_clamp(int32_t value, int32_t min, int32_t max)
{
#if defined(__GNUC__) && defined(__ARM_FEATURE_SAT) && defined(__thumb2__)
    if (__builtin_constant_p(min) && min == INT8_MIN && __builtin_constant_p(max) && max == INT8_MAX) {
        __asm__("ssat %0, #8, %0" : "+r"(value) : : "cc");
        return (int8_t)value;
    }
#endif
    return (int8_t)(value < min ? min : (value > max ? max : value));
}

static inline int8_t mcugen_activate(int32_t value, const cmsis_nn_activation *activation)
{
    return mcugen_clamp(value, activation->min, activation->max);
}

/* Nearest integer of |x| <= 2^21, halves to even: adding 1.5 * 2^23 leaves no fraction bits, and rounds. */
static inline int32_t mcugen_round(float x)
{
    const float shifted = x + 12582912.0f;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return bits - 0x4B400000;
}

/* Nearest integer as x86 converts it, except that it is exact only within +-1024 and beyond stays on its side: what
 * exceeds int32, of either sign, becomes the lowest value, which is what ONNX Runtime then saturates. x is not NaN. */
static inline int32_t mcugen_convert(float x)
{
#if MCUGEN_REQUANT_FPU && defined(__GNUC__) && defined(__arm__)
    float converted;
    int32_t result;
    __asm__("vcvtr.s32.f32 %0, %1" : "=t"(converted) : "t"(x)); /* rounds by the FPSCR and saturates */
    memcpy(&result, &converted, sizeof result);
    /* No float below 2^31 converts to INT32_MAX: it means too large. Adding 1 wraps it to the lowest values. */
    return (int32_t)((uint32_t)result + 1u) < -1023 ? -1024 : result;
#else
    if (!(x < 2147483648.0f) || x < -1024.0f) {
        return -1024;
    }
    return x > 1024.0f ? 1024 : mcugen_round(x);
#endif
}

/* QuantizeLinear: nearest to x / scale, halves to even, plus zero_point, saturated; NaN gives INT8_MIN. */
static inline int8_t mcugen_quantize(float x, float scale, int32_t zero_point)
{
    const float min = (float)(INT8_MIN - zero_point), max = (float)(INT8_MAX - zero_point);
    const float scaled = x / scale;
    const float held = scaled > min ? (scaled < max ? scaled : max) : min; /* NaN is not > min */
    return (int8_t)(mcugen_round(held) + zero_point);
}

/* a * b + c rounded once. */
static inline float mcugen_fma(float a, float b, float c)
{
#if MCUGEN_REQUANT_FPU
    return __builtin_fmaf(a, b, c);
#else
    /* The product is exact in double. The sum is rounded to odd (its error tells in which direction it was rounded),
     * after which the rounding to float is the only one that counts. */
    const double product = (double)a * (double)b;
    double sum = product + (double)c;
    const double part = sum - product;
    const double error = (product - (sum - part)) + ((double)c - part);
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if (error != 0.0 && (bits & 1u) == 0u) {
        bits += (error > 0.0) == (sum > 0.0) ? 1u : UINT64_MAX;
        memcpy(&sum, &bits, sizeof sum);
    }
    return (float)sum;
#endif
}

/* A loop compiled three times from one body: for values that no tie can spoil (tie < 0) with and without a clamp
 * narrower than int8, and for all others. */
#define MCUGEN_SPECIALISED(loop, p, ...)                                                                               \
    do {                                                                                                               \
        if ((p)->tie < 0 && (p)->activation.min == INT8_MIN && (p)->activation.max == INT8_MAX) {                      \
            loop(p, __VA_ARGS__, -1, INT8_MIN, INT8_MAX);                                                              \
        } else if ((p)->tie < 0) {                                                                                     \
            loop(p, __VA_ARGS__, -1, (p)->activation.min, (p)->activation.max);                                        \
        } else {                                                                                                       \
            loop(p, __VA_ARGS__, (p)->tie, (p)->activation.min, (p)->activation.max);                                  \
        }                                                                                                              \
    } while (0)

/* Is a fixed-point value with `shift` fraction bits, rounding half included, within `tie` >= 0 of a rounding tie? */
static inline int mcugen_near_tie(int32_t value, int32_t shift, int32_t tie)
{
    const uint32_t mask = ((uint32_t)1 << shift) - 1u;
    return (((uint32_t)value + (uint32_t)tie) & mask) <= 2u * (uint32_t)tie;
}

#endif
