/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

#include <string.h>

void mcugen_copy_s8(const int8_t *input, int8_t *output, int32_t rows, int32_t row_bytes, int32_t offset,
                    int32_t stride)
{
    output += offset;
    for (int32_t row = 0; row < rows; row++) {
        memcpy(output, input, (size_t)row_bytes);
        input += row_bytes;
        output += stride;
    }
}
