/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

static inline int32_t sub_float(const mcugen_sub_params *p, int32_t a, int32_t b)
{
    const float real_a = (float)(a - p->a_zero_point) * p->a_scale;
    const float real_b = (float)(b - p->b_zero_point) * p->b_scale;
    return mcugen_quantize(real_a - real_b, p->output_scale, p->output_zero_point);
}

MCUGEN_INLINED void sub_integers(const mcugen_sub_params *p, const int8_t *a, const int8_t *b, int8_t *output,
                                 int32_t count, int32_t tie, int32_t low, int32_t high)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t difference = a[i] * p->a_multiplier - b[i] * p->b_multiplier + p->offset;
        const int near_tie = tie >= 0 && mcugen_near_tie(difference, p->shift, tie);
        output[i] = mcugen_clamp(near_tie ? sub_float(p, a[i], b[i]) : difference >> p->shift, low, high);
    }
}

void mcugen_sub_s8(const mcugen_sub_params *params, const int8_t *a, const int8_t *b, int8_t *output, int32_t count)
{
    const mcugen_sub_params p = *params; /* a copy: output cannot alias it */
    MCUGEN_SPECIALISED(sub_integers, &p, a, b, output, count);
}
