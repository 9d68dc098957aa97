/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

void mcugen_s64_from_s8(const int8_t *input, int64_t *output, int32_t count, int32_t origin)
{
    for (int32_t i = 0; i < count; i++) {
        output[i] = input[i] + origin;
    }
}
