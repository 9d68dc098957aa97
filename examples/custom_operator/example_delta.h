/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXAMPLE_DELTA_H
#define EXAMPLE_DELTA_H

#include <stdint.h>

#include "arm_nn_types.h"

typedef struct {
    float input_scale;
    int32_t input_zero_point;
    float output_scale;
    int32_t output_zero_point;
    cmsis_nn_activation activation;
    int32_t frames;
    int32_t features; /* of one frame */
} example_delta_params;

/* output[t][f] = input[t][f] - input[t - 1][f] in real numbers, 0 at t = 0. input and output: [frames][features]. */
void example_delta(const example_delta_params *params, const int8_t *input, int8_t *output);

#endif
