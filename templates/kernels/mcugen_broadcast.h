/* SPDX-License-Identifier: Apache-2.0 */
/* Binary kernels over operands that repeat; not for users. */
#ifndef MCUGEN_BROADCAST_H
#define MCUGEN_BROADCAST_H

#include <string.h>

#include "mcugen_kernels.h"

/* A kernel of two operands of `count` elements each. */
typedef void mcugen_row(const void *params, const int8_t *a, const int8_t *b, int8_t *output, int32_t count);

#define MCUGEN_BROADCAST_CHUNK 64

/* One row, in which a step of 0 repeats an operand's first element. */
static inline void mcugen_broadcast_row(mcugen_row *row, const void *params, const int8_t *a, int32_t a_step,
                                        const int8_t *b, int32_t b_step, int8_t *output, int32_t count)
{
    int8_t repeated[MCUGEN_BROADCAST_CHUNK];
    if (a_step != 0 && b_step != 0) {
        row(params, a, b, output, count);
        return;
    }
    memset(repeated, a_step == 0 ? *a : *b, sizeof repeated);
    while (count > 0) {
        const int32_t part = count < MCUGEN_BROADCAST_CHUNK ? count : MCUGEN_BROADCAST_CHUNK;
        row(params, a_step == 0 ? repeated : a, b_step == 0 ? repeated : b, output, part);
        a += part * a_step;
        b += part * b_step;
        output += part;
        count -= part;
    }
}

static inline void mcugen_broadcast_rows(mcugen_row *row, const void *params, const mcugen_broadcast *shape,
                                         const int8_t *a, const int8_t *b, int8_t *output)
{
    for (int32_t i = 0; i < shape->axes[3].count; i++) {
        for (int32_t j = 0; j < shape->axes[2].count; j++) {
            for (int32_t k = 0; k < shape->axes[1].count; k++) {
                const int8_t *row_a = a + i * shape->axes[3].a_step + j * shape->axes[2].a_step;
                const int8_t *row_b = b + i * shape->axes[3].b_step + j * shape->axes[2].b_step;
                mcugen_broadcast_row(row, params, row_a + k * shape->axes[1].a_step, shape->axes[0].a_step,
                                     row_b + k * shape->axes[1].b_step, shape->axes[0].b_step, output,
                                     shape->axes[0].count);
                output += shape->axes[0].count;
            }
        }
    }
}

#endif
