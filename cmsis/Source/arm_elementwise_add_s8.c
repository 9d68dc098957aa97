/* SPDX-License-Identifier: Apache-2.0 */
/* In fixed point whatever MCUGEN_REQUANT_* say: between its roundings a value needs more than 8 bits. */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

arm_cmsis_nn_status arm_elementwise_add_s8(const int8_t *input_1_vect,
                                           const int8_t *input_2_vect,
                                           const int32_t input_1_offset,
                                           const int32_t input_1_mult,
                                           const int32_t input_1_shift,
                                           const int32_t input_2_offset,
                                           const int32_t input_2_mult,
                                           const int32_t input_2_shift,
                                           const int32_t left_shift,
                                           int8_t *output,
                                           const int32_t out_offset,
                                           const int32_t out_mult,
                                           const int32_t out_shift,
                                           const int32_t out_activation_min,
                                           const int32_t out_activation_max,
                                           const int32_t block_size)
{
    const int32_t raise = INT32_C(1) << left_shift;
#if defined(MCUGEN_NN_MVE)
    for (int32_t i = 0; i < block_size; i += 4)
    {
        const mve_pred16_t rest = vctp32q((uint32_t)(block_size - i));
        const int32x4_t a = vmulq_n_s32(vaddq_n_s32(vldrbq_z_s32(input_1_vect + i, rest), input_1_offset), raise);
        const int32x4_t b = vmulq_n_s32(vaddq_n_s32(vldrbq_z_s32(input_2_vect + i, rest), input_2_offset), raise);
        const int32x4_t sums = vaddq_s32(mcugen_requant_stock_mve(a, input_1_mult, input_1_shift),
                                         mcugen_requant_stock_mve(b, input_2_mult, input_2_shift));
        const int32x4_t values = vaddq_n_s32(mcugen_requant_stock_mve(sums, out_mult, out_shift), out_offset);
        vstrbq_p_s32(output + i, mcugen_clamp_mve(values, out_activation_min, out_activation_max), rest);
    }
#else
    for (int32_t i = 0; i < block_size; ++i)
    {
        const int32_t a = (input_1_vect[i] + input_1_offset) * raise;
        const int32_t b = (input_2_vect[i] + input_2_offset) * raise;
        const int32_t sum = mcugen_requant_stock(a, input_1_mult, input_1_shift) +
                            mcugen_requant_stock(b, input_2_mult, input_2_shift);
        const int32_t value = mcugen_requant_stock(sum, out_mult, out_shift) + out_offset;
        output[i] = (int8_t)mcugen_clamp(value, out_activation_min, out_activation_max);
    }
#endif
    return ARM_CMSIS_NN_SUCCESS;
}
