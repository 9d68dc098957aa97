/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

void mcugen_f32_cum_sum(const mcugen_f32_cum_sum_params *params, const float *input, float *output)
{
    const int32_t size = params->size, inner = params->inner;
    for (int32_t o = 0; o < params->outer; o++) {
        for (int32_t i = 0; i < inner; i++) {
            const int32_t start = o * size * inner + i;
            float sum = 0.0f;
            for (int32_t n = 0; n < size; n++) {
                const int32_t at = start + (params->reverse ? size - 1 - n : n) * inner;
                const float x = input[at], total = n == 0 ? x : sum + x;
                output[at] = params->exclusive ? sum : total;
                sum = total;
            }
        }
    }
}
