/* SPDX-License-Identifier: Apache-2.0 */
/* What transposed convolutions share; not for users. */
#ifndef MCUGEN_CONV_TRANSPOSE_H
#define MCUGEN_CONV_TRANSPOSE_H

#include <stdint.h>

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

#endif
