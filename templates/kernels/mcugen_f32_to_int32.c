/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

void mcugen_f32_to_int32(const float *input, int32_t *output, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        output[i] = input[i] >= -0x1p31f && input[i] < 0x1p31f ? (int32_t)input[i] : INT32_MIN;
    }
}
