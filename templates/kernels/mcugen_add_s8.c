/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

static inline int32_t add_float(const mcugen_add_params *p, int32_t a, int32_t b)
{
    const float part = mcugen_fma((float)(b + p->origin), p->b_ratio, p->fixed);
    return mcugen_convert(mcugen_fma((float)(a + p->origin), p->a_ratio, part)) - p->origin;
}

#if MCUGEN_REQUANT_FPU
#define ADD add_float
#else
static inline int32_t add_integer(const mcugen_add_params *p, int32_t a, int32_t b)
{
    const int32_t sum = a * p->a_multiplier + b * p->b_multiplier + p->offset;
    return mcugen_near_tie(sum, p->shift, p->tie) ? add_float(p, a, b) : sum >> p->shift;
}
#define ADD add_integer
#endif

void mcugen_add_s8(const mcugen_add_params *params, const int8_t *a, const int8_t *b, int8_t *output, int32_t count)
{
    const mcugen_add_params p = *params; /* a copy: output cannot alias it */
    for (int32_t i = 0; i < count; i++) {
        output[i] = mcugen_activate(ADD(&p, a[i], b[i]), &p.activation);
    }
}
