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

static inline int16_t mcugen_finish_s16(const mcugen_conv_s16_params *p, int64_t sum, int32_t channel)
{
    return mcugen_requant_s16(sum + p->offset[channel], p->multiplier[channel], p->shift[channel],
                              p->output_zero_point, &p->activation);
}

#endif
