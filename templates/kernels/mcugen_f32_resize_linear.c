/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

void mcugen_f32_resize_linear(const mcugen_f32_resize_linear_params *params,
                              const cmsis_nn_dims *input_dims,
                              const float *input,
                              const cmsis_nn_dims *output_dims,
                              float *output)
{
    const int32_t channels = input_dims->c, row = input_dims->w * channels;
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * row) {
        for (int32_t y = 0; y < output_dims->h; y++) {
            const int32_t first = params->row_first[y];
            for (int32_t x = 0; x < output_dims->w; x++) {
                if (first == MCUGEN_F32_OUTSIDE || params->column_first[x] == MCUGEN_F32_OUTSIDE) {
                    for (int32_t c = 0; c < channels; c++) {
                        *output++ = params->outside;
                    }
                    continue;
                }
                const float *above = input + first * row, *below = input + params->row_second[y] * row;
                const float top = params->row_first_weight[y], bottom = params->row_second_weight[y];
                const int32_t left = params->column_first[x] * channels, right = params->column_second[x] * channels;
                const float west = params->column_first_weight[x], east = params->column_second_weight[x];
                const float weights[4] = {west * top, east * top, west * bottom, east * bottom};
                for (int32_t c = 0; c < channels; c++) {
                    float sum = weights[0] * above[left + c];
                    sum += weights[1] * above[right + c];
                    sum += weights[2] * below[left + c];
                    sum += weights[3] * below[right + c];
                    *output++ = sum;
                }
            }
        }
    }
}
