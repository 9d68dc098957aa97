/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

void mcugen_f32_to_int64(const float *input, int64_t *output, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        output[i] = input[i] >= -0x1p63f && input[i] < 0x1p63f ? (int64_t)input[i] : INT64_MIN;
    }
}
