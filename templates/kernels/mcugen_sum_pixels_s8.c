/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

void mcugen_sum_pixels_s8(const int8_t *input, int32_t *sums, int32_t pixels, int32_t channels, int32_t first)
{
    for (int32_t c = 0; c < channels; c++) {
        const int8_t *pixel = input + c;
        int32_t sum = first ? 0 : sums[c];
        for (int32_t i = pixels; i > 0; i--, pixel += channels) {
            sum += *pixel;
        }
        sums[c] = sum;
    }
}
