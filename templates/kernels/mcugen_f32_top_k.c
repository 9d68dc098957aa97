/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

/* Does x at position i stand before y at position j? NaN stands behind everything. */
static int before(float x, int32_t i, float y, int32_t j, int32_t smallest)
{
    if (x != y && (x == x || y == y)) {
        return y != y || (smallest ? x < y : x > y);
    }
    return i < j;
}

void mcugen_f32_top_k(const mcugen_f32_top_k_params *params, const float *input, float *values, int64_t *positions)
{
    const int32_t size = params->size, inner = params->inner, k = params->k;
    for (int32_t o = 0; o < params->outer; o++) {
        for (int32_t i = 0; i < inner; i++) {
            const float *x = input + o * size * inner + i;
            int32_t last = -1; /* each turn finds the first of those behind the last one found */
            for (int32_t turn = 0; turn < k; turn++) {
                int32_t best = -1;
                for (int32_t n = 0; n < size; n++) {
                    const int is_left = last < 0 || before(x[last * inner], last, x[n * inner], n, params->smallest);
                    if (n != last && is_left
                        && (best < 0 || before(x[n * inner], n, x[best * inner], best, params->smallest))) {
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
