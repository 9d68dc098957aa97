/* SPDX-License-Identifier: Apache-2.0 */
/* Quantization at run time, for kernels that need it; not for users. */
#ifndef MCUGEN_DYNAMIC_H
#define MCUGEN_DYNAMIC_H

#include "mcugen_arithmetic.h"

/* See mcugen_dynamic_quantize_f32_s8. Returns the scale. */
static inline float mcugen_dynamic_quantize(const float *input, int8_t *output, int8_t *zero_point, int32_t count)
{
    float min = 0.0f, max = 0.0f;
    for (int32_t i = 0; i < count; i++) {
        min = input[i] < min ? input[i] : min;
        max = input[i] > max ? input[i] : max;
    }
    const float step = max == min ? 1.0f : (max - min) / 255.0f;
    const float start = 0.0f - min / step;
    const int32_t zero = mcugen_round(start < 0.0f ? 0.0f : (start > 255.0f ? 255.0f : start));
    const float low = (float)-zero, high = (float)(255 - zero);
    for (int32_t i = 0; i < count; i++) {
        const float scaled = input[i] / step;
        output[i] = (int8_t)(mcugen_round(scaled < low ? low : (scaled > high ? high : scaled)) + zero - 128);
    }
    *zero_point = (int8_t)(zero - 128);
    return step;
}

#endif
