/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic that the kernels on int16 share; not for users. */
#ifndef MCUGEN_ARITHMETIC_S16_H
#define MCUGEN_ARITHMETIC_S16_H

#include "mcugen_arithmetic.h"

static inline int16_t mcugen_activate_s16(int32_t value, const cmsis_nn_activation *activation)
{
    return (int16_t)(value < activation->min ? activation->min : (value > activation->max ? activation->max : value));
}

/* QuantizeLinear: nearest to x / scale, halves to even, plus zero_point, saturated; NaN gives INT16_MIN. */
static inline int32_t mcugen_quantize_s16(float x, float scale, int32_t zero_point)
{
    const float min = (float)(INT16_MIN - zero_point), max = (float)(INT16_MAX - zero_point);
    const float scaled = x / scale;
    const float held = scaled > min ? (scaled < max ? scaled : max) : min; /* NaN is not > min */
    return mcugen_round(held) + zero_point;
}

/* Is a value with `shift` fraction bits, rounding half included, within `tie` of a rounding tie? */
static inline int mcugen_near_tie_s16(int64_t value, int32_t shift, int64_t tie)
{
    const uint64_t mask = ((uint64_t)1 << shift) - 1u;
    return (((uint64_t)value + (uint64_t)tie) & mask) <= 2u * (uint64_t)tie;
}

#endif
