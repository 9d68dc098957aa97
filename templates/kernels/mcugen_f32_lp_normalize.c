/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_f32_functions.h"
#include "mcugen_kernels_f32.h"

void mcugen_f32_lp_normalize(const float *input, float *output, int32_t rows, int32_t size, int32_t p)
{
    for (int32_t row = 0; row < rows; row++, input += size, output += size) {
        float sum = 0.0f;
        for (int32_t i = 0; i < size; i++) {
            const float x = input[i];
            sum += p == 2 ? x * x : (x < 0.0f ? -x : x);
        }
        const float norm = p == 2 ? mcugen_real_sqrt(sum) : sum;
        for (int32_t i = 0; i < size; i++) {
            output[i] = norm == 0.0f ? 0.0f : input[i] / norm;
        }
    }
}
