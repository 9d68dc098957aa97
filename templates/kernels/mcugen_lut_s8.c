/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

void mcugen_lut_s8(const int8_t *table, const int8_t *input, int8_t *output, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        output[i] = table[input[i] + 128];
    }
}
