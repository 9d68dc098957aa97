/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

#define ONE 1024 /* the weight that stands for 1 */
#define BITS 20  /* of two weights' product */

void mcugen_resize_s8(const mcugen_resize_params *params,
                      const cmsis_nn_dims *input_dims,
                      const int8_t *input,
                      const cmsis_nn_dims *output_dims,
                      int8_t *output)
{
    const int32_t channels = input_dims->c, row = input_dims->w * channels;
    /* Truncation: of unsigned numbers the floor, of signed ones towards zero. */
    const int32_t up = params->origin != 0 ? 0 : (1 << BITS) - 1;
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * row) {
        for (int32_t y = 0; y < output_dims->h; y++) {
            const int32_t south = params->row_weight[y], north = ONE - south;
            const int8_t *above = input + params->row[y] * row, *below = above + (south != 0 ? row : 0);
            for (int32_t x = 0; x < output_dims->w; x++) {
                const int32_t east = params->column_weight[x], west = ONE - east;
                const int32_t left = params->column[x] * channels, right = left + (east != 0 ? channels : 0);
                const int32_t weights[4] = {west * north, east * north, west * south, east * south};
                for (int32_t c = 0; c < channels; c++) {
                    const int32_t sum = weights[0] * above[left + c] + weights[1] * above[right + c] +
                                        weights[2] * below[left + c] + weights[3] * below[right + c];
                    *output++ = (int8_t)((sum + (sum < 0 ? up : 0)) >> BITS);
                }
            }
        }
    }
}
