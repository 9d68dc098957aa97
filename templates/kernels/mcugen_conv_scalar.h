/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and fully connected for cores that multiply one pair of numbers at a time (Cortex-M0, M0+, M3).
 *
 * The window of a pixel is read as a column of bytes: in place for 1x1 filters of stride 1, else copied. Four channels
 * are made together, the last four again with an overlap if their number is odd to that; Cortex-M3 makes them for two
 * pixels. weights int8 [output_c, filter_h, filter_w, input_c]; tables hold at least four channels. Order: two pixels
 * at a time; windows that are copied are copied before their outputs are written.
 *
 * Groups of channels are convolutions by themselves, with at least four channels each in the weights: of pixels where
 * they are, or of columns that hold one group after the other.
 *
 * Scratch: two columns (one for a single pixel) if they are copied; then the pixels' values if the layer adds them to
 * what stands at output. */
#ifndef MCUGEN_CONV_SCALAR_H
#define MCUGEN_CONV_SCALAR_H

#include "mcugen_layer.h"

/* Sums of four channels for pixel 0 and pixel 1. */
typedef struct {
    int32_t a[2], b[2], c[2], d[2];
} mcugen_sums_2x4;

/* Columns of `depth` bytes, `distance` bytes apart, against four channels; `pixels` is 1 or 2. */
MCUGEN_ALWAYS_INLINE mcugen_sums_2x4
mcugen_dot_scalar(const int8_t *column, int32_t distance, int32_t pixels, const int8_t *weights, int32_t depth,
                  int32_t unroll, const int32_t *bias)
{
    mcugen_sums_2x4 s = {{bias[0], bias[0]}, {bias[1], bias[1]}, {bias[2], bias[2]}, {bias[3], bias[3]}};
#if defined(MCUGEN_ASM_V7M)
    /* Offsets in the instructions reach 4095 bytes. */
    if (3 * depth < 4096 && distance < 4096) {
        /* x r0, w r1; byte of pixel 0 r2, of pixel 1 r3, of a channel r4; the end waits on the stack. */
        register const int8_t *x __asm__("r0") = column;
        register const int8_t *w __asm__("r1") = weights;
        register int32_t a0 __asm__("r5") = s.a[0];
        register int32_t b0 __asm__("r6") = s.b[0];
        register int32_t c0 __asm__("r8") = s.c[0];
        register int32_t d0 __asm__("r9") = s.d[0];
        register int32_t a1 __asm__("r10") = s.a[1];
        register int32_t b1 __asm__("r11") = s.b[1];
        register int32_t c1 __asm__("r12") = s.c[1];
        register int32_t d1 __asm__("lr") = s.d[1];
#define MCUGEN_LOOP_BEGIN                                                                                              \
    ".if %c[turns] > 1\n\tmovw r4, %c[turns] * %c[unroll]\n\tadd r4, r0\n\tpush {r4, r7}\n1:\n\t.endif\n\t"            \
    ".rept %c[unroll]\n\t"
#define MCUGEN_LOOP_END                                                                                                \
    ".endr\n\t.if %c[turns] > 1\n\tldr r4, [sp]\n\tcmp r0, r4\n\tbne 1b\n\tadd sp, #8\n\t.endif" MCUGEN_ROOM
        if (pixels == 2) {
            __asm__(MCUGEN_LOOP_BEGIN "ldrsb r3, [r0, %c[distance]]\n\t"
                                      "ldrsb r2, [r0], #1\n\t"
                                      "ldrsb r4, [r1, %c[depth]]\n\t"
                                      "mla r6, r2, r4, r6\n\t"
                                      "mla r11, r3, r4, r11\n\t"
                                      "ldrsb r4, [r1, 2 * %c[depth]]\n\t"
                                      "mla r8, r2, r4, r8\n\t"
                                      "mla r12, r3, r4, r12\n\t"
                                      "ldrsb r4, [r1, 3 * %c[depth]]\n\t"
                                      "mla r9, r2, r4, r9\n\t"
                                      "mla lr, r3, r4, lr\n\t"
                                      "ldrsb r4, [r1], #1\n\t"
                                      "mla r5, r2, r4, r5\n\t"
                                      "mla r10, r3, r4, r10\n\t" MCUGEN_LOOP_END
                    : "+r"(x), "+r"(w), "+r"(a0), "+r"(b0), "+r"(c0), "+r"(d0), "+r"(a1), "+r"(b1), "+r"(c1), "+r"(d1)
                    : [distance] "i"(distance), [depth] "i"(depth), [unroll] "i"(unroll), [turns] "i"(depth / unroll)
                    : "r2", "r3", "r4", "cc", "memory");
        } else {
            __asm__(MCUGEN_LOOP_BEGIN "ldrsb r2, [r0], #1\n\t"
                                      "ldrsb r3, [r1, %c[depth]]\n\t"
                                      "ldrsb r4, [r1, 2 * %c[depth]]\n\t"
                                      "mla r6, r2, r3, r6\n\t"
                                      "ldrsb r3, [r1, 3 * %c[depth]]\n\t"
                                      "mla r8, r2, r4, r8\n\t"
                                      "ldrsb r4, [r1], #1\n\t"
                                      "mla r9, r2, r3, r9\n\t"
                                      "mla r5, r2, r4, r5\n\t" MCUGEN_LOOP_END
                    : "+r"(x), "+r"(w), "+r"(a0), "+r"(b0), "+r"(c0), "+r"(d0)
                    : [depth] "i"(depth), [unroll] "i"(unroll), [turns] "i"(depth / unroll)
                    : "r2", "r3", "r4", "cc", "memory");
        }
        const mcugen_sums_2x4 sums = {{a0, a1}, {b0, b1}, {c0, c1}, {d0, d1}};
        return sums;
    }
#elif defined(MCUGEN_ASM_V6M)
    /* Four channels for one pixel: arrays end at r0, r1, r2, r4, r5; the index r3 counts up to 0. */
    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        register const int8_t *x __asm__("r0") = column + pixel * distance + depth;
        register const int8_t *w0 __asm__("r1") = weights + depth;
        register const int8_t *w1 __asm__("r2") = weights + 2 * depth;
        register const int8_t *w2 __asm__("r4") = weights + 3 * depth;
        register const int8_t *w3 __asm__("r5") = weights + 4 * depth;
        register int32_t i __asm__("r3") = -depth;
        register int32_t a __asm__("r8") = s.a[pixel];
        register int32_t b __asm__("r9") = s.b[pixel];
        register int32_t c __asm__("r10") = s.c[pixel];
        register int32_t d __asm__("r11") = s.d[pixel];
        __asm__(".syntax unified\n1:\n\t.rept %c[unroll]\n\t"
                "ldrsb r6, [r0, r3]\n\t"
                "ldrsb r7, [r1, r3]\n\tmuls r7, r6\n\tadd r8, r7\n\t"
                "ldrsb r7, [r2, r3]\n\tmuls r7, r6\n\tadd r9, r7\n\t"
                "ldrsb r7, [r4, r3]\n\tmuls r7, r6\n\tadd r10, r7\n\t"
                "ldrsb r7, [r5, r3]\n\tmuls r7, r6\n\tadd r11, r7\n\t"
                "adds r3, #1\n\t.endr\n\t"
                "bne 1b" MCUGEN_ROOM
                : "+r"(i), "+r"(a), "+r"(b), "+r"(c), "+r"(d)
                : "r"(x), "r"(w0), "r"(w1), "r"(w2), "r"(w3), [unroll] "i"(unroll)
                : "r6", "r7", "cc", "memory");
        s.a[pixel] = a;
        s.b[pixel] = b;
        s.c[pixel] = c;
        s.d[pixel] = d;
    }
    return s;
#endif
    (void)unroll;
    for (int32_t i = 0; i < depth; i++) {
        for (int32_t pixel = 0; pixel < pixels; pixel++) {
            const int32_t value = column[pixel * distance + i];
            s.a[pixel] += value * weights[i];
            s.b[pixel] += value * weights[depth + i];
            s.c[pixel] += value * weights[2 * depth + i];
            s.d[pixel] += value * weights[3 * depth + i];
        }
    }
    return s;
}

/* The outputs of one pixel from channel c on, up to four of `channels`. */
MCUGEN_ALWAYS_INLINE void mcugen_store_scalar(const mcugen_layer *p, const mcugen_sums_2x4 *s, int32_t pixel,
                                              const int32_t *multiplier, int32_t c, int32_t channels, int8_t *output)
{
    const int32_t *const m = multiplier + c * p->multiplier_step;
    output[0] = mcugen_layer_output(p, s->a[pixel], m[0], c);
    if (channels > 1) {
        output[1] = mcugen_layer_output(p, s->b[pixel], m[p->multiplier_step], c + 1);
    }
    if (channels > 2) {
        output[2] = mcugen_layer_output(p, s->c[pixel], m[2 * p->multiplier_step], c + 2);
    }
    if (channels > 3) {
        output[3] = mcugen_layer_output(p, s->d[pixel], m[3 * p->multiplier_step], c + 3);
    }
}

/* `channels` outputs from channel `from` on, of the pixel of a column or of both pixels. */
MCUGEN_ALWAYS_INLINE void mcugen_channels_scalar(const mcugen_layer *p, const int8_t *column, int32_t distance,
                                                 int32_t both, const int8_t *weights, int32_t depth,
                                                 const int32_t *bias, const int32_t *multiplier, int32_t channels,
                                                 int32_t from, int8_t *values)
{
    const int32_t last = channels > 4 ? channels - 4 : 0;
    for (int32_t c = 0; c < channels; c += 4) {
        const int32_t row = c < last ? c : last, first = from + row;
        const int8_t *const rows = weights + row * depth;
        if (both) {
            const mcugen_sums_2x4 s = mcugen_dot_scalar(column, distance, 2, rows, depth, p->unroll, bias + first);
            mcugen_store_scalar(p, &s, 0, multiplier, first, channels, values + first);
            mcugen_store_scalar(p, &s, 1, multiplier, first, channels, values + p->output_c + first);
        } else {
            const mcugen_sums_2x4 s = mcugen_dot_scalar(column, distance, 1, rows, depth, p->unroll, bias + first);
            mcugen_store_scalar(p, &s, 0, multiplier, first, channels, values + first);
        }
    }
}

MCUGEN_ALWAYS_INLINE void mcugen_conv_scalar(const cmsis_nn_context *scratch,
                                             const mcugen_layer *p,
                                             const mcugen_rows *r,
                                             const int8_t *input,
                                             const int8_t *weights,
                                             const int32_t *bias,
                                             const int32_t *multiplier,
                                             int8_t *output)
{
    const int32_t pixels = p->batch * r->output_h * p->output_w;
    const int32_t held_at_once = p->batch * p->output_w > 1 || r->output_h > 1 ? 2 : 1;
    const int even = p->batch * p->output_w % 2 == 0 || pixels % 2 == 0; /* also where only the width is known */
    const int32_t parts = p->groups > 1 ? p->groups : 1, part_c = p->output_c / parts;
    const int32_t row_bytes = p->filter_w * p->input_c, window_bytes = p->filter_h * row_bytes;
    const int32_t depth = window_bytes / parts, part_rows = part_c > 4 ? part_c : 4;
    const int32_t input_row = p->input_w * p->input_c;
    const int8_t *column = p->pointwise ? input : scratch->buf;
    int8_t *const sums = p->adds ? (int8_t *)scratch->buf + (p->pointwise ? 0 : held_at_once * window_bytes) : NULL;
    int32_t held = 0, left = pixels;

    for (int32_t n = 0; n < p->batch; n++, input += r->input_h * input_row) {
        for (int32_t y = 0; y < r->output_h; y++) {
            for (int32_t x = 0; x < p->output_w; x++) {
                if (!p->pointwise) {
                    const mcugen_window window = mcugen_window_at(p, r, y, x);
                    int8_t *copy = (int8_t *)scratch->buf + held * window_bytes;
                    if (parts > 1) {
                        mcugen_group_windows(p, r->input_h, input, window, copy, depth);
                    } else if (window.inside && p->dilation_w == 1) {
                        const int8_t *row = input + window.y * input_row + window.x * p->input_c;
                        for (int32_t i = 0; i < p->filter_h; i++, row += input_row * p->dilation_h) {
                            copy = mcugen_copy_bytes(copy, row, 0, row_bytes);
                        }
                    } else {
                        mcugen_window_copy(p, r->input_h, input, window, copy);
                    }
                }
                held++;
                left--;
                if (held < held_at_once && left > 0) {
                    continue;
                }
                int8_t *const values = p->adds ? sums : output;
                const int32_t both = held_at_once == 2 && (even || held == 2);
                if (parts == 1) {
                    mcugen_channels_scalar(p, column, window_bytes, both, weights, depth, bias, multiplier,
                                           p->output_c, 0, values);
                }
                for (int32_t part = 0; parts > 1 && part < parts; part++) {
                    mcugen_channels_scalar(p, column + part * depth, window_bytes, both,
                                           weights + part * part_rows * depth, depth, bias, multiplier, part_c,
                                           part * part_c, values);
                }
                if (p->adds) {
                    mcugen_layer_add(p, values, output, held * p->output_c);
                }
                column += p->pointwise ? held * window_bytes : 0;
                output += held * p->output_c;
                held = 0;
            }
        }
    }
}

#endif
