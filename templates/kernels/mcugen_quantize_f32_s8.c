/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

void mcugen_quantize_f32_s8(const float *input, int8_t *output, int32_t count, float scale, int32_t zero_point)
{
    const float min = (float)(INT8_MIN - zero_point), max = (float)(INT8_MAX - zero_point);
    for (int32_t i = 0; i < count; i++) {
        const float scaled = input[i] / scale;
        const float held = scaled > min ? (scaled < max ? scaled : max) : min; /* NaN is not > min */
        output[i] = (int8_t)(mcugen_round(held) + zero_point);
    }
}
