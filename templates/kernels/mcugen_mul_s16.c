/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic_s16.h"
#include "mcugen_broadcast_s16.h"

static inline int32_t mul_float(const mcugen_mul_s16_params *p, int32_t a, int32_t b)
{
    const float product = ((float)a * p->a_scale) * ((float)b * p->b_scale);
    return mcugen_quantize_s16(product, p->output_scale, p->output_zero_point);
}

#if MCUGEN_REQUANT_FPU
#define MUL mul_float
#else
static inline int32_t mul_integer(const mcugen_mul_s16_params *p, int32_t a, int32_t b)
{
    const int64_t value = (int64_t)a * b * p->multiplier + p->offset;
    return mcugen_near_tie_s16(value, p->shift, p->tie) ? mul_float(p, a, b) : (int32_t)(value >> p->shift);
}
#define MUL mul_integer
#endif

static void row(const void *params, const int16_t *a, int32_t a_step, const int16_t *b, int32_t b_step,
                int16_t *output, int32_t count)
{
    const mcugen_mul_s16_params p = *(const mcugen_mul_s16_params *)params; /* a copy: output cannot alias it */
    for (; count > 0; count--, a += a_step, b += b_step) {
        const int32_t value = MUL(&p, *a - p.a_zero_point, *b - p.b_zero_point);
        *output++ = mcugen_activate_s16(value, &p.activation);
    }
}

void mcugen_mul_s16(const mcugen_mul_s16_params *params, const mcugen_broadcast *shape, const int16_t *a,
                    const int16_t *b, int16_t *output)
{
    mcugen_broadcast_rows_s16(row, params, shape, a, b, output);
}
