/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic_s16.h"
#include "mcugen_kernels_s16.h"
#define MCUGEN_SUM_TYPE int16_t
#include "mcugen_sum_order.h"

void mcugen_reduce_sum_s16(const mcugen_reduce_sum_s16_params *params,
                           const int16_t *input,
                           int16_t *output,
                           int32_t outer,
                           int32_t reduced,
                           int32_t inner)
{
    const mcugen_reduce_sum_s16_params p = *params; /* a copy: output cannot alias it */
    const int64_t zero = ((int64_t)p.output_zero_point * 2 + 1) * ((int64_t)1 << (p.shift - 1)); /* and one half */
    mcugen_sum_values v = {NULL, reduced, inner, p.input_zero_point, p.input_scale};
    for (int32_t i = 0; i < outer; i++, input += reduced * inner) {
        for (int32_t j = 0; j < inner; j++) {
            int64_t sum = -(int64_t)p.input_zero_point * reduced;
            v.input = input + j;
            for (int32_t r = 0; r < reduced && p.multiplier != 0; r++) {
                sum += v.input[r * inner];
            }
            const int64_t value = sum * p.multiplier + zero;
            int32_t result = (int32_t)(value >> p.shift);
            if (p.multiplier == 0 || mcugen_near_tie_s16(value, p.shift, p.tie)) {
                const float total = mcugen_sum(&v, p.order, p.run, i * inner + j, outer * inner);
                result = mcugen_quantize_s16(total / p.divisor, p.output_scale, p.output_zero_point);
            }
            *output++ = mcugen_activate_s16(result, &p.activation);
        }
    }
}
