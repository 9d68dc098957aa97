/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic_s16.h"
#include "mcugen_kernels_s16.h"
#include "mcugen_window.h"

/* One channel of the part of a window that lies in the image; `count` values count. */
typedef struct {
    const int16_t *input;
    int32_t height, width, row, pixel, count;
} window;

static float real(const mcugen_average_pool_s16_params *p, const window *w, int32_t y, int32_t x)
{
    return (float)(w->input[y * w->row + x * w->pixel] - p->input_zero_point) * p->input_scale;
}

static float sum_columns(const mcugen_average_pool_s16_params *p, const window *w)
{
    float sum = 0.0f;
    for (int32_t x = 0; x < w->width; x++) {
        float column = real(p, w, 0, x);
        for (int32_t y = 1; y < w->height; y++) {
            column += real(p, w, y, x);
        }
        sum += column;
    }
    return sum;
}

static float sum_rows(const mcugen_average_pool_s16_params *p, const window *w)
{
    float lane[4] = {0.0f, 0.0f, 0.0f, 0.0f}, sum = 0.0f;
    const int32_t pixels = w->height * w->width, in_lanes = p->lanes ? pixels - pixels % 4 : 0;
    int32_t i = 0;
    for (int32_t y = 0; y < w->height; y++) {
        for (int32_t x = 0; x < w->width; x++, i++) {
            const float value = real(p, w, y, x);
            if (i < in_lanes) {
                lane[i % 4] += value;
                sum = i + 1 == in_lanes ? (lane[0] + lane[2]) + (lane[1] + lane[3]) : 0.0f;
            } else {
                sum += value;
            }
        }
    }
    return sum;
}

static float average_float(const mcugen_average_pool_s16_params *p, const window *w)
{
    return (p->by_columns ? sum_columns(p, w) : sum_rows(p, w)) / (float)w->count;
}

static int32_t average(const mcugen_average_pool_s16_params *p, const window *w, int32_t multiplier)
{
    int32_t sum = 0;
    for (int32_t y = 0; y < w->height; y++) {
        const int16_t *input = w->input + y * w->row;
        for (int32_t x = 0; x < w->width; x++, input += w->pixel) {
            sum += *input;
        }
    }
    const int64_t centred = sum - (int64_t)p->input_zero_point * w->height * w->width;
    const int64_t zero = ((int64_t)p->output_zero_point * 2 + 1) * ((int64_t)1 << (p->shift - 1)); /* and one half */
    const int64_t value = centred * multiplier + zero;
    return mcugen_near_tie_s16(value, p->shift, p->tie)
               ? mcugen_quantize_s16(average_float(p, w), p->output_scale, p->output_zero_point)
               : (int32_t)(value >> p->shift);
}

/* How many of `size` pixels from `start` on lie before `end`. */
static int32_t within(int32_t start, int32_t size, int32_t end)
{
    return start + size < end ? size : end - start;
}

void mcugen_average_pool_s16(const mcugen_average_pool_s16_params *params,
                             const cmsis_nn_dims *input_dims,
                             const int16_t *input,
                             const cmsis_nn_dims *filter_dims,
                             const cmsis_nn_dims *output_dims,
                             int16_t *output)
{
    const mcugen_average_pool_s16_params p = *params; /* a copy: output cannot alias it */
    const int32_t channels = input_dims->c, row = input_dims->w * channels;
    window w = {.row = row, .pixel = channels};
    int32_t count = 0, multiplier = 0;
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * row) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            const int32_t top = oy * p.stride.h - p.padding.h;
            const mcugen_taps rows = mcugen_taps_inside(top, filter_dims->h, 1, input_dims->h);
            w.height = rows.last - rows.first;
            for (int32_t ox = 0; ox < output_dims->w; ox++) {
                const int32_t left = ox * p.stride.w - p.padding.w;
                const mcugen_taps columns = mcugen_taps_inside(left, filter_dims->w, 1, input_dims->w);
                w.width = columns.last - columns.first;
                w.count = p.count_include_pad ? within(top, filter_dims->h, input_dims->h + p.padding_end.h) *
                                                    within(left, filter_dims->w, input_dims->w + p.padding_end.w)
                                              : w.height * w.width;
                if (w.count != count) { /* a division only where the window changes: at the borders */
                    count = w.count;
                    multiplier = p.multiplier / count;
                }
                w.input = input + (top + rows.first) * row + (left + columns.first) * channels;
                for (int32_t c = 0; c < channels; c++, w.input++) {
                    *output++ = mcugen_activate_s16(average(&p, &w, multiplier), &p.activation);
                }
            }
        }
    }
}
