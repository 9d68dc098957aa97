/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_dynamic.h"
#include "mcugen_kernels_f32.h"

void mcugen_dynamic_quantize_f32_s8(const float *input, int8_t *output, float *scale, int8_t *zero_point, int32_t count)
{
    *scale = mcugen_dynamic_quantize(input, output, zero_point, count);
}
