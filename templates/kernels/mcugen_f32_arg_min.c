/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"
#define MCUGEN_ARG_TYPE float
#define MCUGEN_ARG_BEATS(value, held) ((value) < (held))
#include "mcugen_arg.h"

void mcugen_f32_arg_min(int32_t last, const float *input, int64_t *output, int32_t outer, int32_t reduced,
                        int32_t inner)
{
    mcugen_arg(last, input, output, outer, reduced, inner);
}
