/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

void mcugen_s8_from_s64(const int64_t *input, int8_t *output, int32_t count, int32_t origin)
{
    for (int32_t i = 0; i < count; i++) {
        output[i] = (int8_t)(uint8_t)((uint64_t)input[i] - (uint32_t)origin);
    }
}
