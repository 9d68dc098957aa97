/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_f32_rnn.h"
#include "mcugen_kernels_f32.h"

void mcugen_f32_lstm(const cmsis_nn_context *context,
                     const mcugen_f32_rnn_params *params,
                     const float *weights,
                     const float *recurrent,
                     const float *bias,
                     const float *input,
                     const float *initial_h,
                     const float *initial_c,
                     float *y,
                     float *y_h,
                     float *y_c)
{
    const int32_t hidden = params->hidden, inputs = params->inputs;
    const int32_t start = params->direction * params->batch * hidden; /* of this direction, in every state */
    float *const gates = context->buf;
    for (int32_t b = 0; b < params->batch; b++) {
        float *const h = y_h + start + b * hidden, *const c = y_c + start + b * hidden;
        mcugen_f32_state(h, initial_h, start + b * hidden, hidden);
        mcugen_f32_state(c, initial_c, start + b * hidden, hidden);
        for (int32_t i = 0; i < params->steps; i++) {
            const int32_t step = params->reverse ? params->steps - 1 - i : i;
            const float *x = input + (step * params->batch + b) * inputs;
            for (int32_t k = 0; k < 4 * hidden; k++) {
                gates[k] = mcugen_f32_dot(weights + k * inputs, x, inputs) +
                           mcugen_f32_dot(recurrent + k * hidden, h, hidden) + (bias[k] + bias[k + 4 * hidden]);
            }
            mcugen_f32_lstm_step(gates, h, c, y + step * params->y_stride + start + b * hidden, hidden);
        }
    }
}
