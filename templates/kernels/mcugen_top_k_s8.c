/* SPDX-License-Identifier: Apache-2.0 */
#define MCUGEN_TOP_K_TYPE int8_t
#define MCUGEN_TOP_K_NAN(value) 0
#include "mcugen_top_k.h"

void mcugen_top_k_s8(const mcugen_top_k_params *params, const int8_t *input, int8_t *values, int64_t *positions)
{
    mcugen_top_k(params, input, values, positions);
}
