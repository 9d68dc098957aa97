/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "mcugen_conv_transpose.h"
#include "mcugen_kernels_f32.h"

void mcugen_f32_conv_transpose(const mcugen_f32_conv_transpose_params *params,
                               const cmsis_nn_dims *input_dims,
                               const float *input,
                               const cmsis_nn_dims *filter_dims,
                               const float *filter,
                               const float *bias,
                               const cmsis_nn_dims *output_dims,
                               float *output)
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
                    const float *group = input + c / group_outputs * group_inputs;
                    float sum = 0.0f;
                    for (int32_t ky = rows.first; ky < rows.last; ky += step.h) {
                        const float *row = group + (top - ky * dilation.h) / stride.h * input_row;
                        const float *tap = filter + c * filter_size + ky * filter_row;
                        for (int32_t kx = columns.first; kx < columns.last; kx += step.w) {
                            const float *x = row + (left - kx * dilation.w) / stride.w * input_dims->c;
                            const float *w = tap + kx * group_inputs;
                            for (int32_t i = 0; i < group_inputs; i++) {
                                sum += x[i] * w[i];
                            }
                        }
                    }
                    sum += bias != NULL ? bias[c] : 0.0f;
                    *output++ = sum < params->low ? params->low : (sum > params->high ? params->high : sum);
                }
            }
        }
    }
}
