/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_s16.h"

#include <string.h>

void mcugen_reduce_max_s16(const int16_t *input, int16_t *output, int32_t outer, int32_t reduced, int32_t inner)
{
    for (int32_t i = 0; i < outer; i++, output += inner) {
        memcpy(output, input, (size_t)inner * sizeof *output);
        input += inner;
        for (int32_t r = 1; r < reduced; r++, input += inner) {
            for (int32_t j = 0; j < inner; j++) {
                output[j] = input[j] > output[j] ? input[j] : output[j];
            }
        }
    }
}
