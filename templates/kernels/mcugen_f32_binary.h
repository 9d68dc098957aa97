/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of a binary operation; the file that includes this defines MCUGEN_F32_OPERATION(x, y), and
 * MCUGEN_F32_COMPARISON if that is 0 or 1 for an output of bytes. Not for users. */
#ifndef MCUGEN_F32_BINARY_H
#define MCUGEN_F32_BINARY_H

#include "mcugen_kernels_f32.h"

#ifdef MCUGEN_F32_COMPARISON
typedef int8_t mcugen_f32_result;
#define MCUGEN_F32_RESULT(value) (int8_t)((value) ? 1 : 0)
#else
typedef float mcugen_f32_result;
#define MCUGEN_F32_RESULT(value) mcugen_f32_bounded(value, params->low, params->high)

static inline float mcugen_f32_bounded(float value, float low, float high)
{
    return value < low ? low : (value > high ? high : value);
}
#endif

static void mcugen_f32_binary(const mcugen_f32_binary_params *params, const float *a, const float *b,
                              mcugen_f32_result *output)
{
    const int32_t outer = params->rank - 1;
    const mcugen_f32_binary_axis single = {1, 0, 0}, *const inner = outer >= 0 ? &params->axes[outer] : &single;
    int32_t index[MCUGEN_F32_BINARY_AXES] = {0};
    for (;;) {
        const float *x = a, *y = b;
        for (int32_t k = 0; k < outer; k++) {
            x += index[k] * params->axes[k].a_step;
            y += index[k] * params->axes[k].b_step;
        }
        for (int32_t i = 0; i < inner->count; i++) {
            const float p = x[i * inner->a_step], q = y[i * inner->b_step];
            *output++ = MCUGEN_F32_RESULT(MCUGEN_F32_OPERATION(p, q));
        }
        int32_t k = outer - 1;
        while (k >= 0 && ++index[k] == params->axes[k].count) {
            index[k--] = 0;
        }
        if (k < 0) {
            return;
        }
    }
}

#endif
