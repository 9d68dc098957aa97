/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_f32_functions.h"
#include "mcugen_kernels_f32.h"

#define LANES 16

void mcugen_f32_softmax(const float *input, float *output, int32_t rows, int32_t classes)
{
    for (int32_t row = 0; row < rows; row++, input += classes, output += classes) {
        float max = input[0];
        for (int32_t i = 1; i < classes; i++) {
            max = input[i] > max ? input[i] : max;
        }
        float lane[LANES] = {0.0f};
        for (int32_t i = 0; i < classes; i++) {
            output[i] = mcugen_real_exp_negative(input[i] - max);
            lane[i % LANES] += output[i];
        }
        for (int32_t i = 0; i < LANES / 2; i++) {
            lane[i] += lane[i + LANES / 2];
        }
        const float sum = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
        const float factor = 1.0f / sum;
        for (int32_t i = 0; i < classes; i++) {
            output[i] *= factor;
        }
    }
}
