/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_conv_transpose.h"
#include "mcugen_kernels.h"

void mcugen_conv_transpose_s8(const mcugen_conv_transpose_params *params,
                              const cmsis_nn_dims *input_dims,
                              const int8_t *input,
                              const cmsis_nn_dims *filter_dims,
                              const int8_t *filter,
                              const int32_t *bias,
                              const cmsis_nn_dims *output_dims,
                              int8_t *output)
{
    const cmsis_nn_tile stride = params->stride, dilation = params->dilation, step = params->tap_step;
    const int32_t group_inputs = filter_dims->c, group_outputs = output_dims->c / params->groups;
    const int32_t filter_row = filter_dims->w * group_inputs, filter_size = filter_dims->h * filter_row;
    const int32_t input_row = input_dims->w * input_dims->c;

    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * input_row) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            const int32_t top = oy + params->padding.h;
            const mcugen_meeting rows =
                mcugen_taps_meeting(top, filter_dims->h, dilation.h, stride.h, step.h, input_dims->h);
            for (int32_t ox = 0; ox < output_dims->w; ox++) {
                const int32_t left = ox + params->padding.w;
                const mcugen_meeting columns =
                    mcugen_taps_meeting(left, filter_dims->w, dilation.w, stride.w, step.w, input_dims->w);
                for (int32_t c = 0; c < output_dims->c; c++) {
                    const int32_t zero_point = params->filter_zero_point ? params->filter_zero_point[c] : 0;
                    const int8_t *group = input + c / group_outputs * group_inputs;
                    uint32_t acc = (uint32_t)bias[c]; /* unsigned: wraps around, as int32 may not */
                    for (int32_t ky = rows.first; ky < rows.last; ky += step.h) {
                        const int8_t *row = group + (top - ky * dilation.h) / stride.h * input_row;
                        const int8_t *tap = filter + c * filter_size + ky * filter_row;
                        for (int32_t kx = columns.first; kx < columns.last; kx += step.w) {
                            const int8_t *x = row + (left - kx * dilation.w) / stride.w * input_dims->c;
                            const int8_t *w = tap + kx * group_inputs;
                            for (int32_t i = 0; i < group_inputs; i++) {
                                acc += (uint32_t)((x[i] + params->input_offset) * (w[i] - zero_point));
                            }
                        }
                    }
                    const int32_t multiplier = params->multiplier[c], shift = params->shift[c];
                    const int32_t result = params->wide ? mcugen_requant_wide((int32_t)acc, multiplier, shift)
                                                        : mcugen_requantize((int32_t)acc, multiplier, shift);
                    *output++ = mcugen_activate(result + params->output_offset, &params->activation);
                }
            }
        }
    }
}
