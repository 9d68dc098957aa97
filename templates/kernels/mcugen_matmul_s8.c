/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

void mcugen_matmul_s8(const mcugen_matmul_params *params, const int8_t *a, const int8_t *b, int8_t *output)
{
    const int32_t depth = params->depth, columns = params->columns;
    for (int32_t batch = 0; batch < params->batches; batch++) {
        const int8_t *row = a + params->a_start[batch];
        const int8_t *matrix = b + params->b_start[batch];
        for (int32_t i = 0; i < params->rows; i++, row += depth) {
            for (int32_t j = 0; j < columns; j++) {
                const int8_t *column = matrix + j;
                uint32_t acc = 0; /* unsigned: wraps around, as int32 may not */
                for (int32_t k = 0; k < depth; k++, column += columns) {
                    acc += (uint32_t)((row[k] + params->a_offset) * (*column + params->b_offset));
                }
                const int32_t result = params->wide
                                           ? mcugen_requant_wide((int32_t)acc, params->multiplier, params->shift)
                                           : mcugen_requant((int32_t)acc, params->multiplier, params->shift);
                *output++ = mcugen_activate(result + params->output_offset, &params->activation);
            }
        }
    }
}
