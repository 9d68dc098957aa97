/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

void mcugen_f32_reduce_prod(const float *input, float *output, int32_t outer, int32_t reduced, int32_t inner)
{
    for (int32_t o = 0; o < outer; o++, input += reduced * inner) {
        for (int32_t i = 0; i < inner; i++) {
            const float *x = input + i;
            float product = 1.0f;
            for (int32_t k = 0; k < reduced; k++) {
                product *= x[k * inner];
            }
            *output++ = product;
        }
    }
}
