/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution for cores with SMLAD, and fully connected where mcugen_fully_connected_dsp.h does not apply.
 *
 * The window of a pixel becomes a column of int16 in groups of 4; a group is what SXTB16 makes of a word: bytes 0, 2,
 * 1, 3. First the whole words of each filter row, then the bytes left over from all rows, in their own order; the rest
 * of the last group meets zero weights. Two pixels are held at a time, group by group in turns, and meet the weights
 * of two channels. weights, with a partner of an odd last channel, whose outputs are not stored:
 * - int16 [output_c / 2, groups, 2, 4] in the order of the column,
 * - int8 of the same shape in the order that SXTB16 turns into it,
 * - paired: int16 [output_c / 2, groups, 4] in the order of the column: the first channel's + 256 * the second one's.
 *   SXTB16 finds the first channel's among them. Their sum, taken from the sum of all, leaves 256 times the other.
 * Order: two pixels at a time; their windows are copied before their outputs are written.
 *
 * Groups of channels: the windows of both pixels are copied group by group, and each group is a convolution of windows
 * of one row, whose last channel has a partner if their number is odd.
 *
 * Scratch: two columns (one for a single pixel), then a window copy if the layer has borders or dilation; in its place,
 * later, the pixels' values if the layer adds them to what stands at output. With groups, the columns of one of them,
 * the copies, then the values. */
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

/* A group of two columns against two channels, for the three forms of weights. */
#define MCUGEN_GROUP_PAIRED                                                                                            \
    "ldmia r0!, {r2, r3, r4, r5}\n\tldmia r1!, {r6, r9}\n\t"                                                           \
    "sxtb16 r8, r6\n\t"                                                                                                \
    MCUGEN_SMLAD_PAIRED("r6", "r2", "r10", "r12") MCUGEN_SMLAD_PAIRED("r6", "r4", "r11", "lr")                         \
    "sxtb16 r8, r9\n\t"                                                                                                \
    MCUGEN_SMLAD_PAIRED("r9", "r3", "r10", "r12") MCUGEN_SMLAD_PAIRED("r9", "r5", "r11", "lr")
#define MCUGEN_GROUP_BYTES                                                                                             \
    "ldmia r0!, {r2, r3, r4, r5}\n\tldmia r1!, {r6, r9}\n\t" MCUGEN_WIDEN("r6")                                        \
    MCUGEN_SMLAD2("r6", "r2", "r4", "r10", "r11") MCUGEN_SMLAD2("r8", "r3", "r5", "r10", "r11") MCUGEN_WIDEN("r9")     \
    MCUGEN_SMLAD2("r6", "r2", "r4", "r12", "lr") MCUGEN_SMLAD2("r8", "r3", "r5", "r12", "lr")
#define MCUGEN_GROUP_WIDE                                                                                              \
    "ldmia r0!, {r2, r3, r4, r5}\n\tldmia r1!, {r6, r8}\n\t"                                                           \
    MCUGEN_SMLAD2("r6", "r2", "r4", "r10", "r11") MCUGEN_SMLAD2("r8", "r3", "r5", "r10", "r11")                        \
    "ldmia r1!, {r6, r8}\n\t"                                                                                          \
    MCUGEN_SMLAD2("r6", "r2", "r4", "r12", "lr") MCUGEN_SMLAD2("r8", "r3", "r5", "r12", "lr")
#endif

/* All groups of two columns against two channels, upon the bias. */
MCUGEN_ALWAYS_INLINE mcugen_sums mcugen_dot_2x2(const mcugen_layer *p, const int16_t *column, const void *weights,
                                                int32_t groups, const int32_t *bias)
{
    mcugen_sums s;
#if defined(MCUGEN_ASM_DSP)
    const int32_t second = p->paired ? bias[0] : bias[1];
    const int16_t *const end = column + 8 * groups;
    register const int16_t *x __asm__("r0") = column;
    register const void *w __asm__("r1") = weights;
    register int32_t a0 __asm__("r10") = bias[0];
    register int32_t a1 __asm__("r11") = bias[0];
    register int32_t b0 __asm__("r12") = second;
    register int32_t b1 __asm__("lr") = second;
#define MCUGEN_DOT_2X2(group)                                                                                          \
    __asm__(MCUGEN_LOOP_BEGIN group MCUGEN_LOOP_END                                                                    \
            : "+r"(x), "+r"(w), "+r"(a0), "+r"(a1), "+r"(b0), "+r"(b1)                                                 \
            : [end] "m"(end), [unroll] "i"(p->unroll), [turns] "i"(groups / p->unroll)                                 \
            : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "cc", "memory")
    if (p->paired) {
        MCUGEN_DOT_2X2(MCUGEN_GROUP_PAIRED);
        b0 = mcugen_second_sum(b0, a0, bias[1]);
        b1 = mcugen_second_sum(b1, a1, bias[1]);
    } else if (p->weight_bytes == 1) {
        MCUGEN_DOT_2X2(MCUGEN_GROUP_BYTES);
    } else {
        MCUGEN_DOT_2X2(MCUGEN_GROUP_WIDE);
    }
    s.a0 = a0;
    s.a1 = a1;
    s.b0 = b0;
    s.b1 = b1;
#else
    s.a0 = s.a1 = bias[0];
    s.b0 = s.b1 = bias[1];
    for (int32_t i = 0; i < 4 * groups; i++, column += (i & 3) == 0 ? 8 : 0) {
        const int32_t a = mcugen_weight_dsp(p, weights, 2, 0, i), b = mcugen_weight_dsp(p, weights, 2, 1, i);
        s.a0 += column[i & 3] * a;
        s.a1 += column[4 + (i & 3)] * a;
        s.b0 += column[i & 3] * b;
        s.b1 += column[4 + (i & 3)] * b;
    }
#endif
    return s;
}

/* The same for one column. */
MCUGEN_ALWAYS_INLINE mcugen_sums mcugen_dot_1x2(const mcugen_layer *p, const int16_t *column, const void *weights,
                                                int32_t groups, const int32_t *bias)
{
    mcugen_sums s = {.a0 = 0};
#if defined(MCUGEN_ASM_DSP)
    const int16_t *const end = column + 4 * groups;
    register const int16_t *x __asm__("r0") = column;
    register const void *w __asm__("r1") = weights;
    register int32_t a0 __asm__("r10") = bias[0];
    register int32_t b0 __asm__("r12") = p->paired ? bias[0] : bias[1];
    if (p->paired) {
        __asm__(MCUGEN_LOOP_BEGIN
                "ldmia r0!, {r2, r3}\n\t"
                "ldmia r1!, {r6, r9}\n\t"
                "sxtb16 r8, r6\n\t" MCUGEN_SMLAD_PAIRED("r6", "r2", "r10", "r12")
                "sxtb16 r8, r9\n\t" MCUGEN_SMLAD_PAIRED("r9", "r3", "r10", "r12") MCUGEN_LOOP_END
                : "+r"(x), "+r"(w), "+r"(a0), "+r"(b0)
                : [end] "m"(end), [unroll] "i"(p->unroll), [turns] "i"(groups / p->unroll)
                : "r2", "r3", "r6", "r8", "r9", "cc", "memory");
        b0 = mcugen_second_sum(b0, a0, bias[1]);
    } else if (p->weight_bytes == 1) {
        __asm__(MCUGEN_LOOP_BEGIN
                "ldmia r0!, {r2, r3}\n\t"
                "ldmia r1!, {r6, r9}\n\t" MCUGEN_WIDEN("r6")
                "smlad r10, r2, r6, r10\n\tsmlad r10, r3, r8, r10\n\t" MCUGEN_WIDEN("r9")
                "smlad r12, r2, r6, r12\n\tsmlad r12, r3, r8, r12\n\t" MCUGEN_LOOP_END
                : "+r"(x), "+r"(w), "+r"(a0), "+r"(b0)
                : [end] "m"(end), [unroll] "i"(p->unroll), [turns] "i"(groups / p->unroll)
                : "r2", "r3", "r6", "r8", "r9", "cc", "memory");
    } else {
        __asm__(MCUGEN_LOOP_BEGIN
                "ldmia r0!, {r2, r3}\n\t"
                "ldmia r1!, {r4, r5, r6, r8}\n\t"
                "smlad r10, r2, r4, r10\n\tsmlad r10, r3, r5, r10\n\t"
                "smlad r12, r2, r6, r12\n\tsmlad r12, r3, r8, r12\n\t" MCUGEN_LOOP_END
                : "+r"(x), "+r"(w), "+r"(a0), "+r"(b0)
                : [end] "m"(end), [unroll] "i"(p->unroll), [turns] "i"(groups / p->unroll)
                : "r2", "r3", "r4", "r5", "r6", "r8", "cc", "memory");
    }
    s.a0 = a0;
    s.b0 = b0;
#else
    s.a0 = bias[0];
    s.b0 = bias[1];
    for (int32_t i = 0; i < 4 * groups; i++) {
        s.a0 += column[i] * mcugen_weight_dsp(p, weights, 2, 0, i);
        s.b0 += column[i] * mcugen_weight_dsp(p, weights, 2, 1, i);
    }
#endif
    return s;
}

#if defined(MCUGEN_ASM_DSP) && MCUGEN_REQUANT_FPU && !MCUGEN_REQUANT_STOCK
#define MCUGEN_ASM_CHANNELS 1

/* Where mcugen_channels_2 stands; adjacent members are loaded together. */
typedef struct {
    const int16_t *columns;
    const int32_t *bias, *multiplier; /* of the next two channels */
    int8_t *output, *output_end;
    const int16_t *columns_end;
    int32_t distance; /* from an output of pixel 0 to that of pixel 1, or 0 where there is no pixel 1 */
    uint32_t zero;    /* as in mcugen_saturate_pair */
} mcugen_channels;

/* Sums a0, a1, b0, b1 become the outputs of two channels: converted, scaled and rounded as mcugen_requant does it,
 * saturated as mcugen_saturate_pair does it. */
#define MCUGEN_SECOND_SUMS                                                                                             \
    "sub r12, r10\n\tadd r12, r4, r12, asr #8\n\tsub lr, r11\n\tadd lr, r4, lr, asr #8\n\t"
#define MCUGEN_SCALE(x, m) "vcvt.f32.s32 " x ", " x "\n\tvmul.f32 " x ", " x ", " m "\n\tvcvtr.s32.f32 " x ", " x "\n\t"
#define MCUGEN_CHANNELS(group, second, second_sums)                                                                    \
    __asm__ volatile("vldr s14, %[zero]\n\t"                                                                           \
            ".if !%c[step]\n\tldr r2, %[multiplier]\n\tvldr s12, [r2]\n\tvmov.f32 s13, s12\n\t.endif\n"                \
            "2:\n\tldrd r0, r3, %[columns]\n\tldrd r10, r12, [r3]\n\tmov r11, r10\n\t" second                          \
            MCUGEN_LOOP_BEGIN group MCUGEN_LOOP_END                                                                    \
            "ldrd r2, r3, %[bias]\n\tldr r4, [r2, #4]\n\tadd r2, #8\n\t"                                               \
            ".if %c[step]\n\tvldmia r3!, {s12, s13}\n\t.endif\n\tstrd r2, r3, %[bias]\n\t" second_sums                 \
            "vmov s8, s9, r10, r11\n\tvmov s10, s11, r12, lr\n\t"                                                      \
            MCUGEN_SCALE("s8", "s12") MCUGEN_SCALE("s9", "s12") MCUGEN_SCALE("s10", "s13") MCUGEN_SCALE("s11", "s13")  \
            "vmov r10, r11, s8, s9\n\tvmov r12, lr, s10, s11\n\t"                                                      \
            "pkhbt r10, r10, r11, lsl #16\n\tpkhbt r12, r12, lr, lsl #16\n\t"                                          \
            ".if %c[moved]\n\tvmov r4, s14\n\tqadd16 r10, r10, r4\n\tqadd16 r12, r12, r4\n\t.endif\n\t"                \
            "usat16 r10, #8, r10\n\tusat16 r12, #8, r12\n\t"                                                           \
            "orr r10, r10, r12, lsl #8\n\teor r10, #0x80808080\n\tlsr r12, r10, #16\n\t"                               \
            "ldrd r2, r3, %[output]\n\tldr r4, %[distance]\n\t"                                                        \
            "strh r12, [r2, r4]\n\tstrh r10, [r2], #2\n\tstr r2, %[output]\n\tcmp r2, r3\n\tbne 2b"                    \
            : "+r"(w), [bias] "+m"(at.bias), [multiplier] "+m"(at.multiplier), [output] "+m"(at.output)                \
            : [columns] "m"(at.columns), [end] "m"(at.columns_end), "m"(at.output_end), [distance] "m"(at.distance),   \
              [zero] "m"(at.zero), [moved] "i"(p->output_zero != -128), [step] "i"(p->multiplier_step),                \
              [unroll] "i"(p->unroll), [turns] "i"(groups / p->unroll)                                                 \
            : "r0", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory", "s8", "s9",   \
              "s10", "s11", "s12", "s13", "s14")

/* Channels of two pixels, if they are of whole pairs and the clamp is that of int8. */
MCUGEN_ALWAYS_INLINE void mcugen_channels_2(const mcugen_layer *p, const int16_t *columns, const void *weights,
                                            int32_t groups, const int32_t *bias, const int32_t *multiplier,
                                            int8_t *output, int32_t channels, int32_t distance)
{
    mcugen_channels at = {columns,
                          bias,
                          multiplier,
                          output,
                          output + channels,
                          columns + 8 * groups,
                          distance,
                          (uint32_t)(p->output_zero + 128) * 0x10001u};
    register const void *w __asm__("r1") = weights;
    if (p->paired) {
        MCUGEN_CHANNELS(MCUGEN_GROUP_PAIRED, "mov r12, r10\n\tmov lr, r10\n", MCUGEN_SECOND_SUMS);
    } else if (p->weight_bytes == 1) {
        MCUGEN_CHANNELS(MCUGEN_GROUP_BYTES, "mov lr, r12\n", "");
    } else {
        MCUGEN_CHANNELS(MCUGEN_GROUP_WIDE, "mov lr, r12\n", "");
    }
}
#endif

/* A word of bytes as a group of the column. */
MCUGEN_ALWAYS_INLINE void mcugen_widen_group(int16_t *group, const int8_t *bytes)
{
#if defined(MCUGEN_ASM_DSP)
    uint32_t even, odd = mcugen_load_word(bytes);
    __asm__ volatile("sxtb16 %0, %1\n\tsxtb16 %1, %1, ror #8\n\tstrd %0, %1, [%2]"
                     : "=&r"(even), "+r"(odd)
                     : "r"(group)
                     : "memory");
#else
    group[0] = bytes[0];
    group[1] = bytes[2];
    group[2] = bytes[1];
    group[3] = bytes[3];
#endif
}

/* Every step-th group of a column from `rows` rows of a window. */
MCUGEN_ALWAYS_INLINE void mcugen_fill_column(int32_t rows, int32_t row_bytes, const int8_t *window, int32_t row_stride,
                                             int16_t *column, int32_t step)
{
    const int32_t rest = row_bytes % 4;
    const int8_t *row = window;
    for (int32_t i = 0; i < rows; i++, row += row_stride) {
        const int8_t *bytes = row;
        for (int32_t left = row_bytes / 4; left > 0; left--, bytes += 4, column += 4 * step) {
            mcugen_widen_group(column, bytes);
        }
    }
    row = window + row_bytes - rest;
    int32_t lane = 0;
    for (int32_t i = 0; rest != 0 && i < rows; i++, row += row_stride) {
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
    const int32_t parts = p->groups > 1 ? p->groups : 1, part_c = p->output_c / parts;
    const int32_t row_bytes = p->filter_w * p->input_c, input_row = p->input_w * p->input_c;
    const int32_t window_bytes = p->filter_h * row_bytes, depth = window_bytes / parts, groups = (depth + 3) / 4;
    const int32_t pair_bytes = 8 * groups * p->weight_bytes;
    int16_t *const columns = scratch->buf;
    int8_t *const copy = (int8_t *)(columns + 4 * groups * held_at_once);
    int32_t held = 0, left = pixels;

    for (int32_t n = 0; n < p->batch; n++, input += r->input_h * input_row) {
        for (int32_t y = 0; y < r->output_h; y++) {
            for (int32_t x = 0; x < p->output_w; x++) {
                const mcugen_window window = mcugen_window_at(p, r, y, x);
                int16_t *const column = columns + 4 * held;
                if (parts > 1) {
                    mcugen_group_windows(p, r->input_h, input, window, copy + held * window_bytes, depth);
                } else if (window.inside && p->dilation_w == 1) {
                    mcugen_fill_column(p->filter_h, row_bytes, input + window.y * input_row + window.x * p->input_c,
                                       input_row * p->dilation_h, column, held_at_once);
                } else {
                    mcugen_window_copy(p, r->input_h, input, window, copy);
                    mcugen_fill_column(p->filter_h, row_bytes, copy, row_bytes, column, held_at_once);
                }
                held++;
                left--;
                if (held < held_at_once && left > 0) {
                    continue;
                }
                const int8_t *pair = weights;
                int8_t *const values = !p->adds ? output : parts > 1 ? copy + held_at_once * window_bytes : copy;
                for (int32_t part = 0, c = 0; part < parts; part++) {
                    for (int32_t i = 0; parts > 1 && i < held; i++) {
                        mcugen_fill_column(1, depth, copy + i * window_bytes + part * depth, 0, columns + 4 * i,
                                           held_at_once);
                    }
#if defined(MCUGEN_ASM_CHANNELS)
                    if (held_at_once == 2 && part_c % 2 == 0 && p->output_min == -128 && p->output_max == 127) {
                        mcugen_channels_2(p, columns, pair, groups, bias + c, multiplier + c * p->multiplier_step,
                                          values + c, part_c, even || held == 2 ? p->output_c : 0);
                        pair += part_c / 2 * pair_bytes;
                        c += part_c;
                        continue;
                    }
#endif
                    for (int32_t end = c + part_c; c < end; c += 2, pair += pair_bytes) {
                        const int32_t channels = part_c % 2 != 0 && c + 1 == end ? 1 : 2;
                        mcugen_sums s;
                        if (held_at_once == 1) {
                            s = mcugen_dot_1x2(p, columns, pair, groups, bias + c);
                        } else {
                            s = mcugen_dot_2x2(p, columns, pair, groups, bias + c);
                            if (even || held == 2) {
                                mcugen_store_pair(p, s.a1, s.b1, multiplier, c, channels, values + p->output_c + c);
                            }
                        }
                        mcugen_store_pair(p, s.a0, s.b0, multiplier, c, channels, values + c);
                    }
                    c = (part + 1) * part_c;
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
