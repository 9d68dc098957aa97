/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"
#include "mcugen_window.h"

/* How many of `size` taps from `start` on lie before `end`; the first one does. */
static int32_t within(int32_t start, int32_t size, int32_t dilation, int32_t end)
{
    const int32_t taps = 1 + (end - start - 1) / dilation;
    return taps < size ? taps : size;
}

void mcugen_f32_average_pool(const mcugen_f32_pool_params *params,
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
            const int32_t bottom = input_dims->h + params->padding_end.h;
            const int32_t height = params->count_include_pad ? within(top, filter_dims->h, dilation.h, bottom)
                                                             : rows.last - rows.first;
            for (int32_t ox = 0; ox < output_dims->w; ox++, output += channels) {
                const int32_t left = ox * params->stride.w - params->padding.w;
                const mcugen_taps columns = mcugen_taps_inside(left, filter_dims->w, dilation.w, input_dims->w);
                const int32_t right = input_dims->w + params->padding_end.w;
                const int32_t width = params->count_include_pad ? within(left, filter_dims->w, dilation.w, right)
                                                                : columns.last - columns.first;
                const float count = (float)(height * width);
                for (int32_t c = 0; c < channels; c++) {
                    float sum = 0.0f;
                    for (int32_t ky = rows.first; ky < rows.last; ky++) {
                        const float *x = input + (top + ky * dilation.h) * row + left * channels + c;
                        for (int32_t kx = columns.first; kx < columns.last; kx++) {
                            sum += x[kx * dilation.w * channels];
                        }
                    }
                    const float mean = sum / count;
                    output[c] = mean < params->low ? params->low : (mean > params->high ? params->high : mean);
                }
            }
        }
    }
}
