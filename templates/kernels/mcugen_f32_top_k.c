/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"
#define MCUGEN_TOP_K_TYPE float
#define MCUGEN_TOP_K_NAN(value) ((value) != (value))
#include "mcugen_top_k.h"

void mcugen_f32_top_k(const mcugen_top_k_params *params, const float *input, float *values, int64_t *positions)
{
    mcugen_top_k(params, input, values, positions);
}
