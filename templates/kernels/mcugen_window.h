/* SPDX-License-Identifier: Apache-2.0 */
/* Where a sliding window meets the input; not for users. */
#ifndef MCUGEN_WINDOW_H
#define MCUGEN_WINDOW_H

#include <stdint.h>

/* The taps first..last-1 of a window of `size` that meet the input when its first tap lies at `start`. */
typedef struct {
    int32_t first, last;
} mcugen_taps;

static inline mcugen_taps mcugen_taps_inside(int32_t start, int32_t size, int32_t dilation, int32_t extent)
{
    mcugen_taps taps = {0, size};
    while (taps.first < taps.last && start + taps.first * dilation < 0) {
        taps.first++;
    }
    while (taps.first < taps.last && start + (taps.last - 1) * dilation >= extent) {
        taps.last--;
    }
    return taps;
}

/* How a filter row is walked: `whole` as one run over its taps, whose input values lie `step` apart; or tap by tap. */
typedef struct {
    int32_t whole, step;
} mcugen_layout;

static inline mcugen_layout mcugen_runs(int32_t groups, int32_t dilation, int32_t channels, int32_t group_channels)
{
    const int single = group_channels == 1, dense = groups == 1 && dilation == 1;
    const mcugen_layout layout = {single || dense, single ? dilation * channels : 1};
    return layout;
}

#endif
