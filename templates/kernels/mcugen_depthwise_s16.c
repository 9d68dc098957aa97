/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_conv_s16.h"

#if defined(__ARM_FEATURE_MVE)
#define BLOCK 8 /* channels side by side */
#else
#define BLOCK 4
#endif

/* Taps of one row of a window: `count` of them, from x and from w on. */
typedef struct {
    const int16_t *x;
    const int8_t *w;
    int32_t count, right, outputs;
} taps;

/* The sums of BLOCK neighbouring channels. */
typedef struct {
#if defined(__ARM_FEATURE_MVE)
    int32x4_t even, odd;
#else
    int32_t s0, s1, s2, s3;
#endif
} block;

static inline block add_block(block b, taps t)
{
    for (; t.count > 0; t.count--, t.x += t.right, t.w += t.outputs) {
#if defined(__ARM_FEATURE_MVE)
        const int16x8_t x = vldrhq_s16(t.x), w = vldrbq_s16(t.w);
        b.even = vaddq_s32(b.even, vmullbq_int_s16(x, w));
        b.odd = vaddq_s32(b.odd, vmulltq_int_s16(x, w));
#elif defined(__ARM_FEATURE_DSP)
        uint32_t low, high, word;
        memcpy(&low, t.x, 4);
        memcpy(&high, t.x + 2, 4);
        memcpy(&word, t.w, 4);
        const int32_t even = (int32_t)__sxtb16((int8x4_t)word);
        const int32_t odd = (int32_t)mcugen_odd_bytes_s16(word);
        b.s0 = __smlabb((int32_t)low, even, b.s0);
        b.s1 = __smlatb((int32_t)low, odd, b.s1);
        b.s2 = __smlabt((int32_t)high, even, b.s2);
        b.s3 = __smlatt((int32_t)high, odd, b.s3);
#else
        b.s0 += t.x[0] * t.w[0];
        b.s1 += t.x[1] * t.w[1];
        b.s2 += t.x[2] * t.w[2];
        b.s3 += t.x[3] * t.w[3];
#endif
    }
    return b;
}

static inline void store_block(block b, int32_t *sums)
{
#if defined(__ARM_FEATURE_MVE)
    const int32x4x2_t pair = {{b.even, b.odd}};
    vst2q_s32(sums, pair);
#else
    sums[0] = b.s0;
    sums[1] = b.s1;
    sums[2] = b.s2;
    sums[3] = b.s3;
#endif
}

static inline block no_sums(void)
{
#if defined(__ARM_FEATURE_MVE)
    const block b = {vdupq_n_s32(0), vdupq_n_s32(0)};
#else
    const block b = {0, 0, 0, 0};
#endif
    return b;
}

static int32_t add_one(int32_t sum, taps t)
{
    for (; t.count > 0; t.count--, t.x += t.right, t.w += t.outputs) {
        sum += *t.x * *t.w;
    }
    return sum;
}

static void finish(const mcugen_conv_s16_params *p, int32_t sum, int32_t c, int16_t *output)
{
    const int64_t product = (int64_t)(sum + (int32_t)p->offset[c]) * p->multiplier[c];
    *output = mcugen_requant_high_s16(product, p->shift[c], p->output_zero_point, &p->activation);
}

void mcugen_depthwise_s16(const mcugen_conv_s16_params *params,
                          const cmsis_nn_dims *input_dims,
                          const int16_t *input,
                          const cmsis_nn_dims *filter_dims,
                          const int8_t *filter,
                          const cmsis_nn_dims *output_dims,
                          int16_t *output)
{
    const int32_t channels = input_dims->c, outputs = output_dims->c, multiplier = outputs / channels;
    const mcugen_conv_s16_params p = *params; /* a copy: output cannot alias it */
    const int32_t right = p.dilation.w * channels, down = p.dilation.h * input_dims->w * channels;
    const int32_t filter_row = filter_dims->w * outputs;
    int16_t outside[BLOCK]; /* what a tap outside the input counts as */
    for (int32_t i = 0; i < BLOCK; i++) {
        outside[i] = (int16_t)p.input_zero_point;
    }
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * input_dims->w * channels) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            for (int32_t ox = 0; ox < output_dims->w; ox++, output += outputs) {
                const mcugen_window_s16 at = mcugen_window_at_s16(&p, input_dims, filter_dims, oy, ox);
                const int32_t start = (at.top * input_dims->w + at.left) * channels;
                const int whole = at.rows.last - at.rows.first == filter_dims->h &&
                                  at.columns.last - at.columns.first == filter_dims->w;
                int32_t count;
                for (int32_t c = 0; c < outputs; c += count) {
                    const int32_t channel = multiplier == 1 ? c : c / multiplier;
                    const int8_t *w = filter + c;
                    const int together = multiplier == 1 && c + BLOCK <= outputs;
                    block sums = no_sums();
                    int32_t sum = 0;
                    count = together ? BLOCK : 1;
                    if (together && whole) {
                        taps met = {input + start + c, w, filter_dims->w, right, outputs};
                        for (int32_t ky = 0; ky < filter_dims->h; ky++, met.x += down, met.w += filter_row) {
                            sums = add_block(sums, met);
                        }
                    }
                    const int32_t begin = together && whole ? filter_dims->h : 0;
                    for (int32_t ky = begin; ky < filter_dims->h; ky++, w += filter_row) {
                        const int inside = ky >= at.rows.first && ky < at.rows.last;
                        const int32_t first = inside ? at.columns.first : 0, last = inside ? at.columns.last : 0;
                        const int32_t x = inside ? start + ky * down + first * right + channel : 0;
                        const taps before = {outside, w, first, 0, outputs};
                        const taps met = {input + x, w + first * outputs, last - first, right, outputs};
                        const taps behind = {outside, w + last * outputs, filter_dims->w - last, 0, outputs};
                        if (together) {
                            sums = add_block(add_block(add_block(sums, before), met), behind);
                        } else {
                            sum = add_one(add_one(add_one(sum, before), met), behind);
                        }
                    }
                    if (together) {
                        int32_t stored[BLOCK];
                        store_block(sums, stored);
                        for (int32_t i = 0; i < BLOCK; i++) {
                            finish(&p, stored[i], c + i, output + c + i);
                        }
                    } else {
                        finish(&p, sum, c, output + c);
                    }
                }
            }
        }
    }
}
