/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_dynamic.h"
#include "mcugen_f32_rnn.h"
#include "mcugen_kernels_f32.h"

static float scaled_products(const mcugen_dynamic_matrix *matrix,
                             int32_t row,
                             const int8_t *x,
                             float x_scale,
                             int32_t x_zero,
                             int32_t count)
{
    const int8_t *const weights = matrix->weights + row * count;
    const int32_t zero = matrix->zero_point[row];
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        sum += (x[i] - x_zero) * (weights[i] - zero);
    }
    return (float)sum * (x_scale * matrix->scale[row]);
}

void mcugen_dynamic_lstm(const cmsis_nn_context *context,
                         const mcugen_f32_rnn_params *params,
                         const mcugen_dynamic_matrix *weights,
                         const mcugen_dynamic_matrix *recurrent,
                         const float *bias,
                         const float *input,
                         const float *initial_h,
                         const float *initial_c,
                         float *y,
                         float *y_h,
                         float *y_c)
{
    const int32_t hidden = params->hidden, inputs = params->inputs, batch = params->batch;
    const int32_t start = params->direction * batch * hidden; /* of this direction, in every state */
    float *const gates = context->buf, *const h = y_h + start, *const c = y_c + start;
    int8_t *const codes = (int8_t *)(gates + 4 * hidden), *const h_codes = codes + params->steps * batch * inputs;
    int8_t zero, h_zero;
    const float scale = mcugen_dynamic_quantize(input, codes, &zero, params->steps * batch * inputs);
    mcugen_f32_state(h, initial_h, start, batch * hidden);
    mcugen_f32_state(c, initial_c, start, batch * hidden);
    for (int32_t i = 0; i < params->steps; i++) {
        const int32_t step = params->reverse ? params->steps - 1 - i : i;
        const float h_scale = mcugen_dynamic_quantize(h, h_codes, &h_zero, batch * hidden);
        for (int32_t b = 0; b < batch; b++) {
            const int8_t *const x = codes + (step * batch + b) * inputs;
            for (int32_t k = 0; k < 4 * hidden; k++) {
                gates[k] = scaled_products(weights, k, x, scale, zero, inputs) +
                           scaled_products(recurrent, k, h_codes + b * hidden, h_scale, h_zero, hidden) +
                           (bias[k] + bias[k + 4 * hidden]);
            }
            float *const out = y + step * params->y_stride + start + b * hidden;
            mcugen_f32_lstm_step(NULL, gates, h + b * hidden, c + b * hidden, out, hidden);
        }
    }
}
