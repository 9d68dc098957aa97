/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"
#include "mcugen_window.h"

#include <stddef.h>

#define LANES 4 /* output channels that share each input value */

static uint32_t sum_of(const int8_t *x, int32_t x_step, int32_t zero, int32_t length)
{
    uint32_t sum = 0;
    for (int32_t i = 0; i < length; i++, x += x_step) {
        sum += (uint32_t)(*x - zero);
    }
    return sum;
}

/* Sums are unsigned: they wrap around, as int32 may not. */
static void accumulate(uint32_t total[LANES],
                       const int8_t *x,
                       int32_t x_step,
                       int32_t zero,
                       const int8_t *w,
                       int32_t w_step,
                       int32_t length,
                       int32_t lanes)
{
    uint32_t a = total[0], b = total[1], c = total[2], d = total[3];
    if (lanes == 1) {
        for (int32_t i = 0; i < length; i++, x += x_step) {
            a += (uint32_t)((*x - zero) * w[i]);
        }
        total[0] = a;
        return;
    }
    /* A lane without a filter of its own repeats the first one, and is not read. */
    const int8_t *const w1 = w + w_step, *const w2 = lanes > 2 ? w1 + w_step : w;
    const int8_t *const w3 = lanes > 3 ? w2 + w_step : w;
    for (int32_t i = 0; i < length; i++, x += x_step) {
        const int32_t value = *x - zero;
        a += (uint32_t)(value * w[i]);
        b += (uint32_t)(value * w1[i]);
        c += (uint32_t)(value * w2[i]);
        d += (uint32_t)(value * w3[i]);
    }
    total[0] = a;
    total[1] = b;
    total[2] = c;
    total[3] = d;
}

void mcugen_dynamic_convolve_s8_f32(const mcugen_dynamic_params *params,
                                    const float *input_scale,
                                    const int8_t *input_zero_point,
                                    const cmsis_nn_dims *input_dims,
                                    const int8_t *input,
                                    const cmsis_nn_dims *filter_dims,
                                    const int8_t *filter,
                                    const float *bias,
                                    const cmsis_nn_dims *output_dims,
                                    float *output)
{
    const int32_t group_inputs = filter_dims->c, group_outputs = output_dims->c / params->groups;
    const int32_t filter_row = filter_dims->w * group_inputs, filter_size = filter_dims->h * filter_row;
    const int32_t input_row = input_dims->w * input_dims->c, zero = *input_zero_point;
    const mcugen_layout layout = mcugen_runs(params->groups, params->dilation.w, input_dims->c, group_inputs);

    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * input_row) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            const int32_t top = oy * params->stride.h - params->padding.h;
            const mcugen_taps rows = mcugen_taps_inside(top, filter_dims->h, params->dilation.h, input_dims->h);
            for (int32_t ox = 0; ox < output_dims->w; ox++) {
                const int32_t left = ox * params->stride.w - params->padding.w;
                const mcugen_taps columns = mcugen_taps_inside(left, filter_dims->w, params->dilation.w, input_dims->w);
                const int32_t taps = columns.last - columns.first;
                const int32_t runs = layout.whole ? (taps > 0) : taps;
                const int32_t length = layout.whole ? taps * group_inputs : group_inputs;
                for (int32_t c = 0; c < output_dims->c;) {
                    const int32_t group = c / group_outputs, left_over = (group + 1) * group_outputs - c;
                    const int32_t lanes = left_over < LANES ? left_over : LANES;
                    uint32_t total[LANES] = {0u, 0u, 0u, 0u};
                    uint32_t inputs = 0u; /* their sum, which filters with a zero point need */
                    for (int32_t ky = rows.first; ky < rows.last; ky++) {
                        const int8_t *x = input + (top + ky * params->dilation.h) * input_row + group * group_inputs +
                                     (left + columns.first * params->dilation.w) * input_dims->c;
                        const int8_t *w = filter + c * filter_size + ky * filter_row + columns.first * group_inputs;
                        for (int32_t run = 0; run < runs; run++) {
                            accumulate(total, x, layout.step, zero, w, filter_size, length, lanes);
                            if (params->filter_zero_point != NULL) {
                                inputs += sum_of(x, layout.step, zero, length);
                            }
                            x += params->dilation.w * input_dims->c;
                            w += group_inputs;
                        }
                    }
                    for (int32_t k = 0; k < lanes; k++, c++) {
                        const int32_t filter_zero = params->filter_zero_point ? params->filter_zero_point[c] : 0;
                        const uint32_t start = params->start != NULL ? (uint32_t)params->start[c] : 0u;
                        const int32_t products = (int32_t)(start + total[k] - (uint32_t)filter_zero * inputs);
                        const float scale = *input_scale * params->filter_scale[c];
                        const float product = (float)products * scale;
                        const float sum = bias != NULL ? product + bias[c] : product;
                        *output++ = sum < params->low ? params->low : (sum > params->high ? params->high : sum);
                    }
                }
            }
        }
    }
}
