/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

static inline int32_t mul_float(const mcugen_mul_params *p, int32_t product)
{
    const float scaled = (float)product * p->ratio;
    return mcugen_convert(scaled + p->zero_point) - p->origin;
}

#if defined(MCUGEN_REQUANT_MVE) && defined(__GNUC__)
#define MUL_LANES 1

/* The whole in four lanes; as for sums, INT32_MAX wraps to the lowest value and the subtraction saturates. */
static void mul_lanes(const mcugen_mul_params *p, const int8_t *a, const int8_t *b, int8_t *output, int32_t count)
{
    const int32x4_t low = vdupq_n_s32(p->activation.min);
    const int32x4_t high = vdupq_n_s32(p->activation.max);
    __asm__ volatile("wlstp.32 lr, %[count], 2f\n"
                     "1:\n\t"
                     "vldrb.s32 q0, [%[a]], #4\n\t"
                     "vldrb.s32 q1, [%[b]], #4\n\t"
                     "vadd.i32 q0, q0, %[a_offset]\n\t"
                     "vadd.i32 q1, q1, %[b_offset]\n\t"
                     "vmul.i32 q0, q0, q1\n\t"
                     "vcvt.f32.s32 q0, q0\n\t"
                     "vmul.f32 q0, q0, %[ratio]\n\t"
                     "vadd.f32 q0, q0, %[zero_point]\n\t"
                     "vcvtn.s32.f32 q0, q0\n\t"
                     "vadd.i32 q0, q0, %[one]\n\t"
                     "vqsub.s32 q0, q0, %[back]\n\t"
                     "vmax.s32 q0, q0, %q[low]\n\t"
                     "vmin.s32 q0, q0, %q[high]\n\t"
                     "vstrb.32 q0, [%[output]], #4\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [a] "+r"(a), [b] "+r"(b), [output] "+r"(output)
                     : [count] "r"(count), [a_offset] "r"(p->a_offset), [b_offset] "r"(p->b_offset),
                       [back] "r"(p->origin + 1), [one] "r"(1), [ratio] "r"(p->ratio),
                       [zero_point] "r"(p->zero_point), [low] "w"(low), [high] "w"(high)
                     : "lr", "q0", "q1", "memory");
}
#endif

#if !defined(MUL_LANES)
MCUGEN_INLINED void mul_integers(const mcugen_mul_params *p, const int8_t *a, const int8_t *b, int8_t *output,
                                 int32_t count, int32_t tie, int32_t low, int32_t high)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t product = (a[i] + p->a_offset) * (b[i] + p->b_offset);
        const int32_t value = product * p->multiplier + p->offset;
        const int near_tie = tie >= 0 && mcugen_near_tie(value, p->shift, tie);
        output[i] = mcugen_clamp(near_tie ? mul_float(p, product) : value >> p->shift, low, high);
    }
}
#endif

void mcugen_mul_s8(const mcugen_mul_params *params, const int8_t *a, const int8_t *b, int8_t *output, int32_t count)
{
    const mcugen_mul_params p = *params; /* a copy: output cannot alias it */
#if defined(MUL_LANES)
    mul_lanes(&p, a, b, output, count);
#else
    MCUGEN_SPECIALISED(mul_integers, &p, a, b, output, count);
#endif
}
