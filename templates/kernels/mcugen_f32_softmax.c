/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"
#include "mcugen_softmax_row.h"

void mcugen_f32_softmax(const float *input, float *output, int32_t rows, int32_t classes)
{
    for (int32_t row = 0; row < rows; row++, input += classes, output += classes) {
        float max = input[0];
        for (int32_t i = 1; i < classes; i++) {
            max = input[i] > max ? input[i] : max;
        }
        for (int32_t i = 0; i < classes; i++) {
            output[i] = input[i] - max;
        }
        const float factor = mcugen_softmax_row(output, classes);
        for (int32_t i = 0; i < classes; i++) {
            output[i] *= factor;
        }
    }
}
