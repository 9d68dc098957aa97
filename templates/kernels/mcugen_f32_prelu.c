/* SPDX-License-Identifier: Apache-2.0 */
#define MCUGEN_F32_OPERATION(x, y) (x < 0.0f ? x * y : x)
#include "mcugen_f32_binary.h"

void mcugen_f32_prelu(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output)
{
    mcugen_f32_binary(params, a, b, output);
}
