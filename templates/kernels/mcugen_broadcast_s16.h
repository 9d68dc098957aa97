/* SPDX-License-Identifier: Apache-2.0 */
/* Binary kernels on int16 over operands that repeat; not for users. */
#ifndef MCUGEN_BROADCAST_S16_H
#define MCUGEN_BROADCAST_S16_H

#include "mcugen_kernels_s16.h"

/* The innermost loop: `count` elements, each operand moving by its step. */
typedef void mcugen_row_s16(const void *params, const int16_t *a, int32_t a_step, const int16_t *b, int32_t b_step,
                            int16_t *output, int32_t count);

static inline void mcugen_broadcast_rows_s16(mcugen_row_s16 *row, const void *params, const mcugen_broadcast *shape,
                                             const int16_t *a, const int16_t *b, int16_t *output)
{
    for (int32_t i = 0; i < shape->axes[3].count; i++) {
        for (int32_t j = 0; j < shape->axes[2].count; j++) {
            const int16_t *row_a = a + i * shape->axes[3].a_step + j * shape->axes[2].a_step;
            const int16_t *row_b = b + i * shape->axes[3].b_step + j * shape->axes[2].b_step;
            for (int32_t k = 0; k < shape->axes[1].count; k++) {
                row(params, row_a, shape->axes[0].a_step, row_b, shape->axes[0].b_step, output, shape->axes[0].count);
                row_a += shape->axes[1].a_step;
                row_b += shape->axes[1].b_step;
                output += shape->axes[0].count;
            }
        }
    }
}

#endif
