/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

/* The values to add up: `count` of them, `stride` bytes apart. */
typedef struct {
    const int8_t *input;
    int32_t count, stride, zero_point;
    float scale;
} values;

static float real(const values *v, int32_t i)
{
    return (float)(v->input[i * v->stride] - v->zero_point) * v->scale;
}

/* total + value `first` + ... + value `last - 1`, one after the other. */
static float add_up(const values *v, float total, int32_t first, int32_t last)
{
    for (int32_t i = first; i < last; i++) {
        total += real(v, i);
    }
    return total;
}

/* `number` runs as long as this one lie before it, from a 16-byte boundary on. */
static float sum_lanes(const values *v, uint32_t number)
{
    const int32_t before = (int32_t)(0u - number * (uint32_t)v->count) & 3;
    const int32_t lead = before < v->count ? before : v->count; /* values before the first vector of four */
    const int32_t vectors = v->count > lead ? (v->count - lead) / 4 : 0;
    float even[4], odd[4] = {0.0f};
    if (vectors == 0) {
        return add_up(v, real(v, 0), 1, v->count);
    }
    for (int32_t lane = 0; lane < 4; lane++) {
        even[lane] = real(v, lead + lane);
    }
    for (int32_t k = 1; k < vectors; k++) {
        if (k == vectors - 1 && k % 2 == 0) { /* a last vector without a partner */
            break;
        }
        for (int32_t lane = 0; lane < 4; lane++) {
            const float value = real(v, lead + 4 * k + lane);
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
            even[lane] += real(v, lead + 4 * (vectors - 1) + lane);
        }
    }
    const float total = (even[0] + even[2]) + (even[1] + even[3]);
    return add_up(v, add_up(v, total, 0, lead), lead + 4 * vectors, v->count);
}

static float sum_blocks(const values *v)
{
    float total = 0.0f;
    int32_t i = 0;
    for (; i + 4 <= v->count; i += 4) {
        total += add_up(v, real(v, i), i + 1, i + 4);
    }
    if (i + 2 <= v->count) {
        total += real(v, i) + real(v, i + 1);
        i += 2;
    }
    return add_up(v, total, i, v->count);
}

/* Runs of `run` values, which lie `rows` runs apart where ONNX Runtime adds them up; this is row `row`. */
static float sum_runs(const values *v, int32_t run, int32_t row, int32_t rows)
{
    float total = 0.0f;
    values part = *v;
    part.count = run;
    for (int32_t i = 0; i * run < v->count; i++) {
        part.input = v->input + i * run * v->stride;
        total += sum_lanes(&part, (uint32_t)i * (uint32_t)rows + (uint32_t)row);
    }
    return total;
}

/* This is row `row` of `rows`, each of `count` values. */
static int32_t reduce_float(const mcugen_reduce_sum_params *p, const values *v, int32_t row, int32_t rows)
{
    float total;
    if (p->order == MCUGEN_SUM_LANES) {
        total = sum_lanes(v, (uint32_t)row);
    } else if (p->order == MCUGEN_SUM_RUNS) {
        total = sum_runs(v, p->run, row, rows);
    } else {
        total = p->order == MCUGEN_SUM_BLOCKS ? sum_blocks(v) : add_up(v, 0.0f, 0, v->count);
    }
    return mcugen_quantize(total / p->divisor, p->output_scale, p->output_zero_point);
}

void mcugen_reduce_sum_s8(const mcugen_reduce_sum_params *params, const int8_t *input, int8_t *output, int32_t outer,
                          int32_t reduced, int32_t inner)
{
    const mcugen_reduce_sum_params p = *params; /* a copy: output cannot alias it */
    const int32_t offset = p.output_zero_point * 65536 + 0x8000;
    values v = {NULL, reduced, inner, p.input_zero_point, p.input_scale};
    for (int32_t i = 0; i < outer; i++, input += reduced * inner) {
        for (int32_t j = 0; j < inner; j++) {
            int32_t sum = -p.input_zero_point * reduced;
            v.input = input + j;
            for (int32_t r = 0; r < reduced; r++) {
                sum += v.input[r * inner];
            }
            const int32_t value = (int32_t)(((int64_t)sum * p.multiplier) >> p.shift) + offset;
            const int32_t result =
                mcugen_near_tie(value, 16, p.tie) ? reduce_float(&p, &v, i * inner + j, outer * inner) : value >> 16;
            *output++ = mcugen_activate(result, &p.activation);
        }
    }
}
