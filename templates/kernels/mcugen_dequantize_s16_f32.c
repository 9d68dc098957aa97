/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_s16.h"

void mcugen_dequantize_s16_f32(const int16_t *input, float *output, int32_t count, float scale, int32_t zero_point)
{
    for (int32_t i = 0; i < count; i++) {
        output[i] = (float)(input[i] - zero_point) * scale;
    }
}
