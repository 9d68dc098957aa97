/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution by columns, the taps of a window gathered; the file that includes this defines MCUGEN_COLUMN_WIDE: 1
 * for sums that only int64 holds. Not for users. */
#ifndef MCUGEN_COLUMN_S16_H
#define MCUGEN_COLUMN_S16_H

#include "mcugen_conv_s16.h"

#if MCUGEN_COLUMN_WIDE
typedef int64_t mcugen_sum_s16;
#else
typedef int32_t mcugen_sum_s16;
#endif

/* GCC 12 has registers enough for some of these loops only in functions of their own. */
#if !defined(__ARM_FEATURE_DSP) || (MCUGEN_COLUMN_WIDE && !defined(__ARM_FEATURE_MVE))
#define MCUGEN_COLUMN_DOT MCUGEN_OUT_OF_LINE static
#else
#define MCUGEN_COLUMN_DOT static inline
#endif

/* Of two windows a, b and two filters w, v. */
typedef struct {
    mcugen_sum_s16 aw, av, bw, bv;
} mcugen_sums_2x2_s16;

/* Do the two words of four values hold the first and third, the second and fourth? So SXTB16 takes weights apart. */
#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
#define MCUGEN_COLUMN_TURNED 1
#else
#define MCUGEN_COLUMN_TURNED 0
#endif

static inline int16_t *mcugen_copy_values_s16(int16_t *to, const int16_t *from, int32_t count)
{
#if defined(__ARM_FEATURE_MVE)
    int16_t *const end = to + count;
    __asm__ volatile("wlstp.16 lr, %[count], 2f\n"
                     "1:\n\t"
                     "vldrh.u16 q0, [%[from]], #16\n\t"
                     "vstrh.16 q0, [%[to]], #16\n\t"
                     "letp lr, 1b\n"
                     "2:\n\t"
                     : [from] "+r"(from), [to] "+r"(to)
                     : [count] "r"(count)
                     : "q0", "lr", "memory");
    return end;
#else
#if defined(__ARM_FEATURE_UNALIGNED)
    for (; count >= 4; count -= 4, from += 4, to += 4) {
        uint32_t low, high;
        memcpy(&low, from, 4);
        memcpy(&high, from + 2, 4);
        memcpy(to, &low, 4);
        memcpy(to + 2, &high, 4);
    }
#endif
    for (; count > 0; count--) {
        *to++ = *from++;
    }
    return to;
#endif
}

static inline int16_t *mcugen_repeat_s16(int16_t *to, int32_t value, int32_t count)
{
#if defined(__ARM_FEATURE_MVE)
    int16_t *const end = to + count;
    for (const int16x8_t values = vdupq_n_s16((int16_t)value); count > 0; count -= 8, to += 8) {
        vstrhq_p_s16(to, values, vctp16q((uint32_t)count));
    }
    return end;
#else
    for (; count > 0; count--) {
        *to++ = (int16_t)value;
    }
    return to;
#endif
}

/* A tap outside the input is the zero point. `image` begins at the first channel of the group. */
static inline void mcugen_gather_s16(const mcugen_conv_s16_params *p, const cmsis_nn_dims *input_dims,
                                     const int16_t *image, const cmsis_nn_dims *filter_dims, int32_t oy, int32_t ox,
                                     int16_t *column)
{
    const mcugen_window_s16 at = mcugen_window_at_s16(p, input_dims, filter_dims, oy, ox);
    const int32_t depth = filter_dims->c, channels = input_dims->c, zero = p->input_zero_point;
    const int32_t taps = at.columns.last > at.columns.first ? at.columns.last - at.columns.first : 0;
    const int joined = depth == channels && p->dilation.w == 1; /* the taps of a row lie together */
    const int32_t runs = joined ? 1 : taps, run = joined ? taps * depth : depth;
    int16_t *to = column;
    for (int32_t ky = 0; ky < filter_dims->h; ky++) {
        if (ky < at.rows.first || ky >= at.rows.last || taps == 0) {
            to = mcugen_repeat_s16(to, zero, filter_dims->w * depth);
            continue;
        }
        const int32_t y = at.top + ky * p->dilation.h, x = at.left + at.columns.first * p->dilation.w;
        const int16_t *values = image + (y * input_dims->w + x) * channels;
        to = mcugen_repeat_s16(to, zero, at.columns.first * depth);
        for (int32_t k = 0; k < runs; k++, values += p->dilation.w * channels) {
            to = mcugen_copy_values_s16(to, values, run);
        }
        to = mcugen_repeat_s16(to, zero, (filter_dims->w - at.columns.first - taps) * depth);
    }
#if MCUGEN_COLUMN_TURNED
    for (; to - column >= 4; column += 4) {
        const int16_t second = column[1];
        column[1] = column[2];
        column[2] = second;
    }
#endif
}

#if MCUGEN_COLUMN_TURNED
typedef struct {
    int16x2_t even, odd;
} mcugen_four_s16;

static inline mcugen_four_s16 mcugen_four_values_s16(const int16_t *x)
{
    mcugen_four_s16 four;
    memcpy(&four.even, x, 4);
    memcpy(&four.odd, x + 2, 4);
    return four;
}

static inline mcugen_four_s16 mcugen_four_weights_s16(const int8_t *w)
{
    uint32_t word;
    memcpy(&word, w, 4);
    const mcugen_four_s16 four = {(int16x2_t)__sxtb16((int8x4_t)word), mcugen_odd_bytes_s16(word)};
    return four;
}

static inline int32_t mcugen_four_products_s16(mcugen_four_s16 x, mcugen_four_s16 w, int32_t sum)
{
    return __smlad(x.odd, w.odd, __smlad(x.even, w.even, sum));
}
#endif

/* `count` products each, at most as many as int32 holds. */
MCUGEN_COLUMN_DOT mcugen_sums_2x2_s16 mcugen_dot_2x2_s16(const int16_t *a, const int16_t *b, const int8_t *w,
                                                     const int8_t *v, int32_t count)
{
    int32_t aw = 0, av = 0, bw = 0, bv = 0;
#if defined(__ARM_FEATURE_MVE)
    __asm__ volatile("dlstp.16 lr, %[count]\n"
                     "1:\n\t"
                     "vldrh.u16 q0, [%[a]], #16\n\t"
                     "vldrb.s16 q2, [%[w]], #8\n\t"
                     "vmladava.s16 %[aw], q0, q2\n\t"
                     "vldrb.s16 q3, [%[v]], #8\n\t"
                     "vmladava.s16 %[av], q0, q3\n\t"
                     "vldrh.u16 q1, [%[b]], #16\n\t"
                     "vmladava.s16 %[bw], q1, q2\n\t"
                     "vmladava.s16 %[bv], q1, q3\n\t"
                     "letp lr, 1b\n\t"
                     : [a] "+r"(a), [b] "+r"(b), [w] "+l"(w), [v] "+l"(v), [aw] "+Te"(aw), [av] "+Te"(av),
                       [bw] "+Te"(bw), [bv] "+Te"(bv)
                     : [count] "r"(count)
                     : "q0", "q1", "q2", "q3", "lr", "memory");
#else
#if MCUGEN_COLUMN_TURNED
    for (; count >= 4; count -= 4, a += 4, b += 4, w += 4, v += 4) {
        const mcugen_four_s16 of_a = mcugen_four_values_s16(a), of_b = mcugen_four_values_s16(b);
        const mcugen_four_s16 of_w = mcugen_four_weights_s16(w);
        aw = mcugen_four_products_s16(of_a, of_w, aw);
        bw = mcugen_four_products_s16(of_b, of_w, bw);
        const mcugen_four_s16 of_v = mcugen_four_weights_s16(v);
        av = mcugen_four_products_s16(of_a, of_v, av);
        bv = mcugen_four_products_s16(of_b, of_v, bv);
    }
#endif
    for (; count > 0; count--, a++, b++, w++, v++) {
        aw += *a * *w;
        av += *a * *v;
        bw += *b * *w;
        bv += *b * *v;
    }
#endif
    const mcugen_sums_2x2_s16 sums = {aw, av, bw, bv};
    return sums;
}

/* `size` products each. */
static inline mcugen_sums_2x2_s16 mcugen_column_2x2_s16(const int16_t *a, const int16_t *b, const int8_t *w,
                                                        const int8_t *v, int32_t size)
{
#if MCUGEN_COLUMN_WIDE
    mcugen_sums_2x2_s16 sums = {0, 0, 0, 0};
    for (int32_t from = 0; from < size; from += MCUGEN_DOT_S16_RUN) {
        const int32_t run = size - from < MCUGEN_DOT_S16_RUN ? size - from : MCUGEN_DOT_S16_RUN;
        const mcugen_sums_2x2_s16 part = mcugen_dot_2x2_s16(a + from, b + from, w + from, v + from, run);
        sums.aw += part.aw;
        sums.av += part.av;
        sums.bw += part.bw;
        sums.bv += part.bv;
    }
    return sums;
#else
    return mcugen_dot_2x2_s16(a, b, w, v, size);
#endif
}

/* Adds `count` products each of x and four filters, `size` apart. */
MCUGEN_COLUMN_DOT void mcugen_dot_1x4_s16(const int16_t *x, const int8_t *w, int32_t size, int32_t count,
                                      mcugen_sum_s16 *sums)
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#if defined(__ARM_FEATURE_MVE)
    const int8_t *w1 = w + size, *w2 = w1 + size, *w3 = w2 + size;
    __asm__ volatile("dlstp.16 lr, %[count]\n"
                     "1:\n\t"
                     "vldrh.u16 q0, [%[x]], #16\n\t"
                     "vldrb.s16 q1, [%[w]], #8\n\t"
                     "vmladava.s16 %[s0], q0, q1\n\t"
                     "vldrb.s16 q2, [%[w1]], #8\n\t"
                     "vmladava.s16 %[s1], q0, q2\n\t"
                     "vldrb.s16 q1, [%[w2]], #8\n\t"
                     "vmladava.s16 %[s2], q0, q1\n\t"
                     "vldrb.s16 q2, [%[w3]], #8\n\t"
                     "vmladava.s16 %[s3], q0, q2\n\t"
                     "letp lr, 1b\n\t"
                     : [x] "+r"(x), [w] "+l"(w), [w1] "+l"(w1), [w2] "+l"(w2), [w3] "+l"(w3), [s0] "+Te"(s0),
                       [s1] "+Te"(s1), [s2] "+Te"(s2), [s3] "+Te"(s3)
                     : [count] "r"(count)
                     : "q0", "q1", "q2", "lr", "memory");
#else
#if MCUGEN_COLUMN_TURNED
    for (; count >= 4; count -= 4, x += 4, w += 4) {
        const mcugen_four_s16 values = mcugen_four_values_s16(x);
        s0 = mcugen_four_products_s16(values, mcugen_four_weights_s16(w), s0);
        s1 = mcugen_four_products_s16(values, mcugen_four_weights_s16(w + size), s1);
        s2 = mcugen_four_products_s16(values, mcugen_four_weights_s16(w + 2 * size), s2);
        s3 = mcugen_four_products_s16(values, mcugen_four_weights_s16(w + 3 * size), s3);
    }
#endif
    for (; count > 0; count--, w++) {
        const int32_t value = *x++;
        s0 += value * w[0];
        s1 += value * w[size];
        s2 += value * w[2 * size];
        s3 += value * w[3 * size];
    }
#endif
    sums[0] += s0;
    sums[1] += s1;
    sums[2] += s2;
    sums[3] += s3;
}

static inline void mcugen_finish_column_s16(const mcugen_conv_s16_params *p, int32_t c, mcugen_sum_s16 sum,
                                            int16_t *output)
{
    const mcugen_sum_s16 acc = sum + (mcugen_sum_s16)p->offset[c];
#if MCUGEN_COLUMN_WIDE
    output[c] = mcugen_requant_s16(acc, p->multiplier[c], p->shift[c], p->output_zero_point, &p->activation);
#else
    const int64_t product = (int64_t)acc * p->multiplier[c];
    output[c] = mcugen_requant_high_s16(product, p->shift[c], p->output_zero_point, &p->activation);
#endif
}

/* Two filters at a time, `next` being the output of the second window. */
static inline void mcugen_two_windows_s16(const mcugen_conv_s16_params *p, const int16_t *column,
                                          const int8_t *filter, int32_t size, int32_t c, int32_t last, int16_t *output,
                                          int16_t *next)
{
    for (; c + 2 <= last; c += 2, filter += 2 * size) {
        const mcugen_sums_2x2_s16 sums = mcugen_column_2x2_s16(column, column + size, filter, filter + size, size);
        mcugen_finish_column_s16(p, c, sums.aw, output);
        mcugen_finish_column_s16(p, c, sums.bw, next);
        mcugen_finish_column_s16(p, c + 1, sums.av, output);
        mcugen_finish_column_s16(p, c + 1, sums.bv, next);
    }
    if (c < last) { /* an odd one, as its own neighbour */
        const mcugen_sums_2x2_s16 sums = mcugen_column_2x2_s16(column, column + size, filter, filter, size);
        mcugen_finish_column_s16(p, c, sums.aw, output);
        mcugen_finish_column_s16(p, c, sums.bw, next);
    }
}

/* Four filters at a time. */
static inline void mcugen_one_window_s16(const mcugen_conv_s16_params *p, const int16_t *column, const int8_t *filter,
                                         int32_t size, int32_t c, int32_t last, int16_t *output)
{
    const int32_t most = MCUGEN_COLUMN_WIDE ? MCUGEN_DOT_S16_RUN : size;
    for (; c + 4 <= last; c += 4, filter += 4 * size) {
        mcugen_sum_s16 sums[4] = {0};
        for (int32_t from = 0; from < size; from += most) {
            const int32_t run = size - from < most ? size - from : most;
            mcugen_dot_1x4_s16(column + from, filter + from, size, run, sums);
        }
        for (int32_t i = 0; i < 4; i++) {
            mcugen_finish_column_s16(p, c + i, sums[i], output);
        }
    }
    for (; c < last; c++, filter += size) {
        const mcugen_sums_2x2_s16 sums = mcugen_column_2x2_s16(column, column, filter, filter, size);
        mcugen_finish_column_s16(p, c, sums.aw, output);
    }
}

static inline void mcugen_convolve_columns_s16(const cmsis_nn_context *context, const mcugen_conv_s16_params *params,
                                               const cmsis_nn_dims *input_dims, const int16_t *input,
                                               const cmsis_nn_dims *filter_dims, const int8_t *filter,
                                               const cmsis_nn_dims *output_dims, int16_t *output)
{
    const mcugen_conv_s16_params p = *params; /* a copy: output cannot alias it */
    const int32_t channels = output_dims->c, group_outputs = channels / p.groups;
    const int32_t size = filter_dims->h * filter_dims->w * filter_dims->c, pixels = output_dims->h * output_dims->w;
    int16_t *const columns = context->buf;
    const int in_place = !MCUGEN_COLUMN_TURNED && p.groups == 1 && filter_dims->h == 1 && filter_dims->w == 1 &&
                         p.stride.h == 1 && p.stride.w == 1 && input_dims->h == output_dims->h &&
                         input_dims->w == output_dims->w;
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * input_dims->w * input_dims->c) {
        for (int32_t g = 0; g < p.groups; g++) {
            const int16_t *const image = input + g * filter_dims->c;
            const int8_t *const filters = filter + g * group_outputs * size;
            const int32_t first = g * group_outputs, last = first + group_outputs;
            int16_t *at = output;
            for (int32_t i = 0, oy = 0, ox = 0; i < pixels; i++) {
                const int16_t *const column = in_place ? image + (i - i % 2) * size : columns;
                if (!in_place) {
                    mcugen_gather_s16(&p, input_dims, image, filter_dims, oy, ox, columns + i % 2 * size);
                }
                if (++ox == output_dims->w) {
                    ox = 0;
                    oy++;
                }
                if (i % 2 != 0) {
                    mcugen_two_windows_s16(&p, column, filters, size, first, last, at, at + channels);
                    at += 2 * channels;
                } else if (i == pixels - 1) {
                    mcugen_one_window_s16(&p, column, filters, size, first, last, at);
                }
            }
        }
        output += pixels * channels;
    }
}

#endif
