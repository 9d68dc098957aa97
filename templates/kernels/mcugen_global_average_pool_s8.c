/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

void mcugen_global_average_pool_s8(const mcugen_global_average_pool_params *params,
                                   const int8_t *input,
                                   int8_t *output,
                                   int32_t pixels,
                                   int32_t channels)
{
    for (int32_t c = 0; c < channels; c++) {
        int32_t sum = params->input_offset * pixels;
        const int8_t *pixel = input + c;
        for (int32_t i = 0; i < pixels; i++, pixel += channels) {
            sum += *pixel;
        }
        const int32_t average = mcugen_requant(sum, params->multiplier, params->shift) + params->output_offset;
        output[c] = mcugen_activate(average, &params->activation);
    }
}
