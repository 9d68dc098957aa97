/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

void mcugen_average_sums_s8(const mcugen_global_average_pool_params *params,
                            const int32_t *sums,
                            int8_t *output,
                            int32_t pixels,
                            int32_t channels)
{
    for (int32_t c = 0; c < channels; c++) {
        const int32_t sum = sums[c] + params->input_offset * pixels;
        const int32_t average = mcugen_requant(sum, params->multiplier, params->shift) + params->output_offset;
        output[c] = mcugen_activate(average, &params->activation);
    }
}
