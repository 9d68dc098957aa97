/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

#include <string.h>

static int32_t offset_of(const mcugen_take_axis *axis, int32_t i)
{
    return axis->offsets ? axis->offsets[i] : i * axis->step;
}

void mcugen_f32_take(const mcugen_take_params *params, const float *input, float *output)
{
    const int32_t outer = params->rank - 1;
    const mcugen_take_axis single = {1, 0, NULL}, *const inner = params->rank > 0 ? &params->axes[outer] : &single;
    int32_t index[MCUGEN_TAKE_AXES] = {0};
    for (;;) {
        const float *row = input + params->start;
        for (int32_t k = 0; k < outer; k++) {
            row += offset_of(&params->axes[k], index[k]);
        }
        for (int32_t i = 0; i < inner->count; i++, output += params->block) {
            memcpy(output, row + offset_of(inner, i), (size_t)params->block * sizeof *output);
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
