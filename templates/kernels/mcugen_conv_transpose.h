/* SPDX-License-Identifier: Apache-2.0 */
/* What transposed convolutions share; not for users. */
#ifndef MCUGEN_CONV_TRANSPOSE_H
#define MCUGEN_CONV_TRANSPOSE_H

#include <stdint.h>

#include "arm_nn_types.h"

/* The taps first, first + step, ... < last that meet an input element, for the output position that lies `position`
 * behind the padding: those with position - tap * dilation = stride * (an index into the input). */
typedef struct {
    int32_t first, last;
} mcugen_meeting;

static inline mcugen_meeting mcugen_taps_meeting(
    int32_t position, int32_t size, int32_t dilation, int32_t stride, int32_t step, int32_t extent)
{
    mcugen_meeting t = {0, size};
    while (t.first < size && (position - t.first * dilation) % stride != 0) {
        t.first++;
    }
    while (t.first < size && position - t.first * dilation >= extent * stride) {
        t.first += step;
    }
    while (t.last > t.first && position - (t.last - 1) * dilation < 0) {
        t.last--;
    }
    return t;
}

/* What all output positions share; distances are counted in values. */
typedef struct {
    cmsis_nn_tile stride, padding, dilation, step;
    cmsis_nn_dims input, filter;
    int32_t input_row, filter_row, filter_size;
    uint32_t back_h, back_w; /* from the element that a tap meets to the one of the next tap that meets any */
} mcugen_transposed;

/* Of one output position: its taps, and the element that the first of them meets, in an image of the input. */
typedef struct {
    mcugen_meeting rows, columns;
    uint32_t element;
} mcugen_met;

static inline mcugen_transposed mcugen_transposed_of(cmsis_nn_tile stride, cmsis_nn_tile padding,
                                                     cmsis_nn_tile dilation, cmsis_nn_tile step,
                                                     const cmsis_nn_dims *input, const cmsis_nn_dims *filter)
{
    mcugen_transposed t = {.stride = stride, .padding = padding, .dilation = dilation, .step = step};
    t.input = *input;
    t.filter = *filter;
    t.input_row = input->w * input->c;
    t.filter_row = filter->w * filter->c;
    t.filter_size = filter->h * t.filter_row;
    t.back_h = (uint32_t)(dilation.h / (stride.h / step.h)) * (uint32_t)t.input_row;
    t.back_w = (uint32_t)(dilation.w / (stride.w / step.w)) * (uint32_t)input->c;
    return t;
}

static inline mcugen_meeting mcugen_rows_met(const mcugen_transposed *t, int32_t oy)
{
    return mcugen_taps_meeting(oy + t->padding.h, t->filter.h, t->dilation.h, t->stride.h, t->step.h, t->input.h);
}

static inline mcugen_met mcugen_taps_met(const mcugen_transposed *t, mcugen_meeting rows, int32_t oy, int32_t ox)
{
    const int32_t top = oy + t->padding.h, left = ox + t->padding.w;
    mcugen_met met = {.rows = rows};
    met.columns = mcugen_taps_meeting(left, t->filter.w, t->dilation.w, t->stride.w, t->step.w, t->input.w);
    met.element = (uint32_t)((top - rows.first * t->dilation.h) / t->stride.h * t->input_row +
                             (left - met.columns.first * t->dilation.w) / t->stride.w * t->input.c);
    return met;
}

#endif
