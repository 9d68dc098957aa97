/* SPDX-License-Identifier: Apache-2.0 */
#define MCUGEN_F32_COMPARISON
#define MCUGEN_F32_OPERATION(x, y) (x >= y)
#include "mcugen_f32_binary.h"

void mcugen_f32_greaterorequal(const mcugen_f32_binary_params *params, const float *a, const float *b, int8_t *output)
{
    mcugen_f32_binary(params, a, b, output);
}
