/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

arm_cmsis_nn_status arm_elementwise_mul_s8(const int8_t *input_1_vect,
                                           const int8_t *input_2_vect,
                                           const int32_t input_1_offset,
                                           const int32_t input_2_offset,
                                           int8_t *output,
                                           const int32_t out_offset,
                                           const int32_t out_mult,
                                           const int32_t out_shift,
                                           const int32_t out_activation_min,
                                           const int32_t out_activation_max,
                                           const int32_t block_size)
{
#if defined(MCUGEN_NN_REQUANTIZE_MVE)
    for (int32_t i = 0; i < block_size; i += 4)
    {
        const mve_pred16_t rest = vctp32q((uint32_t)(block_size - i));
        const int32x4_t a = vaddq_n_s32(vldrbq_z_s32(input_1_vect + i, rest), input_1_offset);
        const int32x4_t b = vaddq_n_s32(vldrbq_z_s32(input_2_vect + i, rest), input_2_offset);
        const int32x4_t products = vmulq_s32(a, b);
        const int32x4_t values = vaddq_n_s32(mcugen_requantize_mve(products, out_mult, out_shift), out_offset);
        vstrbq_p_s32(output + i, mcugen_clamp_mve(values, out_activation_min, out_activation_max), rest);
    }
#else
    int32_t i = 0;
    const cmsis_nn_activation clamp = {out_activation_min, out_activation_max};
    const int narrow = mcugen_is_narrow(&clamp);
#if defined(MCUGEN_NN_PACK)
    for (; i + 4 <= block_size; i += 4)
    {
        const int8_t *const a = input_1_vect + i;
        const int8_t *const b = input_2_vect + i;
        const mcugen_acc4 products = {(a[0] + input_1_offset) * (b[0] + input_2_offset),
                                      (a[1] + input_1_offset) * (b[1] + input_2_offset),
                                      (a[2] + input_1_offset) * (b[2] + input_2_offset),
                                      (a[3] + input_1_offset) * (b[3] + input_2_offset)};
        mcugen_block_store(output + i, &products, &out_mult, &out_shift, 0, out_offset, &clamp);
    }
#endif
    for (; i < block_size; ++i)
    {
        const int32_t product = (input_1_vect[i] + input_1_offset) * (input_2_vect[i] + input_2_offset);
        output[i] = mcugen_output(product, out_mult, out_shift, out_offset, &clamp, narrow);
    }
#endif
    return ARM_CMSIS_NN_SUCCESS;
}
