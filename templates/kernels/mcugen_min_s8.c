/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

void mcugen_min_s8(const mcugen_choice_params *params, const int8_t *a, const int8_t *b, int8_t *output,
                   int32_t count)
{
    const int8_t *const a_table = params->a_table + 128, *const b_table = params->b_table + 128;
    for (int32_t i = 0; i < count; i++) {
        const int8_t left = a_table[a[i]], right = b_table[b[i]];
        output[i] = left < right ? left : right;
    }
}
