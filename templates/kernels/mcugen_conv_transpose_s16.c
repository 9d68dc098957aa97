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
    const mcugen_transposed t =
        mcugen_transposed_of(p.stride, p.padding, p.dilation, p.tap_step, input_dims, filter_dims);
    const int32_t depth = filter_dims->c, group_outputs = output_dims->c / p.groups;
    const int32_t filter_taps = filter_dims->h * filter_dims->w;
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * t.input_row) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            const mcugen_meeting rows = mcugen_rows_met(&t, oy);
            for (int32_t ox = 0; ox < output_dims->w; ox++) {
                const mcugen_met met = mcugen_taps_met(&t, rows, oy, ox);
                for (int32_t c = 0; c < output_dims->c; c++) {
                    uint32_t at = met.element + (uint32_t)(c / group_outputs * depth);
                    int64_t sum = p.bias[c];
                    for (int32_t ky = rows.first; ky < rows.last; ky += t.step.h, at -= t.back_h) {
                        uint32_t x = at;
                        for (int32_t kx = met.columns.first; kx < met.columns.last; kx += t.step.w, x -= t.back_w) {
                            const int32_t tap = c * filter_taps + ky * filter_dims->w + kx;
                            sum += mcugen_dot_s16(input + (int32_t)x, filter + tap * depth, depth) -
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
