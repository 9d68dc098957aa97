/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

void mcugen_f32_reduce_max(const float *input, float *output, int32_t outer, int32_t reduced, int32_t inner)
{
    for (int32_t o = 0; o < outer; o++, input += reduced * inner) {
        for (int32_t i = 0; i < inner; i++) {
            const float *x = input + i;
            float max = x[0];
            for (int32_t k = 1; k < reduced; k++) {
                max = x[k * inner] > max ? x[k * inner] : max;
            }
            *output++ = max;
        }
    }
}
