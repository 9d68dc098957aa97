/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernels for cores with SMLAD share. */
#ifndef MCUGEN_DSP_H
#define MCUGEN_DSP_H

#include "mcugen_layer.h"

#if defined(MCUGEN_ASM_DSP)
/* A word of int8 weights as int16: r6, r8. */
#define MCUGEN_WIDEN(word) "sxtb16 r8, " word ", ror #8\n\tsxtb16 r6, " word "\n\t"

/* From column r0, `turns` times `unroll` groups of `group` bytes. The end waits on the stack. */
#define MCUGEN_LOOP_BYTES "(%c[turns] * %c[unroll] * %c[group])"
#define MCUGEN_LOOP_BEGIN                                                                                              \
    ".if %c[turns] > 1\n\t"                                                                                            \
    "movw r6, " MCUGEN_LOOP_BYTES " & 0xFFFF\n\t"                                                                      \
    ".if " MCUGEN_LOOP_BYTES " > 0xFFFF\n\tmovt r6, " MCUGEN_LOOP_BYTES " >> 16\n\t.endif\n\t"                         \
    "add r6, r0\n\tpush {r6, r8}\n1:\n\t.endif\n\t"                                                                   \
    ".rept %c[unroll]\n\t"
#define MCUGEN_LOOP_END                                                                                                \
    ".endr\n\t.if %c[turns] > 1\n\tldr r6, [sp]\n\tcmp r0, r6\n\tbne 1b\n\tadd sp, #8\n\t.endif" MCUGEN_ROOM
#endif

/* Requantizes and stores one or both sums of a pixel, of the channels from `channel` on. */
MCUGEN_ALWAYS_INLINE void mcugen_store_pair(const mcugen_layer *p, int32_t a, int32_t b, const int32_t *multiplier,
                                            int32_t channel, int32_t channels, int8_t *output)
{
    const int32_t *const m = multiplier + channel * p->multiplier_step;
    a = mcugen_layer_requant(p, a, m[0], channel);
    b = mcugen_layer_requant(p, b, m[p->multiplier_step], channel + 1);
#if defined(MCUGEN_ASM_DSP)
    if (p->output_c % 2 == 0 && p->output_min == -128 && p->output_max == 127) {
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
