/* SPDX-License-Identifier: Apache-2.0 */
/* Gather and scatter by indices; the file that includes this defines MCUGEN_INDEX_TYPE. Not for users. */
#ifndef MCUGEN_GATHER_H
#define MCUGEN_GATHER_H

#include <string.h>

#include "mcugen_kernels.h"

/* The block that the tuple at `index` names; -1 if one of its indices is outside. */
static inline int32_t mcugen_block_of(const mcugen_gather_params *params, const MCUGEN_INDEX_TYPE *index)
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
static inline int32_t mcugen_part_bytes(const mcugen_gather_params *params)
{
    int32_t bytes = params->inner * params->block;
    for (int32_t k = 0; k < params->depth; k++) {
        bytes *= params->sizes[k];
    }
    return bytes;
}

static inline arm_cmsis_nn_status mcugen_gather(const mcugen_gather_params *params,
                                                const int8_t *data,
                                                const MCUGEN_INDEX_TYPE *indices,
                                                int8_t *output)
{
    const int32_t part_bytes = mcugen_part_bytes(params);
    for (int32_t o = 0; o < params->outer; o++, data += part_bytes) {
        const MCUGEN_INDEX_TYPE *index = params->shared ? indices : indices + o * params->count * params->depth;
        for (int32_t i = 0, n = 0; i < params->count; i++, index += params->depth, output += params->block) {
            const int32_t at = mcugen_block_of(params, index);
            if (at < 0) {
                return ARM_CMSIS_NN_ARG_ERROR;
            }
            memcpy(output, data + (at * params->inner + n) * params->block, (size_t)params->block);
            n = n + 1 < params->inner ? n + 1 : 0;
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}

static inline arm_cmsis_nn_status mcugen_scatter(const mcugen_gather_params *params,
                                                 const int8_t *data,
                                                 const MCUGEN_INDEX_TYPE *indices,
                                                 const int8_t *updates,
                                                 int8_t *output)
{
    const int32_t part_bytes = mcugen_part_bytes(params);
    if (output != data) {
        memcpy(output, data, (size_t)(params->outer * part_bytes));
    }
    for (int32_t o = 0; o < params->outer; o++, output += part_bytes) {
        for (int32_t i = 0, n = 0; i < params->count; i++, indices += params->depth, updates += params->block) {
            const int32_t at = mcugen_block_of(params, indices);
            if (at < 0) {
                return ARM_CMSIS_NN_ARG_ERROR;
            }
            memcpy(output + (at * params->inner + n) * params->block, updates, (size_t)params->block);
            n = n + 1 < params->inner ? n + 1 : 0;
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}

#endif
