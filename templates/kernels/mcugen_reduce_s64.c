/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

#define EXACT ((int64_t)1 << 53) /* integers up to here are exact in double, in which ONNX Runtime adds them up */

arm_cmsis_nn_status mcugen_reduce_s64(int32_t operation, const int64_t *input, int64_t *output, int32_t outer,
                                      int32_t reduced, int32_t inner)
{
    for (int32_t o = 0; o < outer; o++, input += reduced * inner) {
        for (int32_t i = 0; i < inner; i++) {
            int64_t found = operation == MCUGEN_INTEGER_ADD ? 0 : input[i], left = EXACT;
            for (int32_t k = 0; k < reduced; k++) {
                const int64_t value = input[k * inner + i];
                if (operation != MCUGEN_INTEGER_ADD) {
                    found = (operation == MCUGEN_INTEGER_MIN ? value < found : value > found) ? value : found;
                    continue;
                }
                if (value > left || value < -left) {
                    return ARM_CMSIS_NN_ARG_ERROR;
                }
                left -= value < 0 ? -value : value;
                found += value;
            }
            *output++ = found;
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}
