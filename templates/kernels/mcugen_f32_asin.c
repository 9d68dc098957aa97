/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

void mcugen_f32_asin(const float *input, float *output, int32_t count, float alpha, float beta)
{
    (void)alpha;
    (void)beta;
    for (int32_t i = 0; i < count; i++) {
        output[i] = asinf(input[i]);
    }
}
