/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation of mcugen_pieces; not for users. */
#ifndef MCUGEN_PIECES_H
#define MCUGEN_PIECES_H

#include "mcugen_arithmetic_s16.h"
#include "mcugen_kernels_s16.h"

static inline int16_t mcugen_piecewise(const mcugen_pieces *p, int16_t input)
{
    const int32_t u = input + 32768, piece = u >> p->shift, t = u - piece * (INT32_C(1) << p->shift);
    int32_t low = p->first[piece], high = p->first[piece + 1];
    while (low < high) { /* at[] ascends: the first entry that is not below u */
        const int32_t middle = (low + high) / 2;
        if (p->at[middle] < u) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < p->first[piece + 1] && p->at[low] == u) {
        return p->value[low];
    }
    const int32_t *c = p->coefficients + 3 * piece;
    const int64_t sum = (int64_t)c[0] * 65536 + (int64_t)c[1] * (t * 256) + (int64_t)c[2] * (t * t);
    return mcugen_activate_s16((int32_t)(sum >> 30), &p->activation);
}

#endif
