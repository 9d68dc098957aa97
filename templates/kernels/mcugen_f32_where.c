/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"
#define MCUGEN_WHERE_TYPE float
#include "mcugen_where.h"

void mcugen_f32_where(const mcugen_where_params *params, const int8_t *condition, const float *b, const float *c,
                      float *output)
{
    mcugen_where(params, condition, b, c, output);
}
