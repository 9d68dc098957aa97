/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_conv_s16.h"

void mcugen_depthwise_s16(const mcugen_conv_s16_params *params,
                          const cmsis_nn_dims *input_dims,
                          const int16_t *input,
                          const cmsis_nn_dims *filter_dims,
                          const int8_t *filter,
                          const cmsis_nn_dims *output_dims,
                          int16_t *output)
{
    const int32_t channels = input_dims->c, outputs = output_dims->c, multiplier = outputs / channels;
    const int32_t zero = params->input_zero_point, right = params->dilation.w * channels;
    const int32_t down = params->dilation.h * input_dims->w * channels;
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * input_dims->w * channels) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            for (int32_t ox = 0; ox < output_dims->w; ox++) {
                const mcugen_window_s16 at = mcugen_window_at_s16(params, input_dims, filter_dims, oy, ox);
                const int32_t start = (at.top * input_dims->w + at.left) * channels;
                for (int32_t c = 0; c < outputs; c++) {
                    const int32_t channel = multiplier == 1 ? c : c / multiplier;
                    int64_t sum = 0;
                    const int8_t *w = filter + c;
                    for (int32_t ky = 0; ky < filter_dims->h; ky++) {
                        const int inside = ky >= at.rows.first && ky < at.rows.last;
                        const int32_t first = inside ? at.columns.first : 0, last = inside ? at.columns.last : 0;
                        const int16_t *x = input + start + ky * down + first * right + channel;
                        int32_t kx = 0, row = 0, outside = 0;
                        for (; kx < first; kx++, w += outputs) {
                            outside += *w;
                        }
                        for (; kx < last; kx++, w += outputs, x += right) {
                            row += *x * *w;
                        }
                        for (; kx < filter_dims->w; kx++, w += outputs) {
                            outside += *w;
                        }
                        sum += row + zero * outside;
                    }
                    *output++ = mcugen_finish_s16(params, sum, c);
                }
            }
        }
    }
}
