/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

#include <string.h>

void mcugen_f32_copy(const float *input, float *output, int32_t rows, int32_t row_size, int32_t offset, int32_t stride)
{
    output += offset;
    for (int32_t row = 0; row < rows; row++) {
        memcpy(output, input, (size_t)row_size * sizeof *output);
        input += row_size;
        output += stride;
    }
}
