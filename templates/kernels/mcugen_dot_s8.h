/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of products of int8 values and weights; not for users. */
#ifndef MCUGEN_DOT_S8_H
#define MCUGEN_DOT_S8_H

#include <stdint.h>
#include <string.h>

#include "mcugen_requant.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#elif defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#endif

/* The sum of (x + offset) * w; -128 <= offset <= 128. */
MCUGEN_OUT_OF_LINE static int32_t mcugen_dot_s8(const int8_t *x, const int8_t *w, int32_t offset, int32_t count)
{
    int32_t sum = 0;
#if defined(__ARM_FEATURE_MVE)
    for (int32_t i = 0; i < count; i += 8) {
        const mve_pred16_t inside = vctp16q((uint32_t)(count - i));
        const int16x8_t moved = vaddq_n_s16(vldrbq_z_s16(x + i, inside), (int16_t)offset);
        sum = vmladavaq_p_s16(sum, moved, vldrbq_z_s16(w + i, inside), inside);
    }
#else
#if defined(__ARM_FEATURE_DSP)
    const int16x2_t both = (int16x2_t)(((uint32_t)offset & 0xFFFFu) | (uint32_t)offset << 16);
    for (; count >= 4; count -= 4, x += 4, w += 4) {
        uint32_t values, weights;
        memcpy(&values, x, 4);
        memcpy(&weights, w, 4);
        /* Elements 0 and 2, then 1 and 3. */
        sum = __smlad(__sxtab16(both, (int8x4_t)values), __sxtb16((int8x4_t)weights), sum);
        sum = __smlad(__sxtab16(both, (int8x4_t)(values >> 8 | values << 24)),
                      __sxtb16((int8x4_t)(weights >> 8 | weights << 24)), sum);
    }
#endif
    for (; count > 0; count--) {
        sum += (*x++ + offset) * *w++;
    }
#endif
    return sum;
}

#if defined(__ARM_FEATURE_MVE) || defined(__ARM_FEATURE_DSP)
#define MCUGEN_DOT4_S8 1

/* mcugen_dot_s8 with four rows of weights, `step` apart, added to the sums. */
MCUGEN_OUT_OF_LINE static void mcugen_dot4_s8(
    const int8_t *x, const int8_t *w, int32_t step, int32_t offset, int32_t count, uint32_t *sums)
{
    int32_t a = (int32_t)sums[0], b = (int32_t)sums[1], c = (int32_t)sums[2], d = (int32_t)sums[3];
#if defined(__ARM_FEATURE_MVE)
    const int8_t *w1 = w + step, *w2 = w1 + step, *w3 = w2 + step;
    for (; count > 0; count -= 8, x += 8, w += 8, w1 += 8, w2 += 8, w3 += 8) {
        const mve_pred16_t inside = vctp16q((uint32_t)count);
        const int16x8_t moved = vaddq_n_s16(vldrbq_z_s16(x, inside), (int16_t)offset);
        a = vmladavaq_s16(a, moved, vldrbq_z_s16(w, inside));
        b = vmladavaq_s16(b, moved, vldrbq_z_s16(w1, inside));
        c = vmladavaq_s16(c, moved, vldrbq_z_s16(w2, inside));
        d = vmladavaq_s16(d, moved, vldrbq_z_s16(w3, inside));
    }
#else
    const int16x2_t both = (int16x2_t)(((uint32_t)offset & 0xFFFFu) | (uint32_t)offset << 16);
    const int32_t last = 3 * step;
    for (; count >= 4; count -= 4, x += 4, w += 4) {
        uint32_t values, weights;
#if defined(__GNUC__)
        __asm__("" : "+r"(w)); /* one pointer: four, and their ends, exceed the registers */
#endif
        memcpy(&values, x, 4);
        const int16x2_t even = __sxtab16(both, (int8x4_t)values);
        const int16x2_t odd = __sxtab16(both, (int8x4_t)(values >> 8 | values << 24));
        memcpy(&weights, w, 4);
        a = __smlad(even, __sxtb16((int8x4_t)weights), a);
        a = __smlad(odd, __sxtb16((int8x4_t)(weights >> 8 | weights << 24)), a);
        memcpy(&weights, w + step, 4);
        b = __smlad(even, __sxtb16((int8x4_t)weights), b);
        b = __smlad(odd, __sxtb16((int8x4_t)(weights >> 8 | weights << 24)), b);
        memcpy(&weights, w + 2 * step, 4);
        c = __smlad(even, __sxtb16((int8x4_t)weights), c);
        c = __smlad(odd, __sxtb16((int8x4_t)(weights >> 8 | weights << 24)), c);
        memcpy(&weights, w + last, 4);
        d = __smlad(even, __sxtb16((int8x4_t)weights), d);
        d = __smlad(odd, __sxtb16((int8x4_t)(weights >> 8 | weights << 24)), d);
    }
#endif
    sums[0] = (uint32_t)a;
    sums[1] = (uint32_t)b;
    sums[2] = (uint32_t)c;
    sums[3] = (uint32_t)d;
#if !defined(__ARM_FEATURE_MVE)
    for (; count > 0; count--, x++, w++) {
        for (int32_t j = 0; j < 4; j++) {
            sums[j] += (uint32_t)((*x + offset) * w[j * step]);
        }
    }
#endif
}
#endif

#endif
