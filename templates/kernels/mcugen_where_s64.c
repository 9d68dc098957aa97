/* SPDX-License-Identifier: Apache-2.0 */
#define MCUGEN_WHERE_TYPE int64_t
#include "mcugen_where.h"

void mcugen_where_s64(const mcugen_where_params *params, const int8_t *condition, const int64_t *b, const int64_t *c,
                      int64_t *output)
{
    mcugen_where(params, condition, b, c, output);
}
