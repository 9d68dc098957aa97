/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#define MCUGEN_SUM_TYPE int8_t
#include "mcugen_sum_order.h"

void mcugen_reduce_sum_s8(const mcugen_reduce_sum_params *params, const int8_t *input, int8_t *output, int32_t outer,
                          int32_t reduced, int32_t inner)
{
    const mcugen_reduce_sum_params p = *params; /* a copy: output cannot alias it */
    const int32_t offset = p.output_zero_point * 65536 + 0x8000;
    mcugen_sum_values v = {NULL, reduced, inner, p.input_zero_point, p.input_scale};
    for (int32_t i = 0; i < outer; i++, input += reduced * inner) {
        for (int32_t j = 0; j < inner; j++) {
            int32_t sum = -p.input_zero_point * reduced;
            v.input = input + j;
            for (int32_t r = 0; r < reduced; r++) {
                sum += v.input[r * inner];
            }
            const int32_t value = (int32_t)(((int64_t)sum * p.multiplier) >> p.shift) + offset;
            int32_t result = value >> 16;
            if (mcugen_near_tie(value, 16, p.tie)) {
                const float total = mcugen_sum(&v, p.order, p.run, i * inner + j, outer * inner);
                result = mcugen_quantize(total / p.divisor, p.output_scale, p.output_zero_point);
            }
            *output++ = mcugen_activate(result, &p.activation);
        }
    }
}
