/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution for cores with SMLAD, and fully connected where mcugen_fully_connected_dsp.h does not apply.
 *
 * The window of a pixel becomes a column of int16 in groups of 4; a group is what SXTB16 makes of a word: bytes 0, 2,
 * 1, 3. First the whole words of each filter row, then the bytes left over from all rows, in their own order; the rest
 * of the last group meets zero weights. Two pixels are held at a time, group by group in turns, and meet the weights
 * of two channels. weights [output_c / 2, groups, 2, 4]: int16 in the order of the column, or int8 in the order that
 * SXTB16 turns into it. An odd last channel has a partner in all tables, whose outputs are not stored.
 * Order: two pixels at a time; their windows are copied before their outputs are written.
 *
 * Scratch: two columns (one for a single pixel), then a window copy if the layer has borders or dilation; in its place,
 * later, the pixels' values if the layer adds them to what stands at output. */
#ifndef MCUGEN_CONV_DSP_H
#define MCUGEN_CONV_DSP_H

#include "mcugen_dsp.h"

/* Sums of pixels 0, 1 and channels a, b. */
typedef struct {
    int32_t a0, a1, b0, b1;
} mcugen_sums;

#if defined(MCUGEN_ASM_DSP)
/* All registers but r7 and sp are spoken for: x r0, w r1, a0 r10, a1 r11, b0 r12, b1 lr; column words in r2-r5, weights
 * in r6, r8, r9. Named, because the compiler's allocator does not always find the only solution. */
#define MCUGEN_SMLAD2(weights, p, q, a, b)                                                                             \
    "smlad " a ", " p ", " weights ", " a "\n\tsmlad " b ", " q ", " weights ", " b "\n\t"
#endif

/* All groups of two columns against two channels, upon the bias. */
MCUGEN_ALWAYS_INLINE mcugen_sums
mcugen_dot_2x2(const int16_t *column, const void *weights, int32_t groups, int32_t weight_bytes, int32_t unroll,
               const int32_t *bias)
{
    mcugen_sums s;
#if defined(MCUGEN_ASM_DSP)
    register const int16_t *x __asm__("r0") = column;
    register const void *w __asm__("r1") = weights;
    register int32_t a0 __asm__("r10") = bias[0];
    register int32_t a1 __asm__("r11") = bias[0];
    register int32_t b0 __asm__("r12") = bias[1];
    register int32_t b1 __asm__("lr") = bias[1];
    if (weight_bytes == 1) {
        __asm__(MCUGEN_LOOP_BEGIN
                "ldmia r0!, {r2, r3, r4, r5}\n\t"
                "ldmia r1!, {r6, r9}\n\t" MCUGEN_WIDEN("r6")
                MCUGEN_SMLAD2("r6", "r2", "r4", "r10", "r11") MCUGEN_SMLAD2("r8", "r3", "r5", "r10", "r11")
                MCUGEN_WIDEN("r9")
                MCUGEN_SMLAD2("r6", "r2", "r4", "r12", "lr") MCUGEN_SMLAD2("r8", "r3", "r5", "r12", "lr")
                MCUGEN_LOOP_END
                : "+r"(x), "+r"(w), "+r"(a0), "+r"(a1), "+r"(b0), "+r"(b1)
                : [group] "i"(16), [unroll] "i"(unroll), [turns] "i"(groups / unroll)
                : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "cc", "memory");
    } else {
        __asm__(MCUGEN_LOOP_BEGIN
                "ldmia r0!, {r2, r3, r4, r5}\n\t"
                "ldmia r1!, {r6, r8}\n\t"
                MCUGEN_SMLAD2("r6", "r2", "r4", "r10", "r11") MCUGEN_SMLAD2("r8", "r3", "r5", "r10", "r11")
                "ldmia r1!, {r6, r8}\n\t"
                MCUGEN_SMLAD2("r6", "r2", "r4", "r12", "lr") MCUGEN_SMLAD2("r8", "r3", "r5", "r12", "lr")
                MCUGEN_LOOP_END
                : "+r"(x), "+r"(w), "+r"(a0), "+r"(a1), "+r"(b0), "+r"(b1)
                : [group] "i"(16), [unroll] "i"(unroll), [turns] "i"(groups / unroll)
                : "r2", "r3", "r4", "r5", "r6", "r8", "cc", "memory");
    }
    s.a0 = a0;
    s.a1 = a1;
    s.b0 = b0;
    s.b1 = b1;
#else
    (void)unroll;
    s.a0 = s.a1 = bias[0];
    s.b0 = s.b1 = bias[1];
    for (int32_t i = 0; i < 8 * groups; i++, column += (i & 7) == 0 ? 8 : 0) {
        const int32_t lane = i & 3;
        const int32_t place = weight_bytes == 1 ? (i & ~3) | (lane >> 1) | ((lane & 1) << 1) : i; /* 0, 2, 1, 3 */
        const int32_t weight = weight_bytes == 1 ? ((const int8_t *)weights)[place] : ((const int16_t *)weights)[place];
        if ((i & 4) == 0) {
            s.a0 += column[lane] * weight;
            s.a1 += column[4 + lane] * weight;
        } else {
            s.b0 += column[lane] * weight;
            s.b1 += column[4 + lane] * weight;
        }
    }
#endif
    return s;
}

/* The same for one column. */
MCUGEN_ALWAYS_INLINE mcugen_sums
mcugen_dot_1x2(const int16_t *column, const void *weights, int32_t groups, int32_t weight_bytes, int32_t unroll,
               const int32_t *bias)
{
    mcugen_sums s = {.a0 = 0};
#if defined(MCUGEN_ASM_DSP)
    register const int16_t *x __asm__("r0") = column;
    register const void *w __asm__("r1") = weights;
    register int32_t a0 __asm__("r10") = bias[0];
    register int32_t b0 __asm__("r12") = bias[1];
    if (weight_bytes == 1) {
        __asm__(MCUGEN_LOOP_BEGIN
                "ldmia r0!, {r2, r3}\n\t"
                "ldmia r1!, {r6, r9}\n\t" MCUGEN_WIDEN("r6")
                "smlad r10, r2, r6, r10\n\tsmlad r10, r3, r8, r10\n\t" MCUGEN_WIDEN("r9")
                "smlad r12, r2, r6, r12\n\tsmlad r12, r3, r8, r12\n\t" MCUGEN_LOOP_END
                : "+r"(x), "+r"(w), "+r"(a0), "+r"(b0)
                : [group] "i"(8), [unroll] "i"(unroll), [turns] "i"(groups / unroll)
                : "r2", "r3", "r6", "r8", "r9", "cc", "memory");
    } else {
        __asm__(MCUGEN_LOOP_BEGIN
                "ldmia r0!, {r2, r3}\n\t"
                "ldmia r1!, {r4, r5, r6, r8}\n\t"
                "smlad r10, r2, r4, r10\n\tsmlad r10, r3, r5, r10\n\t"
                "smlad r12, r2, r6, r12\n\tsmlad r12, r3, r8, r12\n\t" MCUGEN_LOOP_END
                : "+r"(x), "+r"(w), "+r"(a0), "+r"(b0)
                : [group] "i"(8), [unroll] "i"(unroll), [turns] "i"(groups / unroll)
                : "r2", "r3", "r4", "r5", "r6", "r8", "cc", "memory");
    }
    s.a0 = a0;
    s.b0 = b0;
#else
    (void)unroll;
    s.a0 = bias[0];
    s.b0 = bias[1];
    for (int32_t i = 0; i < 8 * groups; i++, column += (i & 7) == 0 ? 4 : 0) {
        const int32_t lane = i & 3;
        const int32_t place = weight_bytes == 1 ? (i & ~3) | (lane >> 1) | ((lane & 1) << 1) : i; /* 0, 2, 1, 3 */
        const int32_t weight = weight_bytes == 1 ? ((const int8_t *)weights)[place] : ((const int16_t *)weights)[place];
        *((i & 4) == 0 ? &s.a0 : &s.b0) += column[lane] * weight;
    }
#endif
    return s;
}

/* A word of bytes as a group of the column. */
MCUGEN_ALWAYS_INLINE void mcugen_widen_group(int16_t *group, const int8_t *bytes)
{
#if defined(MCUGEN_ASM_DSP)
    uint32_t *const pairs = (uint32_t *)(void *)group;
    const uint32_t word = mcugen_load_word(bytes);
    uint32_t even, odd;
    __asm__("sxtb16 %0, %1" : "=r"(even) : "r"(word));
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(word));
    pairs[0] = even;
    pairs[1] = odd;
#else
    group[0] = bytes[0];
    group[1] = bytes[2];
    group[2] = bytes[1];
    group[3] = bytes[3];
#endif
}

/* Every step-th group of a column from a window's rows. */
MCUGEN_ALWAYS_INLINE void mcugen_fill_column(const mcugen_layer *p, const int8_t *window, int32_t row_stride,
                                             int16_t *column, int32_t step)
{
    const int32_t row_bytes = p->filter_w * p->input_c, rest = row_bytes % 4;
    const int8_t *row = window;
    for (int32_t i = 0; i < p->filter_h; i++, row += row_stride) {
        const int8_t *bytes = row;
        for (int32_t left = row_bytes / 4; left > 0; left--, bytes += 4, column += 4 * step) {
            mcugen_widen_group(column, bytes);
        }
    }
    row = window + row_bytes - rest;
    int32_t lane = 0;
    for (int32_t i = 0; rest != 0 && i < p->filter_h; i++, row += row_stride) {
        for (int32_t j = 0; j < rest; j++, lane++) {
            column[(lane >> 2) * 4 * step + (lane & 3)] = row[j];
        }
    }
    for (; (lane & 3) != 0; lane++) {
        column[(lane >> 2) * 4 * step + (lane & 3)] = 0;
    }
}

MCUGEN_ALWAYS_INLINE void mcugen_conv_dsp(const cmsis_nn_context *scratch,
                                          const mcugen_layer *p,
                                          const mcugen_rows *r,
                                          const int8_t *input,
                                          const void *weights,
                                          const int32_t *bias,
                                          const int32_t *multiplier,
                                          int8_t *output)
{
    const int32_t pixels = p->batch * r->output_h * p->output_w;
    const int32_t held_at_once = p->batch * p->output_w > 1 || r->output_h > 1 ? 2 : 1;
    const int even = p->batch * p->output_w % 2 == 0 || pixels % 2 == 0; /* also where only the width is known */
    const int32_t groups = (p->filter_h * p->filter_w * p->input_c + 3) / 4;
    const int32_t row_bytes = p->filter_w * p->input_c, input_row = p->input_w * p->input_c;
    const int32_t pair_bytes = 8 * groups * p->weight_bytes;
    int16_t *const columns = scratch->buf;
    int8_t *const copy = (int8_t *)(columns + 4 * groups * held_at_once);
    int32_t held = 0, left = pixels;

    for (int32_t n = 0; n < p->batch; n++, input += r->input_h * input_row) {
        for (int32_t y = 0; y < r->output_h; y++) {
            for (int32_t x = 0; x < p->output_w; x++) {
                const mcugen_window window = mcugen_window_at(p, r, y, x);
                int16_t *const column = columns + 4 * held;
                if (window.inside && p->dilation_w == 1) {
                    mcugen_fill_column(p, input + window.y * input_row + window.x * p->input_c,
                                       input_row * p->dilation_h, column, held_at_once);
                } else {
                    mcugen_window_copy(p, r->input_h, input, window, copy);
                    mcugen_fill_column(p, copy, row_bytes, column, held_at_once);
                }
                held++;
                left--;
                if (held < held_at_once && left > 0) {
                    continue;
                }
                const int8_t *pair = weights;
                int8_t *const values = p->adds ? copy : output;
                for (int32_t c = 0; c < p->output_c; c += 2, pair += pair_bytes) {
                    const int32_t channels = p->output_c % 2 != 0 && c + 1 == p->output_c ? 1 : 2;
                    mcugen_sums s;
                    if (held_at_once == 1) {
                        s = mcugen_dot_1x2(columns, pair, groups, p->weight_bytes, p->unroll, bias + c);
                    } else {
                        s = mcugen_dot_2x2(columns, pair, groups, p->weight_bytes, p->unroll, bias + c);
                        if (even || held == 2) {
                            mcugen_store_pair(p, s.a1, s.b1, multiplier, c, channels, values + p->output_c + c);
                        }
                    }
                    mcugen_store_pair(p, s.a0, s.b0, multiplier, c, channels, values + c);
                }
                if (p->adds) {
                    mcugen_layer_add(p, values, output, held * p->output_c);
                }
                output += held * p->output_c;
                held = 0;
            }
        }
    }
}

#endif
