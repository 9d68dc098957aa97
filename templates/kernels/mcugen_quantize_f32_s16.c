/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic_s16.h"
#include "mcugen_kernels_s16.h"

void mcugen_quantize_f32_s16(const float *input, int16_t *output, int32_t count, float scale, int32_t zero_point)
{
    for (int32_t i = 0; i < count; i++) {
        output[i] = (int16_t)mcugen_quantize_s16(input[i], scale, zero_point);
    }
}
