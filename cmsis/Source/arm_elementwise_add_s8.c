/* SPDX-License-Identifier: Apache-2.0 */
/* In fixed point whatever MCUGEN_REQUANT_* say: between its roundings a value needs more than 8 bits. */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

#if !defined(MCUGEN_NN_MVE)
/* mcugen_requant_stock for |value| * 2^left below 2^30, which TensorFlow Lite's parameters never reach. */
typedef struct
{
    int32_t multiplier;
    int32_t left;
    int32_t right;
    int32_t half;
    int32_t sign; /* all ones where there is something to round */
} scale;

MCUGEN_INLINE scale scale_of(int32_t multiplier, int32_t shift)
{
    const int32_t right = mcugen_max(0, -shift);
    const scale found = {.multiplier = multiplier,
                         .left = mcugen_max(0, shift),
                         .right = right,
                         .half = (INT32_C(1) << right) >> 1,
                         .sign = right > 0 ? -1 : 0};
    return found;
}

MCUGEN_INLINE int32_t rescaled(int32_t value, const scale *to)
{
#if defined(MCUGEN_NN_DSP)
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"((uint32_t)value << (to->left + 1)), "r"(to->multiplier));
#else
    const int32_t high = mcugen_high_product((int32_t)((uint32_t)value << to->left), to->multiplier);
#endif
    return (high + to->half + ((high & to->sign) >> 31)) >> to->right;
}

/* A code's distance from its offset, at most. */
MCUGEN_INLINE uint32_t reach_of(int32_t offset)
{
    return 128u + (offset < 0 ? 0u - (uint32_t)offset : (uint32_t)offset);
}

/* Is reach * 2^left below 2^30? */
MCUGEN_INLINE bool has_room(uint32_t reach, int32_t left)
{
    return left < 30 && reach <= ((UINT32_C(1) << 30) - 1) >> left;
}
#endif

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
    const scale first = scale_of(input_1_mult, input_1_shift);
    const scale second = scale_of(input_2_mult, input_2_shift);
    const scale last = scale_of(out_mult, out_shift);
    const uint32_t one = reach_of(input_1_offset), two = reach_of(input_2_offset);
    const int32_t one_left = left_shift + first.left, two_left = left_shift + second.left;
    const bool room = has_room(one, one_left) && has_room(two, two_left) &&
                      has_room((one << one_left) + (two << two_left), last.left);
    for (int32_t i = 0; !room && i < block_size; ++i)
    {
        const int32_t a = (input_1_vect[i] + input_1_offset) * raise;
        const int32_t b = (input_2_vect[i] + input_2_offset) * raise;
        const int32_t sum = mcugen_requant_stock(a, input_1_mult, input_1_shift) +
                            mcugen_requant_stock(b, input_2_mult, input_2_shift);
        const int32_t value = mcugen_requant_stock(sum, out_mult, out_shift) + out_offset;
        output[i] = (int8_t)mcugen_clamp(value, out_activation_min, out_activation_max);
    }
    for (int32_t i = 0; room && i < block_size; ++i)
    {
        const int32_t a = (input_1_vect[i] + input_1_offset) * raise;
        const int32_t b = (input_2_vect[i] + input_2_offset) * raise;
        const int32_t value = rescaled(rescaled(a, &first) + rescaled(b, &second), &last) + out_offset;
        output[i] = (int8_t)mcugen_clamp(value, out_activation_min, out_activation_max);
    }
#endif
    return ARM_CMSIS_NN_SUCCESS;
}
