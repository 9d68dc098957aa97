/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"
#include "mcugen_window.h"

void mcugen_f32_max_pool(const mcugen_f32_pool_params *params,
                         const cmsis_nn_dims *input_dims,
                         const float *input,
                         const cmsis_nn_dims *filter_dims,
                         const cmsis_nn_dims *output_dims,
                         float *output)
{
    const cmsis_nn_tile dilation = params->dilation;
    const int32_t channels = input_dims->c, row = input_dims->w * channels;
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * row) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            const int32_t top = oy * params->stride.h - params->padding.h;
            const mcugen_taps rows = mcugen_taps_inside(top, filter_dims->h, dilation.h, input_dims->h);
            for (int32_t ox = 0; ox < output_dims->w; ox++, output += channels) {
                const int32_t left = ox * params->stride.w - params->padding.w;
                const mcugen_taps columns = mcugen_taps_inside(left, filter_dims->w, dilation.w, input_dims->w);
                const float *first = input + (top + rows.first * dilation.h) * row
                                     + (left + columns.first * dilation.w) * channels;
                for (int32_t c = 0; c < channels; c++) {
                    float max = first[c];
                    for (int32_t ky = rows.first; ky < rows.last; ky++) {
                        const float *x = input + (top + ky * dilation.h) * row + left * channels + c;
                        for (int32_t kx = columns.first; kx < columns.last; kx++) {
                            const float value = x[kx * dilation.w * channels];
                            max = value > max ? value : max;
                        }
                    }
                    output[c] = max < params->low ? params->low : (max > params->high ? params->high : max);
                }
            }
        }
    }
}
