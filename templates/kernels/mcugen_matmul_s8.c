/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#elif defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#include <string.h>
#endif

MCUGEN_INLINED int8_t finished(const mcugen_matmul_params *p, uint32_t acc)
{
    const int32_t result = p->wide ? mcugen_requant_wide((int32_t)acc, p->multiplier, p->shift)
                                   : mcugen_requant((int32_t)acc, p->multiplier, p->shift);
    return mcugen_activate(result + p->output_offset, &p->activation);
}

/* Of row and column, from element `first` on. */
MCUGEN_INLINED uint32_t dot(const mcugen_matmul_params *p, const int8_t *row, const int8_t *column, int32_t first)
{
    uint32_t acc = 0; /* unsigned: wraps around, as int32 may not */
    column += first * p->columns;
    for (int32_t k = first; k < p->depth; k++, column += p->columns) {
        acc += (uint32_t)((row[k] + p->a_offset) * (*column + p->b_offset));
    }
    return acc;
}

#if defined(__ARM_FEATURE_MVE)
#define TILE_ROWS 4
#define TILE_COLUMNS 1
#define TILE_MOST_COLUMNS (0xFFFF / 7) /* eight rows are reached by offsets of 16 bits */

/* `rows` rows and one column: sum(a * (b + b_offset)) + a_offset * sum(b + b_offset). */
MCUGEN_INLINED void tile(const mcugen_matmul_params *p, const int8_t *const *rows, const int8_t *column, uint32_t *acc)
{
    const uint16x8_t below = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)p->columns);
    const int8_t *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
    int32_t of_a = 0, of_b = 0, of_c = 0, of_d = 0, of_column = 0;
    for (int32_t k = 0; k < p->depth; k += 8, column += 8 * p->columns, a += 8, b += 8, c += 8, d += 8) {
        const mve_pred16_t inside = vctp16q((uint32_t)(p->depth - k));
        const int16x8_t values = vaddq_n_s16(vldrbq_gather_offset_z_s16(column, below, inside), (int16_t)p->b_offset);
        of_column = vaddvaq_p_s16(of_column, values, inside);
        of_a = vmladavaq_s16(of_a, values, vldrbq_z_s16(a, inside));
        of_b = vmladavaq_s16(of_b, values, vldrbq_z_s16(b, inside));
        of_c = vmladavaq_s16(of_c, values, vldrbq_z_s16(c, inside));
        of_d = vmladavaq_s16(of_d, values, vldrbq_z_s16(d, inside));
    }
    const uint32_t moved = (uint32_t)of_column * (uint32_t)p->a_offset;
    acc[0] = (uint32_t)of_a + moved;
    acc[1] = (uint32_t)of_b + moved;
    acc[2] = (uint32_t)of_c + moved;
    acc[3] = (uint32_t)of_d + moved;
}
#elif defined(__ARM_FEATURE_DSP)
#define TILE_ROWS 2
#define TILE_COLUMNS 2
#define TILE_MOST_COLUMNS INT32_MAX

static uint32_t load_word(const int8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Two adjacent columns: of this row below, of the other one above. */
static uint32_t load_pairs(const int8_t *row, const int8_t *other)
{
    uint16_t low, high;
    memcpy(&low, row, sizeof low);
    memcpy(&high, other, sizeof high);
    return low | (uint32_t)high << 16;
}

static uint32_t turned(uint32_t word)
{
    return word >> 8 | word << 24;
}

/* Two rows and two columns. Of four elements, a word holds the first and the third, then the others. */
MCUGEN_INLINED void tile(const mcugen_matmul_params *p, const int8_t *const *rows, const int8_t *column, uint32_t *acc)
{
    const int16x2_t a_offsets = (int16x2_t)(((uint32_t)p->a_offset & 0xFFFFu) * 0x10001u);
    const int16x2_t b_offsets = (int16x2_t)(((uint32_t)p->b_offset & 0xFFFFu) * 0x10001u);
    const int8_t *const a = rows[0], *const b = rows[1];
    const int32_t step = p->columns, whole = p->depth & ~3;
    const int8_t *from = column;
    int32_t a_left = 0, a_right = 0, b_left = 0, b_right = 0;
    for (int32_t k = 0; k < whole; k += 4, from += 4 * step) {
        const uint32_t of_a = load_word(a + k), of_b = load_word(b + k);
        const uint32_t even = load_pairs(from, from + 2 * step), odd = load_pairs(from + step, from + 3 * step);
        const int16x2_t a_even = __sxtab16(a_offsets, (int8x4_t)of_a), b_even = __sxtab16(a_offsets, (int8x4_t)of_b);
        const int16x2_t left_even = __sxtab16(b_offsets, (int8x4_t)even);
        const int16x2_t right_even = __sxtab16(b_offsets, (int8x4_t)turned(even));
        a_left = __smlad(a_even, left_even, a_left);
        a_right = __smlad(a_even, right_even, a_right);
        b_left = __smlad(b_even, left_even, b_left);
        b_right = __smlad(b_even, right_even, b_right);
        const int16x2_t a_odd = __sxtab16(a_offsets, (int8x4_t)turned(of_a));
        const int16x2_t b_odd = __sxtab16(a_offsets, (int8x4_t)turned(of_b));
        const int16x2_t left_odd = __sxtab16(b_offsets, (int8x4_t)odd);
        const int16x2_t right_odd = __sxtab16(b_offsets, (int8x4_t)turned(odd));
        a_left = __smlad(a_odd, left_odd, a_left);
        a_right = __smlad(a_odd, right_odd, a_right);
        b_left = __smlad(b_odd, left_odd, b_left);
        b_right = __smlad(b_odd, right_odd, b_right);
    }
    acc[0] = (uint32_t)a_left;
    acc[1] = (uint32_t)a_right;
    acc[2] = (uint32_t)b_left;
    acc[3] = (uint32_t)b_right;
    for (int32_t k = whole; k < p->depth; k++, from += step) {
        const int32_t left = from[0] + p->b_offset, right = from[1] + p->b_offset;
        acc[0] += (uint32_t)((a[k] + p->a_offset) * left);
        acc[1] += (uint32_t)((a[k] + p->a_offset) * right);
        acc[2] += (uint32_t)((b[k] + p->a_offset) * left);
        acc[3] += (uint32_t)((b[k] + p->a_offset) * right);
    }
}
#endif

#if defined(TILE_ROWS)
MCUGEN_INLINED void store_tile(const mcugen_matmul_params *p, const uint32_t *acc, int32_t rows, int8_t *output)
{
#if defined(MCUGEN_REQUANT_MVE)
    if (!p->wide) {
        const uint32x4_t below = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)p->columns);
        const int32x4_t sums = vreinterpretq_s32_u32(vldrwq_u32(acc));
        const int32x4_t values = vaddq_n_s32(mcugen_requant_mve(sums, vdupq_n_s32(p->multiplier)), p->output_offset);
        const int32x4_t high = vdupq_n_s32(p->activation.max), low = vdupq_n_s32(p->activation.min);
        vstrbq_scatter_offset_p_s32(output, below, vminq_s32(vmaxq_s32(values, low), high), vctp32q((uint32_t)rows));
        return;
    }
#endif
    for (int32_t r = 0; r < rows; r++) {
        for (int32_t c = 0; c < TILE_COLUMNS; c++) {
            output[r * p->columns + c] = finished(p, acc[r * TILE_COLUMNS + c]);
        }
    }
}

/* One product; a row beyond the last is the last one, and its results are not stored. */
MCUGEN_INLINED void product(const mcugen_matmul_params *p, const int8_t *a, const int8_t *b, int8_t *output)
{
    const int32_t columns = p->columns, whole = columns > TILE_MOST_COLUMNS ? 0 : columns / TILE_COLUMNS * TILE_COLUMNS;
    for (int32_t i = 0; i < p->rows; i += TILE_ROWS) {
        const int32_t count = p->rows - i < TILE_ROWS ? p->rows - i : TILE_ROWS;
        const int8_t *rows[TILE_ROWS];
        for (int32_t r = 0; r < TILE_ROWS; r++) {
            rows[r] = a + (i + (r < count ? r : count - 1)) * p->depth;
        }
        for (int32_t j = 0; j < whole; j += TILE_COLUMNS) {
            uint32_t acc[TILE_ROWS * TILE_COLUMNS];
            tile(p, rows, b + j, acc);
            store_tile(p, acc, count, output + i * columns + j);
        }
        for (int32_t j = whole; j < columns; j++) {
            for (int32_t r = 0; r < count; r++) {
                output[(i + r) * columns + j] = finished(p, dot(p, rows[r], b + j, 0));
            }
        }
    }
}
#else
MCUGEN_INLINED void product(const mcugen_matmul_params *p, const int8_t *a, const int8_t *b, int8_t *output)
{
    for (int32_t i = 0; i < p->rows; i++, a += p->depth) {
        for (int32_t j = 0; j < p->columns; j++) {
            *output++ = finished(p, dot(p, a, b + j, 0));
        }
    }
}
#endif

void mcugen_matmul_s8(const mcugen_matmul_params *params, const int8_t *a, const int8_t *b, int8_t *output)
{
    const mcugen_matmul_params p = *params; /* a copy: output cannot alias it */
    for (int32_t batch = 0; batch < p.batches; batch++, output += p.rows * p.columns) {
        product(&p, a + p.a_start[batch], b + p.b_start[batch], output);
    }
}
