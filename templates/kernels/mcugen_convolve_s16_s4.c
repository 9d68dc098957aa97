/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_conv_s16.h"
#include "mcugen_unpack_s4.h"

void mcugen_convolve_s16_s4(const cmsis_nn_context *context,
                            const mcugen_conv_s16_params *params,
                            const cmsis_nn_dims *input_dims,
                            const int16_t *input,
                            const cmsis_nn_dims *filter_dims,
                            const int8_t *filter,
                            const cmsis_nn_dims *output_dims,
                            int16_t *output)
{
    const int32_t group_outputs = output_dims->c / params->groups, channels = output_dims->c;
    const int32_t filter_size = filter_dims->h * filter_dims->w * filter_dims->c;
    const int32_t image_size = input_dims->h * input_dims->w * input_dims->c;
    int8_t *weights = context->buf;
    for (int32_t c = 0; c < channels; c++, filter += (filter_size + 1) / 2) {
        const int16_t *image = input + c / group_outputs * filter_dims->c;
        int16_t *result = output + c;
        mcugen_unpack_s4(filter, weights, filter_size);
        for (int32_t n = 0; n < input_dims->n; n++, image += image_size) {
            for (int32_t oy = 0; oy < output_dims->h; oy++) {
                for (int32_t ox = 0; ox < output_dims->w; ox++, result += channels) {
                    const mcugen_window_s16 at = mcugen_window_at_s16(params, input_dims, filter_dims, oy, ox);
                    const int64_t sum =
                        mcugen_convolve_at_s16(params, input_dims, image, filter_dims, weights, &at);
                    *result = mcugen_finish_s16(params, sum, c);
                }
            }
        }
    }
}
