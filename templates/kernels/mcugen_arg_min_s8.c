/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

void mcugen_arg_min_s8(int32_t last, const int8_t *input, int64_t *output, int32_t outer, int32_t reduced,
                       int32_t inner)
{
    for (int32_t i = 0; i < outer; i++, input += reduced * inner) {
        for (int32_t j = 0; j < inner; j++) {
            int32_t best = 0;
            for (int32_t r = 1; r < reduced; r++) {
                const int8_t value = input[r * inner + j], held = input[best * inner + j];
                best = value < held || (last && value == held) ? r : best;
            }
            *output++ = best;
        }
    }
}
