/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_s16.h"
#include "mcugen_window.h"

void mcugen_max_pool_s16(const mcugen_max_pool_dilated_params *params,
                         const cmsis_nn_dims *input_dims,
                         const int16_t *input,
                         const cmsis_nn_dims *filter_dims,
                         const cmsis_nn_dims *output_dims,
                         int16_t *output)
{
    const int32_t channels = input_dims->c, row = input_dims->w * channels;
    const int32_t down = params->dilation.h * row, right = params->dilation.w * channels;
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * row) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            const int32_t top = oy * params->stride.h - params->padding.h;
            const mcugen_taps rows = mcugen_taps_inside(top, filter_dims->h, params->dilation.h, input_dims->h);
            for (int32_t ox = 0; ox < output_dims->w; ox++, output += channels) {
                const int32_t left = ox * params->stride.w - params->padding.w;
                const mcugen_taps columns =
                    mcugen_taps_inside(left, filter_dims->w, params->dilation.w, input_dims->w);
                for (int32_t c = 0; c < channels; c++) {
                    int16_t max = INT16_MIN;
                    for (int32_t ky = rows.first; ky < rows.last; ky++) {
                        const int16_t *x = input + top * row + ky * down + left * channels + c;
                        for (int32_t kx = columns.first; kx < columns.last; kx++) {
                            max = x[kx * right] > max ? x[kx * right] : max;
                        }
                    }
                    output[c] = max;
                }
            }
        }
    }
}
