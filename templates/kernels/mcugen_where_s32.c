/* SPDX-License-Identifier: Apache-2.0 */
#define MCUGEN_WHERE_TYPE int32_t
#include "mcugen_where.h"

void mcugen_where_s32(const mcugen_where_params *params, const int8_t *condition, const int32_t *b, const int32_t *c,
                      int32_t *output)
{
    mcugen_where(params, condition, b, c, output);
}
