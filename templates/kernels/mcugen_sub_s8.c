/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

static inline int32_t sub_float(const mcugen_sub_params *p, int32_t a, int32_t b)
{
    const float real_a = (float)(a - p->a_zero_point) * p->a_scale;
    const float real_b = (float)(b - p->b_zero_point) * p->b_scale;
    return mcugen_quantize(real_a - real_b, p->output_scale, p->output_zero_point);
}

#if MCUGEN_REQUANT_FPU
#define SUB sub_float
#else
static inline int32_t sub_integer(const mcugen_sub_params *p, int32_t a, int32_t b)
{
    const int32_t difference = a * p->a_multiplier - b * p->b_multiplier + p->offset;
    return mcugen_near_tie(difference, p->shift, p->tie) ? sub_float(p, a, b) : difference >> p->shift;
}
#define SUB sub_integer
#endif

void mcugen_sub_s8(const mcugen_sub_params *params, const int8_t *a, const int8_t *b, int8_t *output, int32_t count)
{
    const mcugen_sub_params p = *params; /* a copy: output cannot alias it */
    for (int32_t i = 0; i < count; i++) {
        output[i] = mcugen_activate(SUB(&p, a[i], b[i]), &p.activation);
    }
}
