/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_pieces.h"

void mcugen_lut_s16_s8(const mcugen_pieces *params, const int16_t *input, int8_t *output, int32_t count)
{
    const mcugen_pieces p = *params; /* a copy: output cannot alias it */
    for (int32_t i = 0; i < count; i++) {
        output[i] = (int8_t)mcugen_piecewise(&p, input[i]);
    }
}
