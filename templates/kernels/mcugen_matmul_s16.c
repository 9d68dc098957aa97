/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_dot_s16.h"
#include "mcugen_kernels_s16.h"

void mcugen_matmul_s16(const mcugen_matmul_s16_params *params, const int16_t *a, const int16_t *b, int16_t *output)
{
    const mcugen_matmul_s16_params p = *params; /* a copy: output cannot alias it */
    for (int32_t batch = 0; batch < p.batches; batch++) {
        const int16_t *row = a + p.a_start[batch];
        for (int32_t i = 0; i < p.rows; i++, row += p.depth) {
            for (int32_t j = 0; j < p.columns; j++) {
                const int16_t *column = b + p.b_start[batch] + j;
                int64_t sum = 0;
                for (int32_t k = 0; k < p.depth; k++, column += p.columns) {
                    sum += (int64_t)(row[k] - p.a_zero_point) * (*column - p.b_zero_point);
                }
                *output++ =
                    mcugen_requant_s16(sum >> p.drop, p.multiplier, p.shift, p.output_zero_point, &p.activation);
            }
        }
    }
}
