/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

static inline int32_t mul_float(const mcugen_mul_params *p, int32_t product)
{
    const float scaled = (float)product * p->ratio;
    return mcugen_convert(scaled + p->zero_point) - p->origin;
}

#if MCUGEN_REQUANT_FPU
#define MUL mul_float
#else
static inline int32_t mul_integer(const mcugen_mul_params *p, int32_t product)
{
    const int32_t value = product * p->multiplier + p->offset;
    return mcugen_near_tie(value, p->shift, p->tie) ? mul_float(p, product) : value >> p->shift;
}
#define MUL mul_integer
#endif

void mcugen_mul_s8(const mcugen_mul_params *params, const int8_t *a, const int8_t *b, int8_t *output, int32_t count)
{
    const mcugen_mul_params p = *params; /* a copy: output cannot alias it */
    for (int32_t i = 0; i < count; i++) {
        const int32_t product = (a[i] + p.a_offset) * (b[i] + p.b_offset);
        output[i] = mcugen_activate(MUL(&p, product), &p.activation);
    }
}
