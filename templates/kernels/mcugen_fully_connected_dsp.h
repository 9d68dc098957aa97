/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected for cores with SMLAD: one vector of a multiple of 4 bytes, read in place, against four channels at a
 * time. Weights as for mcugen_conv_dsp.h, but four channels, or two pairs, take turns. Order: none, the whole vector is
 * read for every four outputs.
 *
 * Scratch: none. */
#ifndef MCUGEN_FULLY_CONNECTED_DSP_H
#define MCUGEN_FULLY_CONNECTED_DSP_H

#include "mcugen_dsp.h"

#if defined(MCUGEN_ASM_DSP)
/* The next word of bytes as a group: r3, r4. */
#define MCUGEN_LOAD_GROUP "ldr r4, [r0], #4\n\tsxtb16 r3, r4\n\tsxtb16 r4, r4, ror #8\n\t"
#endif

/* The sums of four channels. */
typedef struct {
    int32_t a, b, c, d;
} mcugen_sums_1x4;

/* One column of bytes in place against four channels. */
MCUGEN_ALWAYS_INLINE mcugen_sums_1x4 mcugen_dot_1x4(const mcugen_layer *p, const int8_t *bytes, const void *weights,
                                                    const int32_t *bias)
{
    mcugen_sums_1x4 s = {bias[0], bias[1], bias[2], bias[3]};
    const int32_t groups = p->input_c / 4;
#if defined(MCUGEN_ASM_DSP)
    const int8_t *const end = bytes + p->input_c;
    register const int8_t *x __asm__("r0") = bytes;
    register const void *w __asm__("r1") = weights;
    register int32_t a __asm__("r10") = s.a;
    register int32_t b __asm__("r11") = p->paired ? s.a : s.b;
    register int32_t c __asm__("r12") = s.c;
    register int32_t d __asm__("lr") = p->paired ? s.c : s.d;
    if (p->paired) {
        __asm__(MCUGEN_LOOP_BEGIN MCUGEN_LOAD_GROUP
                "ldmia r1!, {r2, r5, r6, r9}\n\t"
                "sxtb16 r8, r2\n\t" MCUGEN_SMLAD_PAIRED("r2", "r3", "r10", "r11")
                "sxtb16 r8, r5\n\t" MCUGEN_SMLAD_PAIRED("r5", "r4", "r10", "r11")
                "sxtb16 r8, r6\n\t" MCUGEN_SMLAD_PAIRED("r6", "r3", "r12", "lr")
                "sxtb16 r8, r9\n\t" MCUGEN_SMLAD_PAIRED("r9", "r4", "r12", "lr") MCUGEN_LOOP_END
                : "+r"(x), "+r"(w), "+r"(a), "+r"(b), "+r"(c), "+r"(d)
                : [end] "m"(end), [unroll] "i"(p->unroll), [turns] "i"(groups / p->unroll)
                : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "cc", "memory");
        b = mcugen_second_sum(b, a, bias[1]);
        d = mcugen_second_sum(d, c, bias[3]);
    } else if (p->weight_bytes == 1) {
        __asm__(MCUGEN_LOOP_BEGIN MCUGEN_LOAD_GROUP
                "ldmia r1!, {r6, r9}\n\t" MCUGEN_WIDEN("r6")
                "smlad r10, r3, r6, r10\n\tsmlad r10, r4, r8, r10\n\t" MCUGEN_WIDEN("r9")
                "smlad r11, r3, r6, r11\n\tsmlad r11, r4, r8, r11\n\t"
                "ldmia r1!, {r6, r9}\n\t" MCUGEN_WIDEN("r6")
                "smlad r12, r3, r6, r12\n\tsmlad r12, r4, r8, r12\n\t" MCUGEN_WIDEN("r9")
                "smlad lr, r3, r6, lr\n\tsmlad lr, r4, r8, lr\n\t" MCUGEN_LOOP_END
                : "+r"(x), "+r"(w), "+r"(a), "+r"(b), "+r"(c), "+r"(d)
                : [end] "m"(end), [unroll] "i"(p->unroll), [turns] "i"(groups / p->unroll)
                : "r3", "r4", "r6", "r8", "r9", "cc", "memory");
    } else {
        __asm__(MCUGEN_LOOP_BEGIN MCUGEN_LOAD_GROUP
                "ldmia r1!, {r5, r6, r8, r9}\n\t"
                "smlad r10, r3, r5, r10\n\tsmlad r10, r4, r6, r10\n\t"
                "smlad r11, r3, r8, r11\n\tsmlad r11, r4, r9, r11\n\t"
                "ldmia r1!, {r5, r6, r8, r9}\n\t"
                "smlad r12, r3, r5, r12\n\tsmlad r12, r4, r6, r12\n\t"
                "smlad lr, r3, r8, lr\n\tsmlad lr, r4, r9, lr\n\t" MCUGEN_LOOP_END
                : "+r"(x), "+r"(w), "+r"(a), "+r"(b), "+r"(c), "+r"(d)
                : [end] "m"(end), [unroll] "i"(p->unroll), [turns] "i"(groups / p->unroll)
                : "r3", "r4", "r5", "r6", "r8", "r9", "cc", "memory");
    }
    s.a = a;
    s.b = b;
    s.c = c;
    s.d = d;
#else
    for (int32_t i = 0; i < 4 * groups; i++) {
        const int32_t value = bytes[(i & ~3) | (i & 2) >> 1 | (i & 1) << 1]; /* in the order of a column */
        s.a += value * mcugen_weight_dsp(p, weights, 4, 0, i);
        s.b += value * mcugen_weight_dsp(p, weights, 4, 1, i);
        s.c += value * mcugen_weight_dsp(p, weights, 4, 2, i);
        s.d += value * mcugen_weight_dsp(p, weights, 4, 3, i);
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
    const int8_t *four = weights;
    (void)scratch;
    (void)r;

    for (int32_t c = 0; c < p->output_c; c += 4, four += 4 * p->input_c * p->weight_bytes) {
        const int32_t left = p->output_c - c;
        const mcugen_sums_1x4 s = mcugen_dot_1x4(p, input, four, bias + c);
        mcugen_store_pair(p, s.a, s.b, multiplier, c, left > 1 ? 2 : 1, output + c);
        if (p->output_c % 4 == 0 || left > 2) {
            mcugen_store_pair(p, s.c, s.d, multiplier, c + 2, left > 3 ? 2 : 1, output + c + 2);
        }
    }
}

#endif
