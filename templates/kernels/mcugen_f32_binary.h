/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of a binary operation; the file that includes this defines MCUGEN_F32_OPERATION(x, y). Not for users. */
#ifndef MCUGEN_F32_BINARY_H
#define MCUGEN_F32_BINARY_H

#include "mcugen_kernels_f32.h"

static inline float mcugen_f32_bounded(float value, float low, float high)
{
    return value < low ? low : (value > high ? high : value);
}

static void mcugen_f32_binary(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output)
{
    const int32_t outer = params->rank - 1;
    const mcugen_f32_binary_axis single = {1, 0, 0}, *const inner = outer >= 0 ? &params->axes[outer] : &single;
    const float low = params->low, high = params->high;
    int32_t index[MCUGEN_F32_BINARY_AXES] = {0};
    for (;;) {
        const float *x = a, *y = b;
        for (int32_t k = 0; k < outer; k++) {
            x += index[k] * params->axes[k].a_step;
            y += index[k] * params->axes[k].b_step;
        }
        for (int32_t i = 0; i < inner->count; i++) {
            const float p = x[i * inner->a_step], q = y[i * inner->b_step];
            *output++ = mcugen_f32_bounded(MCUGEN_F32_OPERATION(p, q), low, high);
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
