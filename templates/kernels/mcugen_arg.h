/* SPDX-License-Identifier: Apache-2.0 */
/* The search for a position; the file that includes this defines MCUGEN_ARG_TYPE and MCUGEN_ARG_BEATS(value, held).
 * Not for users. */
#ifndef MCUGEN_ARG_H
#define MCUGEN_ARG_H

#include "mcugen_kernels.h"

static void mcugen_arg(int32_t last, const MCUGEN_ARG_TYPE *input, int64_t *output, int32_t outer, int32_t reduced,
                       int32_t inner)
{
    for (int32_t i = 0; i < outer; i++, input += reduced * inner) {
        for (int32_t j = 0; j < inner; j++) {
            int32_t best = 0;
            for (int32_t r = 1; r < reduced; r++) {
                const MCUGEN_ARG_TYPE value = input[r * inner + j], held = input[best * inner + j];
                best = MCUGEN_ARG_BEATS(value, held) || (last && value == held) ? r : best;
            }
            *output++ = best;
        }
    }
}

#endif
