/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_f32_functions.h"
#include "mcugen_kernels_f32.h"

void mcugen_f32_swish(const float *input, float *output, int32_t count, float alpha, float beta)
{
    (void)beta;
    for (int32_t i = 0; i < count; i++) {
        const float x = input[i];
        output[i] = x * mcugen_real_sigmoid(alpha * x);
    }
}
