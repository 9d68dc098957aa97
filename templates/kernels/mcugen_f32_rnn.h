/* SPDX-License-Identifier: Apache-2.0 */
/* What recurrent layers share; not for users. A form of NULL, known where these are inlined, is ONNX's default one. */
#ifndef MCUGEN_F32_RNN_H
#define MCUGEN_F32_RNN_H

#include <stddef.h>
#include <stdint.h>

#include "mcugen_f32_functions.h"
#include "mcugen_kernels_f32.h"

static inline float mcugen_f32_dot(const float *a, const float *b, int32_t count)
{
    float sum = 0.0f;
    for (int32_t i = 0; i < count; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* The state of one sequence before its first step. */
static inline void mcugen_f32_state(float *state, const float *initial, int32_t start, int32_t hidden)
{
    for (int32_t k = 0; k < hidden; k++) {
        state[k] = initial != NULL ? initial[start + k] : 0.0f;
    }
}

/* Steps of the sequence b; the rows of y behind them become 0. */
static inline int32_t mcugen_f32_length(const mcugen_f32_rnn_params *params,
                                        const mcugen_f32_rnn_form *form,
                                        int32_t b,
                                        float *y)
{
    if (form == NULL || form->lengths == NULL) {
        return params->steps;
    }
    for (int32_t step = form->lengths[b]; step < params->steps; step++) {
        for (int32_t k = 0; k < params->hidden; k++) {
            y[step * params->y_stride + k] = 0.0f;
        }
    }
    return form->lengths[b];
}

static inline float mcugen_f32_clipped(float x, float clip)
{
    return x > clip ? clip : (x < -clip ? -clip : x);
}

static inline float mcugen_f32_activated(const mcugen_f32_activation *activation, float x)
{
    const float alpha = activation->alpha, beta = activation->beta;
    switch (activation->function) {
    case MCUGEN_F32_SIGMOID:
        return mcugen_real_sigmoid(x);
    case MCUGEN_F32_TANH:
        return mcugen_real_tanh(x);
    case MCUGEN_F32_RELU:
        return x > 0.0f ? x : 0.0f;
    case MCUGEN_F32_AFFINE:
        return alpha * x + beta;
    case MCUGEN_F32_LEAKY_RELU:
        return x >= 0.0f ? x : alpha * x;
    case MCUGEN_F32_THRESHOLDED_RELU:
        return x > alpha ? x : 0.0f;
    case MCUGEN_F32_SCALED_TANH:
        return alpha * mcugen_real_tanh(beta * x);
    case MCUGEN_F32_HARD_SIGMOID:
        return mcugen_real_unit(alpha * x + beta);
    case MCUGEN_F32_ELU:
        return x >= 0.0f ? x : alpha * (mcugen_real_exp(x) - 1.0f);
    case MCUGEN_F32_SOFTSIGN:
        return x / (1.0f + (x < 0.0f ? -x : x));
    default:
        return mcugen_real_softplus(x);
    }
}

/* The gates' function f, behind the clip. */
static inline float mcugen_f32_gate(const mcugen_f32_rnn_form *form, float x)
{
    return form == NULL ? mcugen_real_sigmoid(x)
                        : mcugen_f32_activated(&form->activations[0], mcugen_f32_clipped(x, form->clip));
}

/* The function g of the candidate state, behind the clip. */
static inline float mcugen_f32_candidate(const mcugen_f32_rnn_form *form, float x)
{
    return form == NULL ? mcugen_real_tanh(x)
                        : mcugen_f32_activated(&form->activations[1], mcugen_f32_clipped(x, form->clip));
}

/* One step of an LSTM's states and its output; gates [4][hidden]: input, output, forget, cell. */
static inline void mcugen_f32_lstm_step(const mcugen_f32_rnn_form *form,
                                        const float *gates,
                                        float *h,
                                        float *c,
                                        float *y,
                                        int32_t hidden)
{
    const float *const peepholes = form != NULL ? form->peepholes : NULL; /* [3][hidden]: input, output, forget */
    for (int32_t k = 0; k < hidden; k++) {
        const float see_in = peepholes != NULL ? peepholes[k] * c[k] : 0.0f;
        const float see_forget = peepholes != NULL ? peepholes[k + 2 * hidden] * c[k] : 0.0f;
        const float in = mcugen_f32_gate(form, gates[k] + see_in);
        const float forget = form != NULL && form->input_forget
                                 ? 1.0f - in
                                 : mcugen_f32_gate(form, gates[k + 2 * hidden] + see_forget);
        c[k] = forget * c[k] + in * mcugen_f32_candidate(form, gates[k + 3 * hidden]);
        const float see_out = peepholes != NULL ? peepholes[k + hidden] * c[k] : 0.0f;
        const float out = mcugen_f32_gate(form, gates[k + hidden] + see_out);
        h[k] = out * (form == NULL ? mcugen_real_tanh(c[k]) : mcugen_f32_activated(&form->activations[2], c[k]));
        y[k] = h[k];
    }
}

static inline void mcugen_f32_lstm_layer(const cmsis_nn_context *context,
                                         const mcugen_f32_rnn_params *params,
                                         const mcugen_f32_rnn_form *form,
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
        float *const out = y + start + b * hidden;
        const int32_t steps = mcugen_f32_length(params, form, b, out);
        mcugen_f32_state(h, initial_h, start + b * hidden, hidden);
        mcugen_f32_state(c, initial_c, start + b * hidden, hidden);
        for (int32_t i = 0; i < steps; i++) {
            const int32_t step = params->reverse ? steps - 1 - i : i;
            const float *x = input + (step * params->batch + b) * inputs;
            for (int32_t k = 0; k < 4 * hidden; k++) {
                gates[k] = mcugen_f32_dot(weights + k * inputs, x, inputs) +
                           mcugen_f32_dot(recurrent + k * hidden, h, hidden) + (bias[k] + bias[k + 4 * hidden]);
            }
            mcugen_f32_lstm_step(form, gates, h, c, out + step * params->y_stride, hidden);
        }
    }
}

static inline void mcugen_f32_gru_layer(const cmsis_nn_context *context,
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
    float *const gates = context->buf, *const part = gates + 3 * hidden;
    for (int32_t b = 0; b < params->batch; b++) {
        float *const h = y_h + start + b * hidden, *const out = y + start + b * hidden;
        const int32_t steps = mcugen_f32_length(params, form, b, out);
        mcugen_f32_state(h, initial_h, start + b * hidden, hidden);
        for (int32_t i = 0; i < steps; i++) {
            const int32_t step = params->reverse ? steps - 1 - i : i;
            const float *x = input + (step * params->batch + b) * inputs;
            for (int32_t k = 0; k < 2 * hidden; k++) { /* update, reset */
                gates[k] = mcugen_f32_gate(form, mcugen_f32_dot(weights + k * inputs, x, inputs) +
                                                     mcugen_f32_dot(recurrent + k * hidden, h, hidden) +
                                                     (bias[k] + bias[k + 3 * hidden]));
            }
            for (int32_t k = 0; k < hidden; k++) {
                part[k] = params->linear_before_reset ? h[k] : gates[k + hidden] * h[k];
            }
            for (int32_t k = 2 * hidden; k < 3 * hidden; k++) {
                const float from_x = mcugen_f32_dot(weights + k * inputs, x, inputs) + bias[k];
                const float from_h = mcugen_f32_dot(recurrent + k * hidden, part, hidden) + bias[k + 3 * hidden];
                const float reset_h = params->linear_before_reset ? gates[k - hidden] * from_h : from_h;
                gates[k] = mcugen_f32_candidate(form, from_x + reset_h);
            }
            for (int32_t k = 0; k < hidden; k++) {
                h[k] = (1.0f - gates[k]) * gates[k + 2 * hidden] + gates[k] * h[k];
                out[step * params->y_stride + k] = h[k];
            }
        }
    }
}

#endif
