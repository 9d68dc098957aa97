/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_f32_functions.h"
#include "mcugen_kernels_f32.h"

void mcugen_f32_selu(const float *input, float *output, int32_t count, float alpha, float beta)
{
    for (int32_t i = 0; i < count; i++) {
        const float x = input[i];
        output[i] = beta * (x > 0.0f ? x : alpha * mcugen_real_exp(x) - alpha);
    }
}
