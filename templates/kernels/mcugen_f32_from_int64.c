/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

void mcugen_f32_from_int64(const int64_t *input, float *output, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        output[i] = (float)input[i];
    }
}
