/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_conv_s16.h"

void mcugen_convolve_s16(const mcugen_conv_s16_params *params,
                         const cmsis_nn_dims *input_dims,
                         const int16_t *input,
                         const cmsis_nn_dims *filter_dims,
                         const int8_t *filter,
                         const cmsis_nn_dims *output_dims,
                         int16_t *output)
{
    const int32_t group_outputs = output_dims->c / params->groups;
    const int32_t filter_size = filter_dims->h * filter_dims->w * filter_dims->c;
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * input_dims->w * input_dims->c) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            for (int32_t ox = 0; ox < output_dims->w; ox++) {
                const mcugen_window_s16 at = mcugen_window_at_s16(params, input_dims, filter_dims, oy, ox);
                const int8_t *weights = filter;
                const int16_t *image = input;
                for (int32_t g = 0, c = 0; g < params->groups; g++, image += filter_dims->c) {
                    const int32_t last = c + group_outputs;
                    int64_t sums[4];
                    for (; c + 4 <= last; c += 4, weights += 4 * filter_size) {
                        mcugen_convolve_at_s16(params, input_dims, image, filter_dims, weights, &at, 4, sums);
                        for (int32_t i = 0; i < 4; i++) {
                            *output++ = mcugen_finish_s16(params, sums[i], c + i);
                        }
                    }
                    for (; c < last; c++, weights += filter_size) {
                        mcugen_convolve_at_s16(params, input_dims, image, filter_dims, weights, &at, 1, sums);
                        *output++ = mcugen_finish_s16(params, sums[0], c);
                    }
                }
            }
        }
    }
}
