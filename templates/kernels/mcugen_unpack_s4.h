/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of 4 bits; not for users. */
#ifndef MCUGEN_UNPACK_S4_H
#define MCUGEN_UNPACK_S4_H

#include <stdint.h>

#include "mcugen_requant.h"

/* Two a byte, the first in the low half; each filter begins a new byte. */
MCUGEN_OUT_OF_LINE static void mcugen_unpack_s4(const int8_t *packed, int8_t *weights, int32_t count)
{
    int32_t i = 0;
    for (; i + 2 <= count; i += 2) {
        const int32_t pair = *packed++;
        weights[i] = (int8_t)(((pair & 15) ^ 8) - 8);
        weights[i + 1] = (int8_t)(pair >> 4);
    }
    if (i < count) {
        weights[i] = (int8_t)(((*packed & 15) ^ 8) - 8);
    }
}

#endif
