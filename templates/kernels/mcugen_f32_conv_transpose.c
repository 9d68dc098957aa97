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
    const mcugen_transposed t = mcugen_transposed_of(params->stride, params->padding, params->dilation,
                                                     params->tap_step, input_dims, filter_dims);
    const int32_t group_inputs = filter_dims->c, group_outputs = output_dims->c / params->groups;

    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * t.input_row) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            const mcugen_meeting rows = mcugen_rows_met(&t, oy);
            for (int32_t ox = 0; ox < output_dims->w; ox++) {
                const mcugen_met met = mcugen_taps_met(&t, rows, oy, ox);
                for (int32_t c = 0; c < output_dims->c; c++) {
                    uint32_t at = met.element + (uint32_t)(c / group_outputs * group_inputs);
                    float sum = 0.0f;
                    for (int32_t ky = rows.first; ky < rows.last; ky += t.step.h, at -= t.back_h) {
                        const float *const tap = filter + c * t.filter_size + ky * t.filter_row;
                        uint32_t first = at;
                        for (int32_t kx = met.columns.first; kx < met.columns.last;
                             kx += t.step.w, first -= t.back_w) {
                            const float *const x = input + (int32_t)first, *const w = tap + kx * group_inputs;
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
