/* SPDX-License-Identifier: Apache-2.0 */
/* Order: output pixel by output pixel, in raster order. */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#include <string.h>
#endif

/* The part of one window that lies inside the input, for one channel. */
typedef struct {
    const int8_t *input; /* its first element */
    int32_t height, width, count, pixel_stride, row_stride;
} window;

static int32_t average_float(const mcugen_average_pool_params *p, const window *w)
{
    float sum = 0.0f;
    for (int32_t y = 0; y < w->height; y++) {
        const int8_t *input = w->input + y * w->row_stride;
        for (int32_t x = 0; x < w->width; x++, input += w->pixel_stride) {
            const float value = p->input_scale * (float)(*input - p->input_zero_point);
            sum += value;
        }
    }
    const float average = sum / (float)w->count;
    const float scaled = average / p->output_scale;
    return mcugen_convert(scaled + (float)(p->output_zero_point + p->origin)) - p->origin;
}

/* The integer path decides, unless a tie is near. sum: of the window's bytes as they are. */
static inline int8_t average(const mcugen_average_pool_params *p, const window *w, int32_t sum, int32_t multiplier)
{
    const int32_t moved = sum - w->height * w->width * p->input_zero_point;
    const int32_t scaled = (int32_t)(((int64_t)moved * multiplier) >> p->shift);
    const int32_t value = scaled + p->output_zero_point * 65536 + 0x8000;
    const int32_t result = mcugen_near_tie(value, 16, p->tie) ? average_float(p, w) : value >> 16;
    return mcugen_activate(result, &p->activation);
}

static inline int32_t window_sum(const window *w)
{
    int32_t sum = 0;
    for (int32_t y = 0; y < w->height; y++) {
        const int8_t *input = w->input + y * w->row_stride;
        for (int32_t x = 0; x < w->width; x++, input += w->pixel_stride) {
            sum += *input;
        }
    }
    return sum;
}

#if defined(__ARM_FEATURE_DSP)
#define MOST_TAPS 255 /* sums of 16 bits */

/* Of four channels: the first and third in one word, the others in another. */
static inline void window_sums(const window *w, int32_t *sums)
{
    int16x2_t even = 0, odd = 0;
    for (int32_t y = 0; y < w->height; y++) {
        const int8_t *input = w->input + y * w->row_stride;
        for (int32_t x = 0; x < w->width; x++, input += w->pixel_stride) {
            uint32_t word;
            memcpy(&word, input, sizeof word);
            even = __sxtab16(even, (int8x4_t)word);
            odd = __sxtab16(odd, (int8x4_t)(word >> 8 | word << 24));
        }
    }
    sums[0] = (int16_t)even;
    sums[1] = (int16_t)odd;
    sums[2] = (int32_t)even >> 16;
    sums[3] = (int32_t)odd >> 16;
}
#endif

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

void mcugen_average_pool_s8(const mcugen_average_pool_params *params,
                            const cmsis_nn_dims *input_dims,
                            const int8_t *input,
                            const cmsis_nn_dims *filter_dims,
                            const cmsis_nn_dims *output_dims,
                            int8_t *output)
{
    const mcugen_average_pool_params p = *params; /* a copy: output cannot alias it */
    const int32_t channels = input_dims->c;
    window w = {.pixel_stride = channels, .row_stride = channels * input_dims->w};
    int32_t count = 0, multiplier = 0;
    for (int32_t n = 0; n < input_dims->n; n++) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            const int32_t top = oy * p.stride.h - p.padding.h, first_y = larger(top, 0);
            w.height = smaller(top + filter_dims->h, input_dims->h) - first_y;
            for (int32_t ox = 0; ox < output_dims->w; ox++) {
                const int32_t left = ox * p.stride.w - p.padding.w, first_x = larger(left, 0);
                w.width = smaller(left + filter_dims->w, input_dims->w) - first_x;
                w.count = p.count_include_pad ? filter_dims->h * filter_dims->w : w.height * w.width;
                if (w.count != count) { /* a division only where the window changes: at the borders */
                    count = w.count;
                    multiplier = p.multiplier / count;
                }
                w.input = input + first_y * w.row_stride + first_x * channels;
                int32_t c = 0;
#if defined(__ARM_FEATURE_DSP)
                for (; w.height * w.width <= MOST_TAPS && c + 4 <= channels; c += 4) {
                    int32_t sums[4];
                    window_sums(&w, sums);
                    for (int32_t i = 0; i < 4; i++, w.input++) {
                        *output++ = average(&p, &w, sums[i], multiplier);
                    }
                }
#endif
                for (; c < channels; c++, w.input++) {
                    *output++ = average(&p, &w, window_sum(&w), multiplier);
                }
            }
        }
        input += input_dims->h * w.row_stride;
    }
}
