/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernels for cores with SMLAD share. */
#ifndef MCUGEN_DSP_H
#define MCUGEN_DSP_H

#include "mcugen_layer.h"

#if defined(MCUGEN_ASM_DSP)
/* A word of int8 weights as int16: r6, r8. */
#define MCUGEN_WIDEN(word) "sxtb16 r8, " word ", ror #8\n\tsxtb16 r6, " word "\n\t"

/* A word of paired weights, whose first channel's become int16 in r8, meets a word of a column. */
#define MCUGEN_SMLAD_PAIRED(word, column, a, b)                                                                        \
    "smlad " a ", " column ", r8, " a "\n\tsmlad " b ", " column ", " word ", " b "\n\t"

/* From column r0 to its end, `turns` times `unroll` groups. */
#define MCUGEN_LOOP_BEGIN "1:\n\t.rept %c[unroll]\n\t"
#define MCUGEN_LOOP_END ".endr\n\t.if %c[turns] > 1\n\tldr r6, %[end]\n\tcmp r0, r6\n\tbne 1b\n\t.endif\n\t" MCUGEN_ROOM
#endif

/* The sum of a pair's second channel, from the sum of column values times paired weights upon the first one's bias. */
MCUGEN_ALWAYS_INLINE int32_t mcugen_second_sum(int32_t both, int32_t first, int32_t bias)
{
    return bias + ((int32_t)((uint32_t)both - (uint32_t)first) >> 8);
}

#if !defined(MCUGEN_ASM_DSP)
/* Weight i, in the order of the column, of channel 0 or 1 of a pair, `rows` channels of which lie in turns. */
MCUGEN_ALWAYS_INLINE int32_t mcugen_weight_dsp(const mcugen_layer *p, const void *weights, int32_t rows, int32_t row,
                                               int32_t i)
{
    const int32_t at = (i >> 2) * 4 * rows + row * 4 + (i & 3);
    if (p->paired) {
        const int16_t both = ((const int16_t *)weights)[(i >> 2) * 2 * rows + (row >> 1) * 4 + (i & 3)];
        const int32_t first = (int8_t)(uint8_t)((uint16_t)both & 0xFFu);
        return (row & 1) == 0 ? first : (both - first) / 256;
    }
    if (p->weight_bytes == 1) { /* 0, 2, 1, 3 */
        return ((const int8_t *)weights)[(at & ~3) | (at & 2) >> 1 | (at & 1) << 1];
    }
    return ((const int16_t *)weights)[at];
}
#endif

/* Requantizes and stores one or both sums of a pixel, of the channels from `channel` on. */
MCUGEN_ALWAYS_INLINE void mcugen_store_pair(const mcugen_layer *p, int32_t a, int32_t b, const int32_t *multiplier,
                                            int32_t channel, int32_t channels, int8_t *output)
{
    const int32_t *const m = multiplier + channel * p->multiplier_step;
    a = mcugen_layer_requant(p, a, m[0], channel);
    b = mcugen_layer_requant(p, b, m[p->multiplier_step], channel + 1);
#if defined(MCUGEN_ASM_DSP)
    const int pairs = p->output_c % 2 == 0 && (p->groups < 2 || p->output_c / p->groups % 2 == 0);
    if (pairs && p->output_min == -128 && p->output_max == 127) {
        const uint32_t pair = mcugen_saturate_pair(p, a, b);
        const uint16_t bytes = (uint16_t)((pair | pair >> 8) ^ 0x8080u);
        memcpy(output, &bytes, sizeof bytes);
        return;
    }
#endif
    output[0] = mcugen_layer_clamp(p, a);
    if (channels == 2) {
        output[1] = mcugen_layer_clamp(p, b);
    }
}

#endif
