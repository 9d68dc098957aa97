/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_s16.h"

void mcugen_lut_s8_s16(const int16_t *table, const int8_t *input, int16_t *output, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        output[i] = table[input[i] + 128];
    }
}
