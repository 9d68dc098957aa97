/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

void mcugen_f32_clip(const float *input, float *output, int32_t count, float low, float high)
{
    for (int32_t i = 0; i < count; i++) {
        const float x = input[i];
        output[i] = x < low ? low : (x > high ? high : x);
    }
}
