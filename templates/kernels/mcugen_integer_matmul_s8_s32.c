/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

void mcugen_integer_matmul_s8_s32(const mcugen_integer_matmul_params *params,
                                  const int8_t *a,
                                  const int8_t *b,
                                  const int8_t *a_zero_point,
                                  const int8_t *b_zero_point,
                                  int32_t *output)
{
    const int32_t depth = params->depth, columns = params->columns, a_zero = *a_zero_point;
    for (int32_t batch = 0; batch < params->batches; batch++) {
        const int8_t *row = a + params->a_start[batch];
        const int8_t *matrix = b + params->b_start[batch];
        for (int32_t i = 0; i < params->rows; i++, row += depth) {
            for (int32_t j = 0; j < columns; j++) {
                const int8_t *column = matrix + j;
                const int32_t b_zero = b_zero_point[j * params->b_zero_step];
                uint32_t sum = 0; /* unsigned: wraps around, as int32 may not */
                for (int32_t k = 0; k < depth; k++, column += columns) {
                    sum += (uint32_t)((row[k] - a_zero) * (*column - b_zero));
                }
                *output++ = (int32_t)sum;
            }
        }
    }
}
