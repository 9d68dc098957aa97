/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic_s16.h"
#include "mcugen_kernels_s16.h"
#include "mcugen_softmax_row.h"

void mcugen_softmax_s16(const cmsis_nn_context *context,
                        const mcugen_softmax_s16_params *params,
                        const int16_t *input,
                        int16_t *output,
                        int32_t rows,
                        int32_t classes)
{
    const mcugen_softmax_s16_params p = *params; /* a copy: output cannot alias it */
    float *values = context->buf;
    for (int32_t row = 0; row < rows; row++, input += classes, output += classes) {
        int32_t largest = input[0];
        for (int32_t i = 1; i < classes; i++) {
            largest = input[i] > largest ? input[i] : largest;
        }
        const float max = (float)(largest - p.input_zero_point) * p.input_scale;
        for (int32_t i = 0; i < classes; i++) {
            values[i] = (float)(input[i] - p.input_zero_point) * p.input_scale - max;
        }
        const float factor = mcugen_softmax_row(values, classes);
        for (int32_t i = 0; i < classes; i++) {
            output[i] = (int16_t)mcugen_quantize_s16(values[i] * factor, p.output_scale, p.output_zero_point);
        }
    }
}
