/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

void mcugen_softmax_s8(const float *table,
                       float output_scale_inverse,
                       int32_t output_zero_point,
                       const int8_t *input,
                       int8_t *output,
                       int32_t rows,
                       int32_t classes)
{
    for (int32_t row = 0; row < rows; row++) {
        int32_t largest = INT8_MIN;
        for (int32_t i = 0; i < classes; i++) {
            largest = input[i] > largest ? input[i] : largest;
        }
        float sum = 0.0f; /* in the order of the classes: float addition is not associative */
        for (int32_t i = 0; i < classes; i++) {
            sum += table[255 - largest + input[i]];
        }
        for (int32_t i = 0; i < classes; i++) {
            const float scaled = table[255 - largest + input[i]] * output_scale_inverse;
            output[i] = mcugen_clamp(mcugen_convert(scaled / sum) + output_zero_point, INT8_MIN, INT8_MAX);
        }
        input += classes;
        output += classes;
    }
}
