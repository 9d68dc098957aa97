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
/* sum plus four products; of the values, 0 and 2 are in `even`, 1 and 3 in `odd`. */
static inline int32_t mcugen_dot_word_s16(int16x2_t even, int16x2_t odd, const int8_t *w, int32_t sum)
{
    uint32_t four;
    memcpy(&four, w, 4);
    sum = __smlad((int16x2_t)__sxtb16((int8x4_t)four), even, sum);
    return __smlad((int16x2_t)__sxtb16((int8x4_t)(four >> 8 | four << 24)), odd, sum);
}
#endif

static inline int32_t mcugen_dot_run_s16(const int16_t *x, const int8_t *w, int32_t count)
{
    int32_t sum = 0;
#if defined(__ARM_FEATURE_DSP)
    for (; count >= 4; count -= 4, x += 4, w += 4) {
        uint32_t low, high;
        memcpy(&low, x, 4);
        memcpy(&high, x + 2, 4);
        sum = mcugen_dot_word_s16((int16x2_t)((low & 0xFFFFu) | high << 16),
                                  (int16x2_t)(low >> 16 | (high & 0xFFFF0000u)), w, sum);
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

/* Adds to sums[0..3] what mcugen_dot_run_s16 gives for the filters w, w + size, w + 2 * size and w + 3 * size. */
static inline void mcugen_dot_4_run_s16(const int16_t *x, const int8_t *w, int32_t size, int32_t count, int64_t *sums)
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    const int8_t *w1 = w + size, *w2 = w1 + size, *w3 = w2 + size;
#if defined(__ARM_FEATURE_MVE)
    for (int32_t i = 0; i < count; i += 8) {
        const mve_pred16_t inside = vctp16q((uint32_t)(count - i));
        const int16x8_t values = vldrhq_z_s16(x + i, inside);
        s0 = vmladavaq_p_s16(s0, values, vldrbq_z_s16(w + i, inside), inside);
        s1 = vmladavaq_p_s16(s1, values, vldrbq_z_s16(w1 + i, inside), inside);
        s2 = vmladavaq_p_s16(s2, values, vldrbq_z_s16(w2 + i, inside), inside);
        s3 = vmladavaq_p_s16(s3, values, vldrbq_z_s16(w3 + i, inside), inside);
    }
#else
#if defined(__ARM_FEATURE_DSP)
    for (; count >= 4; count -= 4, x += 4, w += 4, w1 += 4, w2 += 4, w3 += 4) {
        uint32_t low, high;
        memcpy(&low, x, 4);
        memcpy(&high, x + 2, 4);
        const int16x2_t even = (int16x2_t)((low & 0xFFFFu) | high << 16);
        const int16x2_t odd = (int16x2_t)(low >> 16 | (high & 0xFFFF0000u));
        s0 = mcugen_dot_word_s16(even, odd, w, s0);
        s1 = mcugen_dot_word_s16(even, odd, w1, s1);
        s2 = mcugen_dot_word_s16(even, odd, w2, s2);
        s3 = mcugen_dot_word_s16(even, odd, w3, s3);
    }
#endif
    for (; count > 0; count--) {
        const int32_t value = *x++;
        s0 += value * *w++;
        s1 += value * *w1++;
        s2 += value * *w2++;
        s3 += value * *w3++;
    }
#endif
    sums[0] += s0;
    sums[1] += s1;
    sums[2] += s2;
    sums[3] += s3;
}

/* Adds to sums[0..3] the dot products of x with four filters, `size` apart. */
static inline void mcugen_dot_4_s16(const int16_t *x, const int8_t *w, int32_t size, int32_t count, int64_t *sums)
{
    for (; count > MCUGEN_DOT_S16_RUN; count -= MCUGEN_DOT_S16_RUN) {
        mcugen_dot_4_run_s16(x, w, size, MCUGEN_DOT_S16_RUN, sums);
        x += MCUGEN_DOT_S16_RUN;
        w += MCUGEN_DOT_S16_RUN;
    }
    mcugen_dot_4_run_s16(x, w, size, count, sums);
}

/* acc * multiplier / 2^shift, halves to even, plus zero_point, clamped; |acc * multiplier| <= 2^61, shift in [1, 61]. */
static inline int16_t mcugen_requant_s16(int64_t acc, int32_t multiplier, int32_t shift, int32_t zero_point,
                                         const cmsis_nn_activation *activation)
{
    const int64_t product = acc * multiplier;
    if (shift > 32) { /* the low word only tells ties apart */
        const int32_t down = shift - 32, half = INT32_C(1) << (down - 1), high = (int32_t)(product >> 32) + half;
        const int tie = (uint32_t)product == 0u && (high & (2 * half - 1)) == 0;
        return mcugen_activate_s16(((high >> down) & (tie ? ~1 : ~0)) + zero_point, activation);
    }
    const int64_t odd = (product >> shift) & 1;
    const int64_t real = ((product + (INT64_C(1) << (shift - 1)) - 1 + odd) >> shift) + zero_point;
    return (int16_t)(real < activation->min ? activation->min : (real > activation->max ? activation->max : real));
}

#endif
