/* SPDX-License-Identifier: Apache-2.0 */
/* What recurrent layers share; not for users. */
#ifndef MCUGEN_F32_RNN_H
#define MCUGEN_F32_RNN_H

#include <stddef.h>
#include <stdint.h>

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

#endif
