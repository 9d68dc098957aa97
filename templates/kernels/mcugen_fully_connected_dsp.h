/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected for cores with SMLAD: one vector of a multiple of 4 bytes, read in place, against four channels at a
 * time. Tables as for mcugen_conv_dsp.h, but with a multiple of four channels. Order: none, the whole vector
 * is read for every four outputs.
 *
 * Scratch: none. */
#ifndef MCUGEN_FULLY_CONNECTED_DSP_H
#define MCUGEN_FULLY_CONNECTED_DSP_H

#include "mcugen_dsp.h"

#if defined(MCUGEN_ASM_DSP)
/* The next word of bytes as a group: r3, r4. */
#define MCUGEN_LOAD_GROUP "ldr r4, [r0], #4\n\tsxtb16 r3, r4\n\tsxtb16 r4, r4, ror #8\n\t"
#endif

/* Channels a, b and, `pair_bytes` behind them, c, d: the sums of one pixel. */
typedef struct {
    int32_t a, b, c, d;
} mcugen_sums_1x4;

/* One column of bytes in place against four channels; depth is a multiple of 4. */
MCUGEN_ALWAYS_INLINE mcugen_sums_1x4
mcugen_dot_1x4(const int8_t *bytes, const int8_t *weights, int32_t pair_bytes, int32_t groups, int32_t weight_bytes,
               int32_t unroll, const int32_t *bias)
{
    mcugen_sums_1x4 s = {bias[0], bias[1], bias[2], bias[3]};
#if defined(MCUGEN_ASM_DSP)
    register const int8_t *x __asm__("r0") = bytes;
    register const int8_t *w __asm__("r1") = weights;
    register const int8_t *v __asm__("r2") = weights + pair_bytes;
    register int32_t a __asm__("r10") = s.a;
    register int32_t b __asm__("r11") = s.b;
    register int32_t c __asm__("r12") = s.c;
    register int32_t d __asm__("lr") = s.d;
    if (weight_bytes == 1) {
        __asm__(MCUGEN_LOOP_BEGIN MCUGEN_LOAD_GROUP
                "ldmia r1!, {r6, r9}\n\t" MCUGEN_WIDEN("r6")
                "smlad r10, r3, r6, r10\n\tsmlad r10, r4, r8, r10\n\t" MCUGEN_WIDEN("r9")
                "smlad r11, r3, r6, r11\n\tsmlad r11, r4, r8, r11\n\t"
                "ldmia r2!, {r6, r9}\n\t" MCUGEN_WIDEN("r6")
                "smlad r12, r3, r6, r12\n\tsmlad r12, r4, r8, r12\n\t" MCUGEN_WIDEN("r9")
                "smlad lr, r3, r6, lr\n\tsmlad lr, r4, r8, lr\n\t" MCUGEN_LOOP_END
                : "+r"(x), "+r"(w), "+r"(v), "+r"(a), "+r"(b), "+r"(c), "+r"(d)
                : [group] "i"(4), [unroll] "i"(unroll), [turns] "i"(groups / unroll)
                : "r3", "r4", "r6", "r8", "r9", "cc", "memory");
    } else {
        __asm__(MCUGEN_LOOP_BEGIN MCUGEN_LOAD_GROUP
                "ldmia r1!, {r5, r6, r8, r9}\n\t"
                "smlad r10, r3, r5, r10\n\tsmlad r10, r4, r6, r10\n\t"
                "smlad r11, r3, r8, r11\n\tsmlad r11, r4, r9, r11\n\t"
                "ldmia r2!, {r5, r6, r8, r9}\n\t"
                "smlad r12, r3, r5, r12\n\tsmlad r12, r4, r6, r12\n\t"
                "smlad lr, r3, r8, lr\n\tsmlad lr, r4, r9, lr\n\t" MCUGEN_LOOP_END
                : "+r"(x), "+r"(w), "+r"(v), "+r"(a), "+r"(b), "+r"(c), "+r"(d)
                : [group] "i"(4), [unroll] "i"(unroll), [turns] "i"(groups / unroll)
                : "r3", "r4", "r5", "r6", "r8", "r9", "cc", "memory");
    }
    s.a = a;
    s.b = b;
    s.c = c;
    s.d = d;
#else
    (void)unroll;
    for (int32_t i = 0; i < 4 * groups; i++) {
        const int32_t place = (i & ~3) | (i & 1) << 1 | (i & 2) >> 1; /* where int16 weights have byte i */
        const int32_t at = i + (i & ~3), at_wide = place + (i & ~3);
        const int16_t *const wide = (const int16_t *)(const void *)weights;
        if (weight_bytes == 1) {
            s.a += bytes[i] * weights[at];
            s.b += bytes[i] * weights[at + 4];
            s.c += bytes[i] * weights[pair_bytes + at];
            s.d += bytes[i] * weights[pair_bytes + at + 4];
        } else {
            s.a += bytes[i] * wide[at_wide];
            s.b += bytes[i] * wide[at_wide + 4];
            s.c += bytes[i] * wide[pair_bytes / 2 + at_wide];
            s.d += bytes[i] * wide[pair_bytes / 2 + at_wide + 4];
        }
    }
#endif
    return s;
}

MCUGEN_ALWAYS_INLINE void mcugen_fully_connected_dsp(const cmsis_nn_context *scratch,
                                                     const mcugen_layer *p,
                                                     const mcugen_rows *r,
                                                     const int8_t *input,
                                                     const void *weights,
                                                     const int32_t *bias,
                                                     const int32_t *multiplier,
                                                     int8_t *output)
{
    const int32_t groups = p->input_c / 4, pair_bytes = 8 * groups * p->weight_bytes;
    const int8_t *pair = weights;
    (void)scratch;
    (void)r;

    for (int32_t c = 0; c < p->output_c; c += 4, pair += 2 * pair_bytes) {
        const int32_t left = p->output_c - c;
        const mcugen_sums_1x4 s =
            mcugen_dot_1x4(input, pair, pair_bytes, groups, p->weight_bytes, p->unroll, bias + c);
        mcugen_store_pair(p, s.a, s.b, multiplier, c, left > 1 ? 2 : 1, output + c);
        if (p->output_c % 4 == 0 || left > 2) {
            mcugen_store_pair(p, s.c, s.d, multiplier, c + 2, left > 3 ? 2 : 1, output + c + 2);
        }
    }
}

#endif
