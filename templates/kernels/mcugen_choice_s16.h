/* SPDX-License-Identifier: Apache-2.0 */
/* The larger or the smaller of two; the file that includes this defines MCUGEN_CHOICE(a, b). Not for users. */
#ifndef MCUGEN_CHOICE_S16_H
#define MCUGEN_CHOICE_S16_H

#include "mcugen_arithmetic_s16.h"
#include "mcugen_broadcast_s16.h"

static inline int32_t mcugen_choice_float(const mcugen_choice_s16_params *p, int32_t a, int32_t b)
{
    const float real_a = (float)(a - p->a_zero_point) * p->a_scale;
    const float real_b = (float)(b - p->b_zero_point) * p->b_scale;
    return mcugen_quantize_s16(MCUGEN_CHOICE(real_a, real_b), p->output_scale, p->output_zero_point);
}

#if MCUGEN_REQUANT_FPU
#define MCUGEN_CHOOSE mcugen_choice_float
#else
static inline int32_t mcugen_choice_integer(const mcugen_choice_s16_params *p, int32_t a, int32_t b)
{
    const int64_t value_a = (int64_t)(a - p->a_zero_point) * p->a_multiplier;
    const int64_t value_b = (int64_t)(b - p->b_zero_point) * p->b_multiplier;
    const int64_t value = MCUGEN_CHOICE(value_a, value_b) + p->offset;
    return mcugen_near_tie_s16(value, p->shift, p->tie) ? mcugen_choice_float(p, a, b) : (int32_t)(value >> p->shift);
}
#define MCUGEN_CHOOSE mcugen_choice_integer
#endif

static void mcugen_choice_row(const void *params, const int16_t *a, int32_t a_step, const int16_t *b, int32_t b_step,
                              int16_t *output, int32_t count)
{
    const mcugen_choice_s16_params p = *(const mcugen_choice_s16_params *)params; /* a copy: output cannot alias it */
    for (; p.same && count > 0; count--, a += a_step, b += b_step) {
        *output++ = mcugen_activate_s16(MCUGEN_CHOICE(*a, *b), &p.activation);
    }
    for (; count > 0; count--, a += a_step, b += b_step) {
        *output++ = mcugen_activate_s16(MCUGEN_CHOOSE(&p, *a, *b), &p.activation);
    }
}

#endif
