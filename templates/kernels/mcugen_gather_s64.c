/* SPDX-License-Identifier: Apache-2.0 */
#define MCUGEN_INDEX_TYPE int64_t
#include "mcugen_gather.h"

arm_cmsis_nn_status mcugen_gather_s64(const mcugen_gather_params *params, const int8_t *data, const int64_t *indices,
                                      int8_t *output)
{
    return mcugen_gather(params, data, indices, output);
}
