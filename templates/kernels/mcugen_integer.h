/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic and comparisons of integers; the file that includes this defines MCUGEN_INTEGER_TYPE and its unsigned twin
 * MCUGEN_NATURAL_TYPE, and MCUGEN_INTEGER_COMPARISON if the output is bool. Not for users. */
#ifndef MCUGEN_INTEGER_H
#define MCUGEN_INTEGER_H

#include "mcugen_kernels.h"

#ifdef MCUGEN_INTEGER_COMPARISON
typedef int8_t mcugen_integer_result;

static int8_t mcugen_integer_of(int32_t operation, MCUGEN_INTEGER_TYPE p, MCUGEN_INTEGER_TYPE q)
{
    return operation == MCUGEN_INTEGER_EQUAL ? p == q : (operation == MCUGEN_INTEGER_GREATER ? p > q : p >= q);
}
#else
typedef MCUGEN_INTEGER_TYPE mcugen_integer_result;

/* Sums and products wrap around. The divisor is above 0. */
static MCUGEN_INTEGER_TYPE mcugen_integer_of(int32_t operation, MCUGEN_INTEGER_TYPE p, MCUGEN_INTEGER_TYPE q)
{
    const MCUGEN_NATURAL_TYPE u = (MCUGEN_NATURAL_TYPE)p, v = (MCUGEN_NATURAL_TYPE)q;
    switch (operation) {
    case MCUGEN_INTEGER_ADD:
        return (MCUGEN_INTEGER_TYPE)(u + v);
    case MCUGEN_INTEGER_SUB:
        return (MCUGEN_INTEGER_TYPE)(u - v);
    case MCUGEN_INTEGER_MUL:
        return (MCUGEN_INTEGER_TYPE)(u * v);
    case MCUGEN_INTEGER_DIV:
        return p / q;
    case MCUGEN_INTEGER_MOD:
        return p % q < 0 ? p % q + q : p % q;
    case MCUGEN_INTEGER_MIN:
        return p < q ? p : q;
    default:
        return p > q ? p : q;
    }
}
#endif

static void mcugen_integer(const mcugen_broadcast *shape, int32_t operation, const MCUGEN_INTEGER_TYPE *a,
                           const MCUGEN_INTEGER_TYPE *b, mcugen_integer_result *output)
{
    int32_t at[4] = {0};
    for (;;) {
        int32_t i = 0, j = 0, k = 1;
        for (int32_t n = 1; n < 4; n++) {
            i += at[n] * shape->axes[n].a_step;
            j += at[n] * shape->axes[n].b_step;
        }
        for (int32_t n = 0; n < shape->axes[0].count; n++) {
            *output++ = mcugen_integer_of(operation, a[i], b[j]);
            i += shape->axes[0].a_step;
            j += shape->axes[0].b_step;
        }
        while (k < 4 && ++at[k] == shape->axes[k].count) {
            at[k++] = 0;
        }
        if (k == 4) {
            return;
        }
    }
}

#endif
