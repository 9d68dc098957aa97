/* SPDX-License-Identifier: Apache-2.0 */
/* What recurrent layers share; not for users. */
#ifndef MCUGEN_F32_RNN_H
#define MCUGEN_F32_RNN_H

#include <stddef.h>
#include <stdint.h>

#include "mcugen_f32_functions.h"

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

/* One step of an LSTM's states and its output; gates [4][hidden]: input, output, forget, cell. */
static inline void mcugen_f32_lstm_step(const float *gates, float *h, float *c, float *y, int32_t hidden)
{
    for (int32_t k = 0; k < hidden; k++) {
        const float in = mcugen_real_sigmoid(gates[k]), out = mcugen_real_sigmoid(gates[k + hidden]);
        const float forget = mcugen_real_sigmoid(gates[k + 2 * hidden]);
        c[k] = forget * c[k] + in * mcugen_real_tanh(gates[k + 3 * hidden]);
        h[k] = out * mcugen_real_tanh(c[k]);
        y[k] = h[k];
    }
}

#endif
