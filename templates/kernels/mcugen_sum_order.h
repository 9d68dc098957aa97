/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of dequantized values in ONNX Runtime's float32 order; the file that includes this defines MCUGEN_SUM_TYPE.
 * Not for users. */
#ifndef MCUGEN_SUM_ORDER_H
#define MCUGEN_SUM_ORDER_H

#include "mcugen_kernels.h"

/* The values to add up: `count` of them, `stride` apart. */
typedef struct {
    const MCUGEN_SUM_TYPE *input;
    int32_t count, stride, zero_point;
    float scale;
} mcugen_sum_values;

static float mcugen_sum_real(const mcugen_sum_values *v, int32_t i)
{
    return (float)(v->input[i * v->stride] - v->zero_point) * v->scale;
}

/* total + value `first` + ... + value `last - 1`, one after the other. */
static float mcugen_add_up(const mcugen_sum_values *v, float total, int32_t first, int32_t last)
{
    for (int32_t i = first; i < last; i++) {
        total += mcugen_sum_real(v, i);
    }
    return total;
}

/* `number` runs as long as this one lie before it, from a 16-byte boundary on. */
static float mcugen_sum_lanes(const mcugen_sum_values *v, uint32_t number)
{
    const int32_t before = (int32_t)(0u - number * (uint32_t)v->count) & 3;
    const int32_t lead = before < v->count ? before : v->count; /* values before the first vector of four */
    const int32_t vectors = v->count > lead ? (v->count - lead) / 4 : 0;
    float even[4], odd[4] = {0.0f};
    if (vectors == 0) {
        return mcugen_add_up(v, mcugen_sum_real(v, 0), 1, v->count);
    }
    for (int32_t lane = 0; lane < 4; lane++) {
        even[lane] = mcugen_sum_real(v, lead + lane);
    }
    for (int32_t k = 1; k < vectors; k++) {
        if (k == vectors - 1 && k % 2 == 0) { /* a last vector without a partner */
            break;
        }
        for (int32_t lane = 0; lane < 4; lane++) {
            const float value = mcugen_sum_real(v, lead + 4 * k + lane);
            if (k % 2 == 0) {
                even[lane] += value;
            } else {
                odd[lane] = k == 1 ? value : odd[lane] + value;
            }
        }
    }
    for (int32_t lane = 0; lane < 4; lane++) {
        even[lane] = vectors > 1 ? even[lane] + odd[lane] : even[lane];
        if (vectors > 1 && vectors % 2 != 0) {
            even[lane] += mcugen_sum_real(v, lead + 4 * (vectors - 1) + lane);
        }
    }
    const float total = (even[0] + even[2]) + (even[1] + even[3]);
    return mcugen_add_up(v, mcugen_add_up(v, total, 0, lead), lead + 4 * vectors, v->count);
}

static float mcugen_sum_blocks(const mcugen_sum_values *v)
{
    float total = 0.0f;
    int32_t i = 0;
    for (; i + 4 <= v->count; i += 4) {
        total += mcugen_add_up(v, mcugen_sum_real(v, i), i + 1, i + 4);
    }
    if (i + 2 <= v->count) {
        total += mcugen_sum_real(v, i) + mcugen_sum_real(v, i + 1);
        i += 2;
    }
    return mcugen_add_up(v, total, i, v->count);
}

/* Runs of `run` values, which lie `rows` runs apart where ONNX Runtime adds them up; this is row `row`. */
static float mcugen_sum_runs(const mcugen_sum_values *v, int32_t run, int32_t row, int32_t rows)
{
    float total = 0.0f;
    mcugen_sum_values part = *v;
    part.count = run;
    for (int32_t i = 0; i * run < v->count; i++) {
        part.input = v->input + i * run * v->stride;
        total += mcugen_sum_lanes(&part, (uint32_t)i * (uint32_t)rows + (uint32_t)row);
    }
    return total;
}

/* This is row `row` of `rows`, each of `count` values, added up in the order MCUGEN_SUM_*. */
static float mcugen_sum(const mcugen_sum_values *v, int32_t order, int32_t run, int32_t row, int32_t rows)
{
    if (order == MCUGEN_SUM_LANES) {
        return mcugen_sum_lanes(v, (uint32_t)row);
    }
    if (order == MCUGEN_SUM_RUNS) {
        return mcugen_sum_runs(v, run, row, rows);
    }
    return order == MCUGEN_SUM_BLOCKS ? mcugen_sum_blocks(v) : mcugen_add_up(v, 0.0f, 0, v->count);
}

#endif
