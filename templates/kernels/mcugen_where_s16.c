/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_s16.h"
#define MCUGEN_WHERE_TYPE int16_t
#include "mcugen_where.h"

void mcugen_where_s16(const mcugen_where_params *params, const int8_t *condition, const int16_t *b, const int16_t *c,
                      int16_t *output)
{
    mcugen_where(params, condition, b, c, output);
}
