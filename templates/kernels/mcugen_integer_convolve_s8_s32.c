/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"
#include "mcugen_window.h"

void mcugen_integer_convolve_s8_s32(const mcugen_integer_conv_params *params,
                                    const cmsis_nn_dims *input_dims,
                                    const int8_t *input,
                                    const cmsis_nn_dims *filter_dims,
                                    const int8_t *filter,
                                    const int8_t *input_zero_point,
                                    const int8_t *filter_zero_point,
                                    const cmsis_nn_dims *output_dims,
                                    int32_t *output)
{
    const int32_t depth = filter_dims->c, group_outputs = output_dims->c / params->groups;
    const int32_t input_row = input_dims->w * input_dims->c, filter_row = filter_dims->w * depth;
    const int32_t zero = *input_zero_point, filter_zero = *filter_zero_point;
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * input_row) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            const int32_t top = oy * params->stride.h - params->padding.h;
            const mcugen_taps rows = mcugen_taps_inside(top, filter_dims->h, params->dilation.h, input_dims->h);
            for (int32_t ox = 0; ox < output_dims->w; ox++) {
                const int32_t left = ox * params->stride.w - params->padding.w;
                const mcugen_taps columns = mcugen_taps_inside(left, filter_dims->w, params->dilation.w, input_dims->w);
                for (int32_t c = 0; c < output_dims->c; c++) {
                    uint32_t sum = 0; /* unsigned: wraps around, as int32 may not */
                    for (int32_t ky = rows.first; ky < rows.last; ky++) {
                        for (int32_t kx = columns.first; kx < columns.last; kx++) {
                            const int8_t *const x = input + (top + ky * params->dilation.h) * input_row +
                                                    (left + kx * params->dilation.w) * input_dims->c +
                                                    c / group_outputs * depth;
                            const int8_t *const w = filter + (c * filter_dims->h + ky) * filter_row + kx * depth;
                            for (int32_t k = 0; k < depth; k++) {
                                sum += (uint32_t)((x[k] - zero) * (w[k] - filter_zero));
                            }
                        }
                    }
                    *output++ = (int32_t)sum;
                }
            }
        }
    }
}
