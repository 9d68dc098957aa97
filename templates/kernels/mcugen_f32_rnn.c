/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_f32_rnn.h"
#include "mcugen_kernels_f32.h"

void mcugen_f32_rnn(const cmsis_nn_context *context,
                    const mcugen_f32_rnn_params *params,
                    const mcugen_f32_rnn_form *form,
                    const float *weights,
                    const float *recurrent,
                    const float *bias,
                    const float *input,
                    const float *initial_h,
                    float *y,
                    float *y_h)
{
    const int32_t hidden = params->hidden, inputs = params->inputs;
    const int32_t start = params->direction * params->batch * hidden; /* of this direction, in every state */
    float *const sums = context->buf;
    for (int32_t b = 0; b < params->batch; b++) {
        float *const h = y_h + start + b * hidden, *const out = y + start + b * hidden;
        const int32_t steps = mcugen_f32_length(params, form, b, out);
        mcugen_f32_state(h, initial_h, start + b * hidden, hidden);
        for (int32_t i = 0; i < steps; i++) {
            const int32_t step = params->reverse ? steps - 1 - i : i;
            const float *x = input + (step * params->batch + b) * inputs;
            for (int32_t k = 0; k < hidden; k++) {
                sums[k] = mcugen_f32_dot(weights + k * inputs, x, inputs) +
                          mcugen_f32_dot(recurrent + k * hidden, h, hidden) + (bias[k] + bias[k + hidden]);
            }
            for (int32_t k = 0; k < hidden; k++) {
                h[k] = mcugen_f32_gate(form, sums[k]);
                out[step * params->y_stride + k] = h[k];
            }
        }
    }
}
