/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

void mcugen_interleave_s8(const int8_t *input, int8_t *output, int32_t plane_bytes, int32_t pixels, int32_t channels)
{
    if (channels == 3) { /* the usual picture: three streams are faster than a loop over channels */
        const int8_t *second = input + plane_bytes, *third = second + plane_bytes;
        for (; pixels > 0; pixels--, output += 3) {
            output[0] = *input++;
            output[1] = *second++;
            output[2] = *third++;
        }
        return;
    }
    for (; pixels > 0; pixels--, input++) {
        const int8_t *value = input;
        for (int32_t c = 0; c < channels; c++, value += plane_bytes) {
            *output++ = *value;
        }
    }
}
