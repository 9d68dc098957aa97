/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

void mcugen_f32_resize_linear(const mcugen_f32_resize_params *params,
                              const cmsis_nn_dims *input_dims,
                              const float *input,
                              const cmsis_nn_dims *output_dims,
                              float *output)
{
    const int32_t channels = input_dims->c, row = input_dims->w * channels;
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * row) {
        for (int32_t y = 0; y < output_dims->h; y++) {
            const float *above = input + params->row_first[y] * row, *below = input + params->row_second[y] * row;
            const float down = params->row_part[y];
            for (int32_t x = 0; x < output_dims->w; x++) {
                const int32_t left = params->column_first[x] * channels, right = params->column_second[x] * channels;
                const float across = params->column_part[x];
                for (int32_t c = 0; c < channels; c++) {
                    const float top = above[left + c] * (1.0f - across) + above[right + c] * across;
                    const float bottom = below[left + c] * (1.0f - across) + below[right + c] * across;
                    *output++ = top * (1.0f - down) + bottom * down;
                }
            }
        }
    }
}
