/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic_s16.h"
#include "mcugen_broadcast_s16.h"

static void row(const void *params, const int16_t *a, int32_t a_step, const int16_t *b, int32_t b_step,
                int16_t *output, int32_t count)
{
    const mcugen_div_params p = *(const mcugen_div_params *)params; /* a copy: output cannot alias it */
    for (; count > 0; count--, a += a_step, b += b_step) {
        const float real_a = (float)(*a - p.a_zero_point) * p.a_scale;
        const float real_b = (float)(*b - p.b_zero_point) * p.b_scale;
        const int32_t quotient = mcugen_quantize_s16(real_a / real_b, p.output_scale, p.output_zero_point);
        *output++ = mcugen_activate_s16(quotient, &p.activation);
    }
}

void mcugen_div_s16(const mcugen_div_params *params, const mcugen_broadcast *shape, const int16_t *a,
                    const int16_t *b, int16_t *output)
{
    mcugen_broadcast_rows_s16(row, params, shape, a, b, output);
}
