/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution with weights of 4 bits: windows gathered into columns, two windows at a time. Not for users.
 *
 * The file that includes this defines MCUGEN_S4_VALUE, the type of an input, MCUGEN_S4_SUM, MCUGEN_S4_PARAMS and
 * mcugen_finish_s4; and MCUGEN_S4_BYTES, if inputs are int8: Helium takes columns of these, else they are int16.
 *
 * Eight is added to weights; eight times the sum of a column is taken off again. Rows of weights are whole words. */
#ifndef MCUGEN_COLUMN_S4_H
#define MCUGEN_COLUMN_S4_H

#include <string.h>

#include "mcugen_arithmetic.h"
#include "mcugen_bytes.h"
#include "mcugen_window.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#elif defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#endif

/* How many values of a column change places among themselves, so that they meet the weights as those come apart: even
 * and odd ones in vectors; values 0 and 4, 1 and 5, 2 and 6, 3 and 7 in words. */
#if defined(__ARM_FEATURE_MVE) && defined(__GNUC__) && defined(MCUGEN_S4_BYTES)
#define MCUGEN_S4_HELIUM 1
#define MCUGEN_S4_GROUP 32
#elif defined(__ARM_FEATURE_MVE)
#define MCUGEN_S4_GROUP 16
#elif defined(__ARM_FEATURE_DSP)
#define MCUGEN_S4_GROUP 8
#else
#define MCUGEN_S4_GROUP 2
#endif

#if defined(MCUGEN_S4_HELIUM)
typedef int8_t mcugen_tap_s4;

/* Sixteen bytes of weights, q6 and q7 apart, with one window (q0 and q1) or two (q2 and q3 as well). */
#define MCUGEN_S4_APART(weights)                                                                                       \
    "vldrb.u8 q6, [%[" weights "]], #16\n\t"                                                                           \
    "vshr.u8 q7, q6, #4\n\t"                                                                                           \
    "vand q6, q6, q5\n\t"
#define MCUGEN_S4_MEET(sum, even, odd)                                                                                 \
    "vmladava.s8 %[" sum "], " even ", q6\n\t"                                                                         \
    "vmladava.s8 %[" sum "], " odd ", q7\n\t"

/* Puts the values of a column, filled up with zeros, into their places; their sum. */
MCUGEN_OUT_OF_LINE static int32_t mcugen_place_s4(int8_t *column, int32_t count)
{
    const int32_t whole = (count + MCUGEN_S4_GROUP - 1) / MCUGEN_S4_GROUP * MCUGEN_S4_GROUP;
    int32_t sum = 0;
    mcugen_memset(column + count, 0, whole - count);
    for (const int8_t *const end = column + whole; column < end; column += 32) {
        const int8x16x2_t pair = vld2q_s8(column);
        sum = vaddvaq_s8(vaddvaq_s8(sum, pair.val[0]), pair.val[1]);
        vstrbq_s8(column, pair.val[0]);
        vstrbq_s8(column + 16, pair.val[1]);
    }
    return sum;
}

static inline void mcugen_take_s4(int8_t *to, const int8_t *from, int32_t count)
{
    mcugen_memcpy(to, from, count);
}

static inline void mcugen_pad_s4(int8_t *to, int32_t zero, int32_t count)
{
    mcugen_memset(to, zero, count);
}

/* The filters `c` to `last` of `windows` windows, which lie one behind the other in columns and in the output: two
 * filters at a time. Below 2^20 taps int32 holds the sums. */
static inline void mcugen_windows_s4(const MCUGEN_S4_PARAMS *p, const int8_t *column, int32_t column_size,
                                     const int32_t *column_sums, const uint8_t *filter, int32_t size, int32_t c,
                                     int32_t last, int32_t channels, int32_t windows, int8_t *output)
{
    const int32_t step = (size + 7) / 8 * 4;
    for (; c < last; c += 2, filter += 2 * step) {
        const int both = c + 1 < last;
        const uint8_t *first = filter, *second = both ? filter + step : filter;
        const int8_t *a = column, *b = column + column_size;
        int32_t sum_a = -8 * column_sums[0], next_a = sum_a;
        int32_t sum_b = windows == 2 ? -8 * column_sums[1] : 0, next_b = sum_b;
        if (windows == 2) {
            __asm__("vmov.i8 q5, #15\n\t"
                    "wlstp.8 lr, %[bytes], 2f\n"
                    "1:\n\t"
                    "vldrb.u8 q0, [%[a]], #16\n\t"
                    "vldrb.u8 q1, [%[a]], #16\n\t"
                    "vldrb.u8 q2, [%[b]], #16\n\t"
                    "vldrb.u8 q3, [%[b]], #16\n\t" MCUGEN_S4_APART("first") MCUGEN_S4_MEET("sum_a", "q0", "q1")
                        MCUGEN_S4_MEET("sum_b", "q2", "q3") MCUGEN_S4_APART("second")
                            MCUGEN_S4_MEET("next_a", "q0", "q1") MCUGEN_S4_MEET("next_b", "q2", "q3") "letp lr, 1b\n"
                    "2:"
                    : [a] "+r"(a), [b] "+r"(b), [first] "+r"(first), [second] "+r"(second), [sum_a] "+Te"(sum_a),
                      [sum_b] "+Te"(sum_b), [next_a] "+Te"(next_a), [next_b] "+Te"(next_b)
                    : [bytes] "r"((size + 1) / 2)
                    : "lr", "q0", "q1", "q2", "q3", "q5", "q6", "q7", "memory");
            output[channels + c] = mcugen_finish_s4(p, sum_b, c);
            if (both) {
                output[channels + c + 1] = mcugen_finish_s4(p, next_b, c + 1);
            }
        } else {
            __asm__("vmov.i8 q5, #15\n\t"
                    "wlstp.8 lr, %[bytes], 2f\n"
                    "1:\n\t"
                    "vldrb.u8 q0, [%[a]], #16\n\t"
                    "vldrb.u8 q1, [%[a]], #16\n\t" MCUGEN_S4_APART("first") MCUGEN_S4_MEET("sum_a", "q0", "q1")
                        MCUGEN_S4_APART("second") MCUGEN_S4_MEET("next_a", "q0", "q1") "letp lr, 1b\n"
                    "2:"
                    : [a] "+r"(a), [first] "+r"(first), [second] "+r"(second), [sum_a] "+Te"(sum_a),
                      [next_a] "+Te"(next_a)
                    : [bytes] "r"((size + 1) / 2)
                    : "lr", "q0", "q1", "q5", "q6", "q7", "memory");
        }
        output[c] = mcugen_finish_s4(p, sum_a, c);
        if (both) {
            output[c + 1] = mcugen_finish_s4(p, next_a, c + 1);
        }
    }
}
#else
typedef int16_t mcugen_tap_s4;

/* So many products, each below 2^19, that int32 holds their sum. */
#define MCUGEN_S4_RUN 4080

/* Products of two windows a and b with a filter w. */
typedef struct {
    int32_t a, b;
} mcugen_pair_s4;

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
/* Two products each, of the lowest bits of the halves of a word of weights. */
MCUGEN_INLINED mcugen_pair_s4 mcugen_two_s4(mcugen_pair_s4 sums, const int16_t *a, const int16_t *b, uint32_t word,
                                            int32_t windows)
{
    const int16x2_t weights = (int16x2_t)(word & 0x000F000Fu);
    int16x2_t values;
    memcpy(&values, a, 4);
    sums.a = __smlad(values, weights, sums.a);
    if (windows == 2) {
        memcpy(&values, b, 4);
        sums.b = __smlad(values, weights, sums.b);
    }
    return sums;
}
#endif

/* `count` products each; of one window, with a alone. */
MCUGEN_INLINED mcugen_pair_s4 mcugen_dot_s4(const int16_t *a, const int16_t *b, const uint8_t *w, int32_t count,
                                            int32_t windows)
{
    mcugen_pair_s4 sums = {0, 0};
#if defined(__ARM_FEATURE_MVE)
    for (; count > 0; count -= 16, a += 16, b += 16, w += 8) {
        const uint16x8_t bytes = vldrbq_z_u16(w, vctp16q((uint32_t)(count + 1) / 2));
        const int16x8_t even = vreinterpretq_s16_u16(vandq_u16(bytes, vdupq_n_u16(15)));
        const int16x8_t odd = vreinterpretq_s16_u16(vshrq_n_u16(bytes, 4));
        sums.a = vmladavaq_s16(vmladavaq_s16(sums.a, vldrhq_s16(a), even), vldrhq_s16(a + 8), odd);
        if (windows == 2) {
            sums.b = vmladavaq_s16(vmladavaq_s16(sums.b, vldrhq_s16(b), even), vldrhq_s16(b + 8), odd);
        }
    }
#elif defined(__ARM_FEATURE_DSP)
    for (; count > 0; count -= 8, a += 8, b += 8, w += 4) {
        uint32_t word;
        memcpy(&word, w, 4);
        sums = mcugen_two_s4(sums, a, b, word, windows);
        sums = mcugen_two_s4(sums, a + 2, b + 2, word >> 4, windows);
        sums = mcugen_two_s4(sums, a + 4, b + 4, word >> 8, windows);
        sums = mcugen_two_s4(sums, a + 6, b + 6, word >> 12, windows);
    }
#else
    for (; count > 0; count -= 2, a += 2, b += 2) {
        const int32_t both = *w++, even = both & 15, odd = both >> 4;
        sums.a += a[0] * even + a[1] * odd;
        if (windows == 2) {
            sums.b += b[0] * even + b[1] * odd;
        }
    }
#endif
    return sums;
}

/* GCC 12 has registers enough for the loops only in functions of their own. */
MCUGEN_OUT_OF_LINE static mcugen_pair_s4 mcugen_dot_two_s4(const int16_t *a, const int16_t *b, const uint8_t *w,
                                                           int32_t count)
{
    return mcugen_dot_s4(a, b, w, count, 2);
}

MCUGEN_OUT_OF_LINE static int32_t mcugen_dot_one_s4(const int16_t *a, const uint8_t *w, int32_t count)
{
    return mcugen_dot_s4(a, a, w, count, 1).a;
}

/* Puts the values of a column, filled up with zeros, into their places; their sum. */
MCUGEN_OUT_OF_LINE static MCUGEN_S4_SUM mcugen_place_s4(int16_t *column, int32_t count)
{
    MCUGEN_S4_SUM sum = 0;
    for (int32_t i = 0; i < count; i++) {
        sum += column[i];
    }
    for (int32_t i = count; i % MCUGEN_S4_GROUP != 0; i++) {
        column[i] = 0;
    }
#if defined(__ARM_FEATURE_MVE)
    for (; count > 0; count -= 16, column += 16) {
        const int16x8x2_t pair = vld2q_s16(column);
        vstrhq_s16(column, pair.val[0]);
        vstrhq_s16(column + 8, pair.val[1]);
    }
#elif defined(__ARM_FEATURE_DSP)
    for (; count > 0; count -= 8, column += 8) {
        const int16_t second = column[1], third = column[2], fourth = column[3];
        column[1] = column[4];
        column[2] = second;
        column[3] = column[5];
        column[4] = third;
        column[5] = column[6];
        column[6] = fourth;
    }
#endif
    return sum;
}

static inline void mcugen_take_s4(int16_t *to, const MCUGEN_S4_VALUE *from, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        to[i] = from[i];
    }
}

static inline void mcugen_pad_s4(int16_t *to, int32_t zero, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        to[i] = (int16_t)zero;
    }
}

/* The filters `c` to `last` of `windows` windows, which lie one behind the other in columns and in the output. */
static inline void mcugen_windows_s4(const MCUGEN_S4_PARAMS *p, const int16_t *column, int32_t column_size,
                                      const MCUGEN_S4_SUM *column_sums, const uint8_t *filter, int32_t size, int32_t c,
                                      int32_t last, int32_t channels, int32_t windows, MCUGEN_S4_VALUE *output)
{
    for (; c < last; c++, filter += (size + 7) / 8 * 4) {
        MCUGEN_S4_SUM a = -8 * column_sums[0], b = windows == 2 ? -8 * column_sums[1] : 0;
        for (int32_t from = 0; from < size; from += MCUGEN_S4_RUN) {
            const int32_t run = size - from < MCUGEN_S4_RUN ? size - from : MCUGEN_S4_RUN;
            const int16_t *const x = column + from;
            if (windows == 2) {
                const mcugen_pair_s4 part = mcugen_dot_two_s4(x, x + column_size, filter + from / 2, run);
                a += part.a;
                b += part.b;
            } else {
                a += mcugen_dot_one_s4(x, filter + from / 2, run);
            }
        }
        output[c] = mcugen_finish_s4(p, a, c);
        if (windows == 2) {
            output[channels + c] = mcugen_finish_s4(p, b, c);
        }
    }
}
#endif

static inline MCUGEN_S4_SUM mcugen_gather_s4(const MCUGEN_S4_PARAMS *p, int32_t zero, const cmsis_nn_dims *input_dims,
                                             const MCUGEN_S4_VALUE *image, const cmsis_nn_dims *filter_dims, int32_t oy,
                                             int32_t ox, mcugen_tap_s4 *column)
{
    const int32_t depth = filter_dims->c, channels = input_dims->c;
    mcugen_tap_s4 *to = column;
    for (int32_t ky = 0; ky < filter_dims->h; ky++) {
        const int32_t y = oy * p->stride.h - p->padding.h + ky * p->dilation.h;
        for (int32_t kx = 0; kx < filter_dims->w; kx++) {
            const int32_t x = ox * p->stride.w - p->padding.w + kx * p->dilation.w;
            const int inside = y >= 0 && y < input_dims->h && x >= 0 && x < input_dims->w;
            if (inside) {
                mcugen_take_s4(to, image + (y * input_dims->w + x) * channels, depth);
            } else {
                mcugen_pad_s4(to, zero, depth);
            }
            to += depth;
        }
    }
    return mcugen_place_s4(column, filter_dims->h * filter_dims->w * depth);
}

static inline void mcugen_convolve_columns_s4(const cmsis_nn_context *context, const MCUGEN_S4_PARAMS *p, int32_t zero,
                                              const cmsis_nn_dims *input_dims, const MCUGEN_S4_VALUE *input,
                                              const cmsis_nn_dims *filter_dims, const int8_t *filter,
                                              const cmsis_nn_dims *output_dims, MCUGEN_S4_VALUE *output)
{
    const int32_t channels = output_dims->c, group_outputs = channels / p->groups;
    const int32_t size = filter_dims->h * filter_dims->w * filter_dims->c, pixels = output_dims->h * output_dims->w;
    const int32_t column_size = (size + MCUGEN_S4_GROUP - 1) / MCUGEN_S4_GROUP * MCUGEN_S4_GROUP;
    mcugen_tap_s4 *const columns = context->buf;
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * input_dims->w * input_dims->c) {
        const uint8_t *weights = (const uint8_t *)filter;
        for (int32_t g = 0; g < p->groups; g++, weights += group_outputs * ((size + 7) / 8 * 4)) {
            const MCUGEN_S4_VALUE *const image = input + g * filter_dims->c;
            const int32_t first = g * group_outputs, last = first + group_outputs;
            MCUGEN_S4_VALUE *at = output;
            MCUGEN_S4_SUM sums[2];
            for (int32_t i = 0, oy = 0, ox = 0; i < pixels; i++) {
                sums[i % 2] = mcugen_gather_s4(p, zero, input_dims, image, filter_dims, oy, ox,
                                               columns + i % 2 * column_size);
                if (++ox == output_dims->w) {
                    ox = 0;
                    oy++;
                }
                if (i % 2 != 0) {
                    mcugen_windows_s4(p, columns, column_size, sums, weights, size, first, last, channels, 2, at);
                    at += 2 * channels;
                } else if (i == pixels - 1) {
                    mcugen_windows_s4(p, columns, 0, sums, weights, size, first, last, channels, 1, at);
                }
            }
        }
        output += pixels * channels;
    }
}

#endif
