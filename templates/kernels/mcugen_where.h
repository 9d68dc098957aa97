/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of a choice; the file that includes this defines MCUGEN_WHERE_TYPE. Not for users. */
#ifndef MCUGEN_WHERE_H
#define MCUGEN_WHERE_H

#include "mcugen_kernels.h"

static void mcugen_where(const mcugen_where_params *params, const int8_t *condition, const MCUGEN_WHERE_TYPE *b,
                         const MCUGEN_WHERE_TYPE *c, MCUGEN_WHERE_TYPE *output)
{
    const int32_t outer = params->rank - 1;
    const mcugen_where_axis single = {1, 0, 0, 0}, *const inner = outer >= 0 ? &params->axes[outer] : &single;
    int32_t index[MCUGEN_WHERE_AXES] = {0};
    for (;;) {
        const int8_t *x = condition;
        const MCUGEN_WHERE_TYPE *y = b, *z = c;
        for (int32_t k = 0; k < outer; k++) {
            x += index[k] * params->axes[k].a_step;
            y += index[k] * params->axes[k].b_step;
            z += index[k] * params->axes[k].c_step;
        }
        for (int32_t i = 0; i < inner->count; i++) {
            *output++ = x[i * inner->a_step] ? y[i * inner->b_step] : z[i * inner->c_step];
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

#endif
