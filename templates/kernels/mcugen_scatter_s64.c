/* SPDX-License-Identifier: Apache-2.0 */
#define MCUGEN_INDEX_TYPE int64_t
#include "mcugen_gather.h"

#include <string.h>

arm_cmsis_nn_status mcugen_scatter_s64(const mcugen_gather_params *params, const int8_t *data, const int64_t *indices,
                                       const int8_t *updates, int8_t *output)
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
