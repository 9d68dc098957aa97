/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic_s16.h"
#include "mcugen_broadcast_s16.h"

static inline int32_t add_float(const mcugen_add_s16_params *p, int32_t a, int32_t b)
{
    const float real_a = (float)(a - p->a_zero_point) * p->a_scale;
    const float real_b = (float)(b - p->b_zero_point) * p->b_scale;
    return mcugen_quantize_s16(real_a + real_b, p->output_scale, p->output_zero_point);
}

#if MCUGEN_REQUANT_FPU
#define ADD add_float
#else
static inline int32_t add_integer(const mcugen_add_s16_params *p, int32_t a, int32_t b)
{
    const int64_t value = (int64_t)a * p->a_multiplier + (int64_t)b * p->b_multiplier + p->offset;
    return mcugen_near_tie_s16(value, p->shift, p->tie) ? add_float(p, a, b) : (int32_t)(value >> p->shift);
}
#define ADD add_integer
#endif

static void row(const void *params, const int16_t *a, int32_t a_step, const int16_t *b, int32_t b_step,
                int16_t *output, int32_t count)
{
    const mcugen_add_s16_params p = *(const mcugen_add_s16_params *)params; /* a copy: output cannot alias it */
    for (; count > 0; count--, a += a_step, b += b_step) {
        *output++ = mcugen_activate_s16(ADD(&p, *a, *b), &p.activation);
    }
}

void mcugen_add_s16(const mcugen_add_s16_params *params, const mcugen_broadcast *shape, const int16_t *a,
                    const int16_t *b, int16_t *output)
{
    mcugen_broadcast_rows_s16(row, params, shape, a, b, output);
}
