/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_conv_transpose.h"
#include "mcugen_dot_s8.h"
#include "mcugen_kernels.h"

#define BLOCK 4 /* output channels of one group that are computed together */

/* One tap of `channels` output channels, whose filters are `step` apart. Sums are unsigned: they wrap around, as int32
 * may not. */
MCUGEN_INLINED void add_tap(const mcugen_conv_transpose_params *p,
                    const int8_t *x,
                    const int8_t *w,
                    int32_t inputs,
                    int32_t step,
                    const int32_t *zero_points,
                    int32_t channels,
                    uint32_t *acc)
{
#if defined(MCUGEN_DOT4_S8)
    if (channels == BLOCK && zero_points == NULL) {
        mcugen_dot4_s8(x, w, step, p->input_offset, inputs, acc);
        return;
    }
#endif
    for (int32_t j = 0; j < channels; j++, w += step) {
        const int32_t zero_point = zero_points ? zero_points[j] : 0;
        uint32_t sum = acc[j];
        for (int32_t i = 0; i < inputs; i++) {
            sum += (uint32_t)((x[i] + p->input_offset) * (w[i] - zero_point));
        }
        acc[j] = sum;
    }
}

void mcugen_conv_transpose_s8(const mcugen_conv_transpose_params *params,
                              const cmsis_nn_dims *input_dims,
                              const int8_t *input,
                              const cmsis_nn_dims *filter_dims,
                              const int8_t *filter,
                              const int32_t *bias,
                              const cmsis_nn_dims *output_dims,
                              int8_t *output)
{
    const mcugen_conv_transpose_params p = *params; /* a copy: output cannot alias it */
    const mcugen_transposed t =
        mcugen_transposed_of(p.stride, p.padding, p.dilation, p.tap_step, input_dims, filter_dims);
    const int32_t group_inputs = filter_dims->c, group_outputs = output_dims->c / p.groups;

    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * t.input_row) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            const mcugen_meeting rows = mcugen_rows_met(&t, oy);
            for (int32_t ox = 0; ox < output_dims->w; ox++) {
                const mcugen_met met = mcugen_taps_met(&t, rows, oy, ox);
                int32_t count;
                for (int32_t c = 0; c < output_dims->c; c += count) {
                    const int32_t left_in_group = group_outputs - c % group_outputs;
                    const int32_t *const zero_points = p.filter_zero_point ? p.filter_zero_point + c : NULL;
                    uint32_t acc[BLOCK] = {0};
                    uint32_t at = met.element + (uint32_t)(c / group_outputs * group_inputs);
                    count = left_in_group < BLOCK ? left_in_group : BLOCK;
                    for (int32_t j = 0; j < count; j++) {
                        acc[j] = (uint32_t)bias[c + j];
                    }
                    for (int32_t ky = rows.first; ky < rows.last; ky += t.step.h, at -= t.back_h) {
                        const int8_t *const tap = filter + c * t.filter_size + ky * t.filter_row;
                        uint32_t x = at;
                        for (int32_t kx = met.columns.first; kx < met.columns.last; kx += t.step.w, x -= t.back_w) {
                            add_tap(&p, input + (int32_t)x, tap + kx * group_inputs, group_inputs, t.filter_size,
                                    zero_points, count, acc);
                        }
                    }
                    for (int32_t j = 0; j < count; j++) {
                        const int32_t multiplier = p.multiplier[c + j], shift = p.shift[c + j];
                        const int32_t result = p.wide ? mcugen_requant_wide((int32_t)acc[j], multiplier, shift)
                                                            : mcugen_requantize((int32_t)acc[j], multiplier, shift);
                        *output++ = mcugen_activate(result + p.output_offset, &p.activation);
                    }
                }
            }
        }
    }
}
