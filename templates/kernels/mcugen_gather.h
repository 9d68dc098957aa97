/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over indices; the file that includes this defines MCUGEN_INDEX_TYPE. Not for users. */
#ifndef MCUGEN_GATHER_H
#define MCUGEN_GATHER_H

#include "mcugen_kernels.h"

/* The block that the tuple at `index` names, less 0 if one of its indices is outside. */
static int32_t mcugen_block_of(const mcugen_gather_params *params, const MCUGEN_INDEX_TYPE *index)
{
    int32_t at = 0;
    for (int32_t k = 0; k < params->depth; k++) {
        const int32_t size = params->sizes[k];
        if (index[k] < -size || index[k] >= size) {
            return -1;
        }
        at = at * size + (int32_t)index[k] + (index[k] < 0 ? size : 0);
    }
    return at;
}

/* Bytes of one part of the data. */
static int32_t mcugen_part_bytes(const mcugen_gather_params *params)
{
    int32_t bytes = params->inner * params->block;
    for (int32_t k = 0; k < params->depth; k++) {
        bytes *= params->sizes[k];
    }
    return bytes;
}

#endif
