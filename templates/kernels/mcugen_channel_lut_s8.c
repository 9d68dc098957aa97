/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

void mcugen_channel_lut_s8(const int8_t *table, const int8_t *input, int8_t *output, int32_t outer, int32_t channels,
                           int32_t inner)
{
    for (int32_t i = 0; i < outer; i++) {
        const int8_t *channel_table = table;
        for (int32_t c = 0; c < channels; c++) {
            for (int32_t j = 0; j < inner; j++) {
                *output++ = channel_table[*input++ + 128];
            }
            channel_table += 256;
        }
    }
}
