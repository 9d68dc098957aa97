/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

void mcugen_f32_affine(const float *scale,
                       const float *offset,
                       const float *input,
                       float *output,
                       int32_t outer,
                       int32_t channels,
                       int32_t inner)
{
    for (int32_t o = 0; o < outer; o++) {
        for (int32_t c = 0; c < channels; c++) {
            for (int32_t i = 0; i < inner; i++) {
                *output++ = *input++ * scale[c] + offset[c];
            }
        }
    }
}
