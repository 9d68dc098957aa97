/* SPDX-License-Identifier: Apache-2.0 */
#define MCUGEN_INTEGER_TYPE int64_t
#define MCUGEN_NATURAL_TYPE uint64_t
#include "mcugen_integer.h"

void mcugen_arithmetic_s64(const mcugen_broadcast *shape, int32_t operation, const int64_t *a, const int64_t *b,
                           int64_t *output)
{
    mcugen_integer(shape, operation, a, b, output);
}
