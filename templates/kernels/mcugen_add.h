/* SPDX-License-Identifier: Apache-2.0 */
/* Add: what mcugen_add_s8 and the layers that add to what stands at their output share. */
#ifndef MCUGEN_ADD_H
#define MCUGEN_ADD_H

#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

static inline int32_t mcugen_add_float(const mcugen_add_params *p, int32_t a, int32_t b)
{
    const float part = mcugen_fma((float)(b + p->origin), p->b_ratio, p->fixed);
    return mcugen_convert(mcugen_fma((float)(a + p->origin), p->a_ratio, part)) - p->origin;
}

#if defined(MCUGEN_REQUANT_MVE) && defined(__GNUC__)
#define MCUGEN_ADD_LANES 1

/* mcugen_add_float in four lanes. What exceeds int32 converts to INT32_MAX and wraps to the lowest value when 1 is
 * added; the subtraction saturates there. Loads that widen take addresses in low registers. */
MCUGEN_INLINED void mcugen_add_lanes(const mcugen_add_params *p, const int8_t *a, const int8_t *b, int8_t *output,
                                     int32_t count)
{
    const float32x4_t b_ratio = vdupq_n_f32(p->b_ratio);
    const int32x4_t low = vdupq_n_s32(p->activation.min);
    const int32x4_t high = vdupq_n_s32(p->activation.max);
    __asm__ volatile("wlstp.32 lr, %[count], 2f\n"
                     "1:\n\t"
                     "vldrb.s32 q0, [%[b]], #4\n\t"
                     "vldrb.s32 q1, [%[a]], #4\n\t"
                     "vadd.i32 q0, q0, %[origin]\n\t"
                     "vadd.i32 q1, q1, %[origin]\n\t"
                     "vcvt.f32.s32 q0, q0\n\t"
                     "vcvt.f32.s32 q1, q1\n\t"
                     "vfmas.f32 q0, %q[b_ratio], %[fixed]\n\t"
                     "vfma.f32 q0, q1, %[a_ratio]\n\t"
                     "vcvtn.s32.f32 q0, q0\n\t"
                     "vadd.i32 q0, q0, %[one]\n\t"
                     "vqsub.s32 q0, q0, %[back]\n\t"
                     "vmax.s32 q0, q0, %q[low]\n\t"
                     "vmin.s32 q0, q0, %q[high]\n\t"
                     "vstrb.32 q0, [%[output]], #4\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [a] "+l"(a), [b] "+l"(b), [output] "+l"(output)
                     : [count] "r"(count), [origin] "r"(p->origin), [back] "r"(p->origin + 1), [one] "r"(1),
                       [a_ratio] "r"(p->a_ratio), [fixed] "r"(p->fixed), [b_ratio] "w"(b_ratio), [low] "w"(low),
                       [high] "w"(high)
                     : "lr", "q0", "q1", "memory");
}
#endif

#if !defined(MCUGEN_ADD_LANES)
MCUGEN_INLINED void mcugen_add_integers(const mcugen_add_params *p, const int8_t *a, const int8_t *b, int8_t *output,
                                 int32_t count, int32_t tie, int32_t low, int32_t high)
{
    for (int32_t i = 0; i < count; i++) {
        int32_t sum = a[i] * p->a_multiplier + p->offset;
        MCUGEN_IN_REGISTER(sum);
        sum += b[i] * p->b_multiplier;
        const int near_tie = tie >= 0 && mcugen_near_tie(sum, p->shift, tie);
        output[i] = mcugen_clamp(near_tie ? mcugen_add_float(p, a[i], b[i]) : sum >> p->shift, low, high);
    }
}
#endif

/* output may be a or b. */
MCUGEN_INLINED void mcugen_add_values(const mcugen_add_params *params, const int8_t *a, const int8_t *b,
                                      int8_t *output, int32_t count)
{
    const mcugen_add_params p = *params; /* a copy: output cannot alias it */
#if defined(MCUGEN_ADD_LANES)
    mcugen_add_lanes(&p, a, b, output, count);
#else
    MCUGEN_SPECIALISED(mcugen_add_integers, &p, a, b, output, count);
#endif
}

#endif
