/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_f32_functions.h"
#include "mcugen_kernels_f32.h"

void mcugen_f32_mish(const float *input, float *output, int32_t count, float alpha, float beta)
{
    (void)alpha;
    (void)beta;
    for (int32_t i = 0; i < count; i++) {
        const float x = input[i];
        const float softplus = (x > 0.0f ? x : 0.0f) + mcugen_real_log(1.0f + mcugen_real_exp(x < 0.0f ? x : -x));
        output[i] = x * mcugen_real_tanh(softplus);
    }
}
