/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_f32_functions.h"
#include "mcugen_kernels_f32.h"

void mcugen_f32_normalize(const mcugen_f32_normalize_params *params, const float *input, float *output)
{
    const int32_t size = params->size;
    for (int32_t row = 0; row < params->rows; row++, input += size, output += size) {
        float sum = 0.0f, squares = 0.0f;
        for (int32_t i = 0; i < size; i++) {
            sum += input[i];
        }
        const float mean = sum / (float)size;
        for (int32_t i = 0; i < size; i++) {
            squares += (input[i] - mean) * (input[i] - mean);
        }
        const float factor = 1.0f / mcugen_real_sqrt(squares / (float)size + params->epsilon);
        for (int32_t i = 0; i < size; i++) {
            const int32_t k = params->channels > 0 ? row % params->channels : i;
            const float y = (input[i] - mean) * factor * params->scale[k];
            output[i] = params->bias ? y + params->bias[k] : y;
        }
    }
}
