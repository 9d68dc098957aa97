/* SPDX-License-Identifier: Apache-2.0 */
/* What the specialised kernels for Helium share. Their inner loops are assembly, because compilers spill what just
 * fits the registers; MCUGEN_HELIUM is defined where it can be built. Elsewhere plain C computes the same.
 *
 * Where Helium has no float, sums are requantized in integers, as mcugen_requant_at does it: four at a time, and one
 * by one behind a call where a tie is near. */
#ifndef MCUGEN_MVE_H
#define MCUGEN_MVE_H

#include "mcugen_bytes.h"
#include "mcugen_layer.h"

#if defined(__ARM_FEATURE_MVE) && defined(__GNUC__) && !MCUGEN_REQUANT_STOCK
#if defined(MCUGEN_REQUANT_MVE) || !MCUGEN_REQUANT_FPU
#define MCUGEN_HELIUM 1
#endif
#endif

#if defined(MCUGEN_HELIUM)

/* A function of assembly alone: it saves what it uses and returns by itself. */
#define MCUGEN_NAKED __attribute__((naked, noinline)) static

#if !defined(MCUGEN_REQUANT_MVE)
/* Shifts of the channels, four of which are loaded at a time. The core finds the members by number. */
typedef struct {
    const int32_t *shifts; /*  0: of the next four; the core moves it */
    int32_t step;          /*  4: to the four behind, in bytes: 16, or 0 where all channels share their shift */
    const int32_t *first;  /*  8 */
    void (*exact)(int32_t *sums, const int32_t *scales, const int32_t *shifts, int32_t count); /* 12 */
} mcugen_mve_shifts;

/* Requantizes sums of four channels, pixel by pixel: a multiple of four. */
MCUGEN_OUT_OF_LINE static void mcugen_mve_exact(int32_t *sums, const int32_t *scales, const int32_t *shifts,
                                                int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        sums[i] = mcugen_requant_at(sums[i], scales[i % 4], shifts[i % 4]);
    }
}

/* `same` has room for four shifts. */
MCUGEN_ALWAYS_INLINE mcugen_mve_shifts mcugen_mve_shifts_of(const mcugen_layer *p, int32_t *same)
{
    for (int32_t i = 0; i < 4; i++) {
        same[i] = p->shift;
    }
    const int32_t *const first = p->shifts != NULL ? p->shifts : same;
    const mcugen_mve_shifts found = {first, p->shifts != NULL ? 16 : 0, first, mcugen_mve_exact};
    return found;
}

/* q2 and q3 from the shifts in q2: for the high and the low word of a product. Spoils WORK. */
#define MCUGEN_MVE_SHIFTS(WORK)                                                                                        \
    "mov " WORK ", #15\n\t"                                                                                            \
    "vsub.i32 q3, q2, " WORK "\n\t"                                                                                    \
    "mov " WORK ", #17\n\t"                                                                                            \
    "vadd.i32 q2, q2, " WORK "\n\t"

/* SUMS * q4 / 2^(15 - shift), rounded down, modulo 2^32. Spoils q5. */
#define MCUGEN_MVE_SCALE_DOWN(SUMS)                                                                                    \
    "vmulh.s32 q5, " SUMS ", q4\n\t"                                                                                   \
    "vmul.i32 " SUMS ", " SUMS ", q4\n\t"                                                                              \
    "vshl.s32 q5, q5, q2\n\t"                                                                                          \
    "vshl.u32 " SUMS ", " SUMS ", q3\n\t"                                                                              \
    "vorr " SUMS ", " SUMS ", q5\n\t"

/* The largest distance of the 16 fraction bits from 0, in the upper half of NEAR. Spoils q5. */
#define MCUGEN_MVE_NEAR(SUMS, NEAR)                                                                                    \
    "vshl.i32 q5, " SUMS ", #16\n\t"                                                                                   \
    "vmaxav.s32 " NEAR ", q5\n\t"

/* To LABEL if the largest distance is within 2 of a tie: there the float roundings may decide. Spoils NEAR. */
#define MCUGEN_MVE_IF_NEAR(NEAR, LABEL)                                                                                \
    "adds " NEAR ", " NEAR ", #0x20000\n\t"                                                                            \
    "bmi " LABEL "\n\t"
#endif

/* mcugen_window_copy, a row at a time. */
MCUGEN_OUT_OF_LINE static void
mcugen_mve_window_copy(const mcugen_layer *p, int32_t input_h, const int8_t *image, mcugen_window w, int8_t *copy)
{
    const int8_t zero = (int8_t)p->input_zero;
    const int32_t row_bytes = p->filter_w * p->input_c;
    const int32_t before = (w.x < 0 ? -w.x : 0) * p->input_c;
    const int32_t beyond = w.x + p->filter_w > p->input_w ? w.x + p->filter_w - p->input_w : 0;
    const int32_t inside = row_bytes - before - beyond * p->input_c;

    if (p->dilation_w != 1) {
        mcugen_window_copy(p, input_h, image, w, copy);
        return;
    }
    for (int32_t i = 0, y = w.y; i < p->filter_h; i++, y += p->dilation_h, copy += row_bytes) {
        if (y < 0 || y >= input_h || inside <= 0) {
            mcugen_memset(copy, zero, row_bytes);
            continue;
        }
        mcugen_memset(copy, zero, before);
        mcugen_memcpy(copy + before, image + (y * p->input_w + w.x) * p->input_c + before, inside);
        mcugen_memset(copy + before + inside, zero, beyond * p->input_c);
    }
}
#endif

/* How many windows from pixel x of row y on lie inside the input, side by side. */
MCUGEN_ALWAYS_INLINE int32_t mcugen_windows_inside(const mcugen_layer *p, const mcugen_rows *r, int32_t y, int32_t x)
{
    const mcugen_window w = mcugen_window_at(p, r, y, x);
    if (!w.inside) {
        return 0;
    }
    const int32_t room = p->input_w - (p->filter_w - 1) * p->dilation_w - w.x;
    const int32_t count = (room - 1) / p->stride_w + 1;
    return count < p->output_w - x ? count : p->output_w - x;
}

#endif
