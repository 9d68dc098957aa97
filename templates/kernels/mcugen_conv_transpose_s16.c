/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_conv_transpose.h"
#include "mcugen_dot_s16.h"
#include "mcugen_kernels_s16.h"

void mcugen_conv_transpose_s16(const mcugen_conv_transpose_s16_params *params,
                               const cmsis_nn_dims *input_dims,
                               const int16_t *input,
                               const cmsis_nn_dims *filter_dims,
                               const int8_t *filter,
                               const cmsis_nn_dims *output_dims,
                               int16_t *output)
{
    const mcugen_conv_transpose_s16_params p = *params; /* a copy: output cannot alias it */
    const cmsis_nn_tile stride = p.stride, dilation = p.dilation, step = p.tap_step;
    const int32_t depth = filter_dims->c, group_outputs = output_dims->c / p.groups;
    const int32_t filter_taps = filter_dims->h * filter_dims->w, input_row = input_dims->w * input_dims->c;
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * input_row) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            const int32_t top = oy + p.padding.h;
            const mcugen_meeting rows =
                mcugen_taps_meeting(top, filter_dims->h, dilation.h, stride.h, step.h, input_dims->h);
            for (int32_t ox = 0; ox < output_dims->w; ox++) {
                const int32_t left = ox + p.padding.w;
                const mcugen_meeting columns =
                    mcugen_taps_meeting(left, filter_dims->w, dilation.w, stride.w, step.w, input_dims->w);
                for (int32_t c = 0; c < output_dims->c; c++) {
                    const int16_t *const image = input + c / group_outputs * depth;
                    int64_t sum = p.bias[c];
                    for (int32_t ky = rows.first; ky < rows.last; ky += step.h) {
                        const int16_t *const row = image + (top - ky * dilation.h) / stride.h * input_row;
                        for (int32_t kx = columns.first; kx < columns.last; kx += step.w) {
                            const int32_t tap = c * filter_taps + ky * filter_dims->w + kx;
                            const int16_t *const x = row + (left - kx * dilation.w) / stride.w * input_dims->c;
                            sum += mcugen_dot_s16(x, filter + tap * depth, depth) -
                                   (int64_t)p.input_zero_point * p.tap_sums[tap];
                        }
                    }
                    *output++ =
                        mcugen_requant_s16(sum, p.multiplier[c], p.shift[c], p.output_zero_point, &p.activation);
                }
            }
        }
    }
}
