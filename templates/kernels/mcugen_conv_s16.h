/* SPDX-License-Identifier: Apache-2.0 */
/* One output of a convolution of int16 values; not for users. */
#ifndef MCUGEN_CONV_S16_H
#define MCUGEN_CONV_S16_H

#include "mcugen_dot_s16.h"
#include "mcugen_kernels_s16.h"
#include "mcugen_window.h"

/* Where a window lies in an image: its first tap, and the taps inside. */
typedef struct {
    int32_t top, left;
    mcugen_taps rows, columns;
} mcugen_window_s16;

static inline mcugen_window_s16 mcugen_window_at_s16(const mcugen_conv_s16_params *p, const cmsis_nn_dims *input_dims,
                                                     const cmsis_nn_dims *filter_dims, int32_t oy, int32_t ox)
{
    mcugen_window_s16 w;
    w.top = oy * p->stride.h - p->padding.h;
    w.left = ox * p->stride.w - p->padding.w;
    w.rows = mcugen_taps_inside(w.top, filter_dims->h, p->dilation.h, input_dims->h);
    w.columns = mcugen_taps_inside(w.left, filter_dims->w, p->dilation.w, input_dims->w);
    return w;
}

static inline int64_t mcugen_weights_sum(const int8_t *w, int32_t count)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        sum += w[i];
    }
    return sum;
}

/* The sum of value times weight over a filter; a tap outside the input counts as the zero point. `image` begins at the
 * first channel of the group. */
static inline int64_t mcugen_convolve_at_s16(const mcugen_conv_s16_params *p, const cmsis_nn_dims *input_dims,
                                             const int16_t *image, const cmsis_nn_dims *filter_dims,
                                             const int8_t *filter, const mcugen_window_s16 *at)
{
    const int32_t depth = filter_dims->c, channels = input_dims->c, filter_row = filter_dims->w * depth;
    const int32_t taps = at->columns.last - at->columns.first, before = at->columns.first * depth;
    const int32_t behind = at->columns.last * depth;
    const int joined = depth == channels && p->dilation.w == 1; /* the taps of a row lie together */
    const int32_t runs = joined ? 1 : taps, run = joined ? taps * depth : depth;
    int64_t sum = 0;
    for (int32_t ky = 0; ky < filter_dims->h; ky++, filter += filter_row) {
        const int inside = ky >= at->rows.first && ky < at->rows.last && taps > 0;
        if (p->input_zero_point && !(inside && taps == filter_dims->w)) {
            const int64_t outside = inside ? mcugen_weights_sum(filter, before) +
                                                 mcugen_weights_sum(filter + behind, filter_row - behind)
                                           : mcugen_weights_sum(filter, filter_row);
            sum += p->input_zero_point * outside;
        }
        if (!inside) {
            continue;
        }
        const int32_t y = at->top + ky * p->dilation.h, x = at->left + at->columns.first * p->dilation.w;
        const int16_t *values = image + (y * input_dims->w + x) * channels;
        const int8_t *w = filter + before;
        for (int32_t k = 0; k < runs; k++, values += p->dilation.w * channels, w += depth) {
            sum += mcugen_dot_s16(values, w, run);
        }
    }
    return sum;
}

static inline int16_t mcugen_finish_s16(const mcugen_conv_s16_params *p, int64_t sum, int32_t channel)
{
    return mcugen_requant_s16(sum + p->offset[channel], p->multiplier[channel], p->shift[channel],
                              p->output_zero_point, &p->activation);
}

#endif
