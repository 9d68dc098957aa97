/* SPDX-License-Identifier: Apache-2.0 */
/* The search for the k largest or smallest; the file that includes this defines MCUGEN_TOP_K_TYPE and
 * MCUGEN_TOP_K_NAN(value). Not for users. */
#ifndef MCUGEN_TOP_K_H
#define MCUGEN_TOP_K_H

#include "mcugen_kernels.h"

/* Does x at position i stand before y at position j? A NaN stands behind everything. */
static int mcugen_before(MCUGEN_TOP_K_TYPE x, int32_t i, MCUGEN_TOP_K_TYPE y, int32_t j, int32_t smallest)
{
    if (x == y || (MCUGEN_TOP_K_NAN(x) && MCUGEN_TOP_K_NAN(y))) {
        return i < j;
    }
    return MCUGEN_TOP_K_NAN(y) || (smallest ? x < y : x > y);
}

static void mcugen_top_k(const mcugen_top_k_params *params, const MCUGEN_TOP_K_TYPE *input, MCUGEN_TOP_K_TYPE *values,
                         int64_t *positions)
{
    const int32_t size = params->size, inner = params->inner, k = params->k, smallest = params->smallest;
    for (int32_t o = 0; o < params->outer; o++) {
        for (int32_t i = 0; i < inner; i++) {
            const MCUGEN_TOP_K_TYPE *x = input + o * size * inner + i;
            int32_t last = -1; /* each turn finds the first of those behind the last one found */
            for (int32_t turn = 0; turn < k; turn++) {
                int32_t best = -1;
                for (int32_t n = 0; n < size; n++) {
                    const int is_left = last < 0 || mcugen_before(x[last * inner], last, x[n * inner], n, smallest);
                    if (n != last && is_left
                        && (best < 0 || mcugen_before(x[n * inner], n, x[best * inner], best, smallest))) {
                        best = n;
                    }
                }
                values[(o * k + turn) * inner + i] = x[best * inner];
                positions[(o * k + turn) * inner + i] = best;
                last = best;
            }
        }
    }
}

#endif
