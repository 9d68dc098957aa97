/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

void mcugen_reduce_sum_s8(const mcugen_reduce_sum_params *params, const int8_t *input, int8_t *output, int32_t outer,
                          int32_t reduced, int32_t inner)
{
    for (int32_t i = 0; i < outer; i++, input += reduced * inner) {
        for (int32_t j = 0; j < inner; j++) {
            int32_t sum = params->input_offset * reduced;
            const int8_t *value = input + j;
            for (int32_t r = 0; r < reduced; r++, value += inner) {
                sum += *value;
            }
            const int32_t result = params->wide ? mcugen_requant_wide(sum, params->multiplier, params->shift)
                                                : mcugen_requant(sum, params->multiplier, params->shift);
            *output++ = mcugen_activate(result + params->output_offset, &params->activation);
        }
    }
}
