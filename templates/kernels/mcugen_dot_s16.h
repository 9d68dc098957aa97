/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of products of int16 values and int8 weights, and their requantization; not for users. */
#ifndef MCUGEN_DOT_S16_H
#define MCUGEN_DOT_S16_H

#include "mcugen_arithmetic_s16.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#elif defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#endif

/* So many products, each at most 2^22, that int32 holds their sum. */
#define MCUGEN_DOT_S16_RUN 504

#if defined(__ARM_FEATURE_MVE)
static inline int64_t mcugen_dot_s16(const int16_t *x, const int8_t *w, int32_t count)
{
    int64_t sum = 0;
    for (int32_t i = 0; i < count; i += 8) {
        const mve_pred16_t inside = vctp16q((uint32_t)(count - i));
        sum = vmlaldavaq_p_s16(sum, vldrhq_z_s16(x + i, inside), vldrbq_z_s16(w + i, inside), inside);
    }
    return sum;
}
#else
#if defined(__ARM_FEATURE_DSP)
/* The second and the fourth byte of a word: GCC 12 does not see that SXTB16 rotates. */
static inline int16x2_t mcugen_odd_bytes_s16(uint32_t word)
{
    int16x2_t odd;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(word));
    return odd;
}
#endif

static inline int32_t mcugen_dot_run_s16(const int16_t *x, const int8_t *w, int32_t count)
{
    int32_t sum = 0;
#if defined(__ARM_FEATURE_DSP)
    for (; count >= 4; count -= 4, x += 4, w += 4) {
        uint32_t low, high, four;
        memcpy(&low, x, 4);
        memcpy(&high, x + 2, 4);
        memcpy(&four, w, 4);
        const int16x2_t even = (int16x2_t)((low & 0xFFFFu) | high << 16);
        const int16x2_t odd = (int16x2_t)(low >> 16 | (high & 0xFFFF0000u));
        sum = __smlad((int16x2_t)__sxtb16((int8x4_t)four), even, sum);
        sum = __smlad(mcugen_odd_bytes_s16(four), odd, sum);
    }
#endif
    for (; count > 0; count--) {
        sum += *x++ * *w++;
    }
    return sum;
}

static inline int64_t mcugen_dot_s16(const int16_t *x, const int8_t *w, int32_t count)
{
    int64_t sum = 0;
    for (; count > MCUGEN_DOT_S16_RUN; count -= MCUGEN_DOT_S16_RUN) {
        sum += mcugen_dot_run_s16(x, w, MCUGEN_DOT_S16_RUN);
        x += MCUGEN_DOT_S16_RUN;
        w += MCUGEN_DOT_S16_RUN;
    }
    return sum + mcugen_dot_run_s16(x, w, count);
}
#endif

/* product / 2^shift, halves to even, plus zero_point, clamped; |product| <= 2^61, shift in [33, 61]. */
static inline int16_t mcugen_requant_high_s16(int64_t product, int32_t shift, int32_t zero_point,
                                              const cmsis_nn_activation *activation)
{
    const int32_t down = shift - 32, half = INT32_C(1) << (down - 1), high = (int32_t)(product >> 32) + half;
    int32_t real = high >> down;
    if ((uint32_t)product == 0u && (high & (2 * half - 1)) == 0) { /* the low word only tells ties apart */
        real &= ~1;
    }
    return mcugen_activate_s16(real + zero_point, activation);
}

/* The same of acc * multiplier, with a shift in [1, 61]. */
static inline int16_t mcugen_requant_s16(int64_t acc, int32_t multiplier, int32_t shift, int32_t zero_point,
                                         const cmsis_nn_activation *activation)
{
    const int64_t product = acc * multiplier;
    if (shift > 32) {
        return mcugen_requant_high_s16(product, shift, zero_point, activation);
    }
    const int64_t odd = (product >> shift) & 1;
    const int64_t real = ((product + (INT64_C(1) << (shift - 1)) - 1 + odd) >> shift) + zero_point;
    return (int16_t)(real < activation->min ? activation->min : (real > activation->max ? activation->max : real));
}

#endif
