/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

void mcugen_f32_matmul_s4(const mcugen_f32_matmul_s4_params *params, const float *input, const int8_t *filter,
                          float *output)
{
    const int32_t depth = params->depth, block = params->block, blocks = (depth + block - 1) / block;
    for (int32_t r = 0; r < params->rows; r++, input += depth) {
        const int8_t *packed = filter;
        for (int32_t c = 0; c < params->outputs; c++, packed += (depth + 7) / 8 * 4) {
            float sum = params->bias ? params->bias[c] : 0.0f;
            for (int32_t b = 0; b < blocks; b++) {
                const int32_t start = b * block, end = start + block < depth ? start + block : depth;
                const int32_t zero = params->zero_point ? params->zero_point[c * blocks + b] : 0;
                float part = 0.0f;
                for (int32_t k = start; k < end; k++) {
                    const uint8_t pair = (uint8_t)packed[k / 2];
                    const int32_t weight = (k % 2 ? pair >> 4 : pair & 15) - 8;
                    part += input[k] * (float)(weight - zero);
                }
                sum += part * params->scale[c * blocks + b];
            }
            *output++ = sum < params->low ? params->low : (sum > params->high ? params->high : sum);
        }
    }
}
