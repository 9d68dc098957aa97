/* SPDX-License-Identifier: Apache-2.0 */
#define MCUGEN_INTEGER_TYPE int64_t
#define MCUGEN_INTEGER_COMPARISON
#include "mcugen_integer.h"

void mcugen_compare_s64(const mcugen_broadcast *shape, int32_t operation, const int64_t *a, const int64_t *b,
                        int8_t *output)
{
    mcugen_integer(shape, operation, a, b, output);
}
