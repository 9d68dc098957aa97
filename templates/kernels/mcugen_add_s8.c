/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_add.h"

void mcugen_add_s8(const mcugen_add_params *params, const int8_t *a, const int8_t *b, int8_t *output, int32_t count)
{
    mcugen_add_values(params, a, b, output, count);
}
