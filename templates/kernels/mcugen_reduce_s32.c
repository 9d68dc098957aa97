/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

void mcugen_reduce_s32(int32_t operation, const int32_t *input, int32_t *output, int32_t outer, int32_t reduced,
                       int32_t inner)
{
    for (int32_t o = 0; o < outer; o++, input += reduced * inner) {
        for (int32_t i = 0; i < inner; i++) {
            int64_t found = input[i];
            for (int32_t k = 1; k < reduced; k++) {
                const int64_t value = input[k * inner + i];
                if (operation == MCUGEN_INTEGER_ADD) {
                    found += value;
                } else if (operation == MCUGEN_INTEGER_MIN ? value < found : value > found) {
                    found = value;
                }
            }
            *output++ = found < INT32_MIN ? INT32_MIN : (found > INT32_MAX ? INT32_MAX : (int32_t)found);
        }
    }
}
