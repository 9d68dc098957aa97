/* SPDX-License-Identifier: Apache-2.0 */
#define MCUGEN_WHERE_TYPE int8_t
#include "mcugen_where.h"

void mcugen_where_s8(const mcugen_where_params *params, const int8_t *condition, const int8_t *b, const int8_t *c,
                     int8_t *output)
{
    mcugen_where(params, condition, b, c, output);
}
