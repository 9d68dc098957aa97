/* SPDX-License-Identifier: Apache-2.0 */
#define MCUGEN_CHOICE(a, b) ((a) < (b) ? (a) : (b))
#include "mcugen_choice_s16.h"

void mcugen_min_s16(const mcugen_choice_s16_params *params, const mcugen_broadcast *shape, const int16_t *a,
                    const int16_t *b, int16_t *output)
{
    mcugen_broadcast_rows_s16(mcugen_choice_row, params, shape, a, b, output);
}
