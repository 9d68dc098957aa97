/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_s16.h"

static int inside(int32_t i, int32_t before, int32_t size)
{
    return i >= before && i < before + size;
}

void mcugen_pad_s16(const int16_t *input,
                    int16_t *output,
                    int32_t pad_value,
                    const cmsis_nn_dims *input_size,
                    const cmsis_nn_dims *pre_pad,
                    const cmsis_nn_dims *post_pad)
{
    for (int32_t n = 0; n < pre_pad->n + input_size->n + post_pad->n; n++) {
        for (int32_t y = 0; y < pre_pad->h + input_size->h + post_pad->h; y++) {
            for (int32_t x = 0; x < pre_pad->w + input_size->w + post_pad->w; x++) {
                const int outside = !inside(n, pre_pad->n, input_size->n) || !inside(y, pre_pad->h, input_size->h) ||
                                    !inside(x, pre_pad->w, input_size->w);
                for (int32_t c = 0; c < pre_pad->c + input_size->c + post_pad->c; c++) {
                    *output++ = outside || !inside(c, pre_pad->c, input_size->c) ? (int16_t)pad_value : *input++;
                }
            }
        }
    }
}
