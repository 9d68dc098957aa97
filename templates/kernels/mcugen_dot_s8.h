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

#endif
