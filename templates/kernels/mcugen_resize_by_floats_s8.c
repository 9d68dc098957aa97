/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

void mcugen_resize_by_floats_s8(const mcugen_resize_by_floats_params *params,
                                const cmsis_nn_dims *input_dims,
                                const int8_t *input,
                                const cmsis_nn_dims *output_dims,
                                int8_t *output)
{
    const int32_t channels = input_dims->c, row = input_dims->w * channels, origin = params->origin;
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * row) {
        for (int32_t y = 0; y < output_dims->h; y++) {
            const int32_t first = params->row[y];
            const int8_t *above = input + first * row, *below = above + (first + 1 < input_dims->h ? row : 0);
            const float north = params->row_first_weight[y], south = params->row_second_weight[y];
            for (int32_t x = 0; x < output_dims->w; x++) {
                const int32_t column = params->column[x], left = column * channels;
                const int32_t right = left + (column + 1 < input_dims->w ? channels : 0);
                const float west = params->column_first_weight[x], east = params->column_second_weight[x];
                const float weights[4] = {west * north, east * north, west * south, east * south};
                for (int32_t c = 0; c < channels; c++) {
                    float sum = weights[0] * (float)(above[left + c] + origin);
                    sum += weights[1] * (float)(above[right + c] + origin);
                    sum += weights[2] * (float)(below[left + c] + origin);
                    sum += weights[3] * (float)(below[right + c] + origin);
                    *output++ = (int8_t)((int32_t)sum - origin);
                }
            }
        }
    }
}
