/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_f32_functions.h"
#include "mcugen_kernels_f32.h"

void mcugen_f32_log_softmax(const float *input, float *output, int32_t rows, int32_t classes)
{
    for (int32_t row = 0; row < rows; row++, input += classes, output += classes) {
        float max = input[0], sum = 0.0f;
        for (int32_t i = 1; i < classes; i++) {
            max = input[i] > max ? input[i] : max;
        }
        for (int32_t i = 0; i < classes; i++) {
            sum += mcugen_real_exp_negative(input[i] - max);
        }
        const float logarithm = mcugen_real_log(sum);
        for (int32_t i = 0; i < classes; i++) {
            output[i] = (input[i] - max) - logarithm;
        }
    }
}
