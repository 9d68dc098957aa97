/* SPDX-License-Identifier: Apache-2.0 */
/* Order: output pixel by output pixel, in raster order. */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"
#include "mcugen_window.h"

void mcugen_convolve_direct_s8(const mcugen_direct_params *params,
                               const cmsis_nn_dims *input_dims,
                               const int8_t *input,
                               const cmsis_nn_dims *filter_dims,
                               const int8_t *filter,
                               const int32_t *bias,
                               const cmsis_nn_dims *output_dims,
                               int8_t *output)
{
    const int32_t group_inputs = filter_dims->c, group_outputs = output_dims->c / params->groups;
    const int32_t filter_row = filter_dims->w * group_inputs, filter_size = filter_dims->h * filter_row;
    const int32_t input_row = input_dims->w * input_dims->c;

    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * input_row) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            const int32_t top = oy * params->stride.h - params->padding.h;
            const mcugen_taps rows = mcugen_taps_inside(top, filter_dims->h, params->dilation.h, input_dims->h);
            for (int32_t ox = 0; ox < output_dims->w; ox++) {
                const int32_t left = ox * params->stride.w - params->padding.w;
                const mcugen_taps columns = mcugen_taps_inside(left, filter_dims->w, params->dilation.w, input_dims->w);
                for (int32_t c = 0; c < output_dims->c; c++) {
                    const int32_t zero_point = params->filter_zero_point ? params->filter_zero_point[c] : 0;
                    const int8_t *group = input + c / group_outputs * group_inputs;
                    uint32_t acc = bias ? (uint32_t)bias[c] : 0u; /* unsigned: wraps around, as int32 may not */
                    for (int32_t ky = rows.first; ky < rows.last; ky++) {
                        const int8_t *row = group + (top + ky * params->dilation.h) * input_row;
                        const int8_t *tap = filter + c * filter_size + ky * filter_row;
                        for (int32_t kx = columns.first; kx < columns.last; kx++) {
                            const int8_t *x = row + (left + kx * params->dilation.w) * input_dims->c;
                            const int8_t *w = tap + kx * group_inputs;
                            for (int32_t i = 0; i < group_inputs; i++) {
                                acc += (uint32_t)((x[i] + params->input_offset) * (w[i] - zero_point));
                            }
                        }
                    }
                    const int32_t result = mcugen_requant_wide((int32_t)acc, params->multiplier[c], params->shift[c]);
                    *output++ = mcugen_activate(result + params->output_offset, &params->activation);
                }
            }
        }
    }
}
