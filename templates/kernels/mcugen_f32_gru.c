/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_f32_functions.h"
#include "mcugen_f32_rnn.h"
#include "mcugen_kernels_f32.h"

void mcugen_f32_gru(const cmsis_nn_context *context,
                    const mcugen_f32_rnn_params *params,
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
    float *const gates = context->buf, *const part = gates + 3 * hidden;
    for (int32_t b = 0; b < params->batch; b++) {
        float *const h = y_h + start + b * hidden;
        mcugen_f32_state(h, initial_h, start + b * hidden, hidden);
        for (int32_t i = 0; i < params->steps; i++) {
            const int32_t step = params->reverse ? params->steps - 1 - i : i;
            const float *x = input + (step * params->batch + b) * inputs;
            for (int32_t k = 0; k < 2 * hidden; k++) { /* update, reset */
                gates[k] = mcugen_real_sigmoid(mcugen_f32_dot(weights + k * inputs, x, inputs) +
                                              mcugen_f32_dot(recurrent + k * hidden, h, hidden) +
                                              (bias[k] + bias[k + 3 * hidden]));
            }
            for (int32_t k = 0; k < hidden; k++) {
                part[k] = params->linear_before_reset ? h[k] : gates[k + hidden] * h[k];
            }
            for (int32_t k = 2 * hidden; k < 3 * hidden; k++) {
                const float before = mcugen_f32_dot(recurrent + k * hidden, part, hidden) + bias[k + 3 * hidden];
                gates[k] = mcugen_real_tanh(mcugen_f32_dot(weights + k * inputs, x, inputs) + bias[k] +
                                           (params->linear_before_reset ? gates[k - hidden] * before : before));
            }
            for (int32_t k = 0; k < hidden; k++) {
                h[k] = (1.0f - gates[k]) * gates[k + 2 * hidden] + gates[k] * h[k];
                y[step * params->y_stride + start + b * hidden + k] = h[k];
            }
        }
    }
}
