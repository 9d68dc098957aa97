/* SPDX-License-Identifier: Apache-2.0 */
#define MCUGEN_ARG_TYPE int8_t
#define MCUGEN_ARG_BEATS(value, held) ((value) < (held))
#include "mcugen_arg.h"

void mcugen_arg_min_s8(int32_t last, const int8_t *input, int64_t *output, int32_t outer, int32_t reduced,
                       int32_t inner)
{
    mcugen_arg(last, input, output, outer, reduced, inner);
}
