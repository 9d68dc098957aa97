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

#endif
