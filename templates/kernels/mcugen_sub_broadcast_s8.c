/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_broadcast.h"

static void row(const void *params, const int8_t *a, const int8_t *b, int8_t *output, int32_t count)
{
    mcugen_sub_s8((const mcugen_sub_params *)params, a, b, output, count);
}

void mcugen_sub_broadcast_s8(const mcugen_sub_params *params, const mcugen_broadcast *shape, const int8_t *a,
                             const int8_t *b, int8_t *output)
{
    mcugen_broadcast_rows(row, params, shape, a, b, output);
}
