/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

#include <string.h>

static int32_t offset_of(const mcugen_take_axis *axis, int32_t i)
{
    return axis->offsets ? axis->offsets[i] : i * axis->step;
}

void mcugen_take_s8(const mcugen_take_params *params, const int8_t *input, int8_t *output)
{
    const int32_t outer = params->rank - 1;
    const mcugen_take_axis single = {1, 0, NULL}, *const inner = params->rank > 0 ? &params->axes[outer] : &single;
    int32_t index[MCUGEN_TAKE_AXES] = {0};
    for (;;) {
        const int8_t *row = input + params->start;
        for (int32_t k = 0; k < outer; k++) {
            row += offset_of(&params->axes[k], index[k]);
        }
        for (int32_t i = 0; i < inner->count; i++) {
            const int8_t *block = row + offset_of(inner, i);
            if (params->block == 1) {
                *output++ = *block;
            } else {
                memcpy(output, block, (size_t)params->block);
                output += params->block;
            }
        }
        int32_t k = outer - 1;
        while (k >= 0 && ++index[k] == params->axes[k].count) {
            index[k--] = 0;
        }
        if (k < 0) {
            return;
        }
    }
}
