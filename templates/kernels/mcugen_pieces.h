/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation of mcugen_pieces; not for users. */
#ifndef MCUGEN_PIECES_H
#define MCUGEN_PIECES_H

#include "mcugen_arithmetic_s16.h"
#include "mcugen_kernels_s16.h"

static inline int16_t mcugen_piecewise(const mcugen_pieces *p, int16_t input)
{
    const int32_t u = input + 32768, piece = u >> p->shift, t = u - piece * (INT32_C(1) << p->shift);
    for (int32_t k = p->first[piece]; k < p->first[piece + 1]; k++) {
        if (p->at[k] == u) {
            return p->value[k];
        }
    }
    const int32_t *c = p->coefficients + 3 * piece;
    const int64_t sum = (int64_t)c[0] * 65536 + (int64_t)c[1] * (t * 256) + (int64_t)c[2] * (t * t);
    return mcugen_activate_s16((int32_t)(sum >> 30), &p->activation);
}

#endif
