/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

void mcugen_div_s8(const mcugen_div_params *params, const int8_t *a, const int8_t *b, int8_t *output, int32_t count)
{
    const mcugen_div_params p = *params; /* a copy: output cannot alias it */
    for (int32_t i = 0; i < count; i++) {
        const float real_a = (float)(a[i] - p.a_zero_point) * p.a_scale;
        const float real_b = (float)(b[i] - p.b_zero_point) * p.b_scale;
        const int8_t quotient = mcugen_quantize(real_a / real_b, p.output_scale, p.output_zero_point);
        output[i] = mcugen_activate(quotient, &p.activation);
    }
}
