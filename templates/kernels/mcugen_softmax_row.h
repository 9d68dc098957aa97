/* SPDX-License-Identifier: Apache-2.0 */
/* One row of a softmax in ONNX Runtime's float32 order; not for users. */
#ifndef MCUGEN_SOFTMAX_ROW_H
#define MCUGEN_SOFTMAX_ROW_H

#include "mcugen_f32_functions.h"

#define MCUGEN_SOFTMAX_LANES 16

/* 1 / the sum of the exponentials, which are left in `values` in place of the inputs less the largest one. */
static inline float mcugen_softmax_row(float *values, int32_t classes)
{
    float lane[MCUGEN_SOFTMAX_LANES] = {0.0f};
    for (int32_t i = 0; i < classes; i++) {
        values[i] = mcugen_real_exp_negative(values[i]);
        lane[i % MCUGEN_SOFTMAX_LANES] += values[i];
    }
    for (int32_t i = 0; i < MCUGEN_SOFTMAX_LANES / 2; i++) {
        lane[i] += lane[i + MCUGEN_SOFTMAX_LANES / 2];
    }
    return 1.0f / (((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7])));
}

#endif
