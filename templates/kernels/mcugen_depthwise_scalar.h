/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution, one output per input channel, for cores that multiply one pair of numbers at a time.
 *
 * weights int8 [filter_h, filter_w, input_c]. Order: pixel by pixel.
 *
 * Scratch: a window copy if the layer has borders or dilation. */
#ifndef MCUGEN_DEPTHWISE_SCALAR_H
#define MCUGEN_DEPTHWISE_SCALAR_H

#include "mcugen_layer.h"

MCUGEN_ALWAYS_INLINE void mcugen_depthwise_scalar(const cmsis_nn_context *scratch,
                                                  const mcugen_layer *p,
                                                  const mcugen_rows *r,
                                                  const int8_t *input,
                                                  const int8_t *weights,
                                                  const int32_t *bias,
                                                  const int32_t *multiplier,
                                                  int8_t *output)
{
    const int32_t input_row = p->input_w * p->input_c;
    int8_t *const copy = scratch->buf;

    for (int32_t n = 0; n < p->batch; n++, input += r->input_h * input_row) {
        for (int32_t y = 0; y < r->output_h; y++) {
            for (int32_t x = 0; x < p->output_w; x++, output += p->output_c) {
                const mcugen_window at = mcugen_window_at(p, r, y, x);
                const int8_t *window = input + at.y * input_row + at.x * p->input_c;
                int32_t row_stride = input_row * p->dilation_h;
                if (!at.inside || p->dilation_w != 1) {
                    mcugen_window_copy(p, r->input_h, input, at, copy);
                    window = copy;
                    row_stride = p->filter_w * p->input_c;
                }
                for (int32_t c = 0; c < p->input_c; c++) {
                    const int8_t *row = window + c, *weight = weights + c;
                    int32_t sum = bias[c];
                    MCUGEN_UNROLLED
                    for (int32_t i = 0; i < p->filter_h; i++, row += row_stride) {
                        MCUGEN_UNROLLED
                        for (int32_t j = 0; j < p->filter_w; j++, weight += p->output_c) {
                            sum += row[j * p->input_c] * *weight;
                        }
                    }
                    output[c] = mcugen_layer_output(p, sum, multiplier[c * p->multiplier_step], c);
                }
            }
        }
    }
}

#endif
