/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of 4 bits; not for users. */
#ifndef MCUGEN_UNPACK_S4_H
#define MCUGEN_UNPACK_S4_H

#include <stdint.h>
#include <string.h>

#include "mcugen_requant.h"

/* Two a byte, the first in the low half; each filter begins a new byte. */
MCUGEN_OUT_OF_LINE static void mcugen_unpack_s4(const int8_t *packed, int8_t *weights, int32_t count)
{
    int32_t i = 0;
#if defined(__ARM_FEATURE_UNALIGNED) && !defined(__ARM_BIG_ENDIAN)
    for (; i + 4 <= count; i += 4, packed += 2) { /* a nibble to each byte, then their signs */
        uint16_t pairs;
        memcpy(&pairs, packed, sizeof pairs);
        uint32_t four = pairs;
        four = (four | four << 8) & 0x00FF00FFu;
        four = (four | four << 4) & 0x0F0F0F0Fu;
        four = ((four ^ 0x88888888u) - 0x08080808u) ^ 0x80808080u; /* (n ^ 8) - 8 each, and bit 7 keeps borrows apart */
        memcpy(weights + i, &four, sizeof four);
    }
#endif
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
