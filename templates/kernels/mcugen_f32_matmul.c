/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

void mcugen_f32_matmul(const mcugen_f32_matmul_params *params, const float *a, const float *b, float *output)
{
    for (int32_t batch = 0; batch < params->batches; batch++) {
        const float *row = a + params->a_start[batch], *matrix = b + params->b_start[batch];
        for (int32_t r = 0; r < params->rows; r++, row += params->depth) {
            for (int32_t c = 0; c < params->columns; c++) {
                float sum = 0.0f;
                for (int32_t k = 0; k < params->depth; k++) {
                    sum += row[k] * matrix[k * params->columns + c];
                }
                *output++ = sum < params->low ? params->low : (sum > params->high ? params->high : sum);
            }
        }
    }
}
