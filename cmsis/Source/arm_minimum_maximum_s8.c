/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

#define MAX_AXES 4

/* One axis of the loops over the output, innermost first, with the inputs' steps in bytes: 0 where one is repeated. */
typedef struct
{
    int32_t count;
    int32_t a_step;
    int32_t b_step;
} axis;

/* Along the innermost axis, whose steps are 0 or 1. */
MCUGEN_INLINE void choose(const int8_t *a, const int8_t *b, int8_t *output, const axis *along, int larger)
{
    const int32_t count = along->count;
    int32_t i = 0;
#if defined(MCUGEN_NN_MVE)
    int8x16_t left = vdupq_n_s8(*a);
    int8x16_t right = vdupq_n_s8(*b);
    for (; i < count; i += 16)
    {
        const mve_pred16_t rest = vctp8q((uint32_t)(count - i));
        left = along->a_step != 0 ? vldrbq_z_s8(a + i, rest) : left;
        right = along->b_step != 0 ? vldrbq_z_s8(b + i, rest) : right;
        vstrbq_p_s8(output + i, larger ? vmaxq_s8(left, right) : vminq_s8(left, right), rest);
    }
#else
#if defined(MCUGEN_NN_DSP)
    uint32_t left = (uint32_t)(uint8_t)*a * 0x01010101u;
    uint32_t right = (uint32_t)(uint8_t)*b * 0x01010101u;
    for (; i + 4 <= count; i += 4)
    {
        left = along->a_step != 0 ? mcugen_load4(a + i) : left;
        right = along->b_step != 0 ? mcugen_load4(b + i) : right;
        const uint32_t word = larger ? mcugen_larger4(left, right) : mcugen_smaller4(left, right);
        memcpy(output + i, &word, sizeof word);
    }
#endif
    a += i * along->a_step;
    b += i * along->b_step;
    for (; i < count; ++i)
    {
        output[i] = (int8_t)(larger ? mcugen_max(*a, *b) : mcugen_min(*a, *b));
        a += along->a_step;
        b += along->b_step;
    }
#endif
}

MCUGEN_INLINE arm_cmsis_nn_status broadcast(const int8_t *a, const cmsis_nn_dims *a_dims, const int8_t *b,
                                            const cmsis_nn_dims *b_dims, int8_t *output,
                                            const cmsis_nn_dims *output_dims, int larger)
{
    const int32_t a_sizes[MAX_AXES] = {a_dims->c, a_dims->w, a_dims->h, a_dims->n};
    const int32_t b_sizes[MAX_AXES] = {b_dims->c, b_dims->w, b_dims->h, b_dims->n};
    const int32_t sizes[MAX_AXES] = {output_dims->c, output_dims->w, output_dims->h, output_dims->n};
    axis loops[MAX_AXES] = {{1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}};
    axis *loop = loops;
    int32_t a_bytes = 1;
    int32_t b_bytes = 1;

    /* Axes along which both inputs go on as along the one within become one with it. */
    for (int32_t i = 0; i < MAX_AXES; ++i)
    {
        const axis next = {sizes[i], a_sizes[i] == 1 ? 0 : a_bytes, b_sizes[i] == 1 ? 0 : b_bytes};
        if ((a_sizes[i] != sizes[i] && a_sizes[i] != 1) || (b_sizes[i] != sizes[i] && b_sizes[i] != 1) ||
            sizes[i] != mcugen_max(a_sizes[i], b_sizes[i]))
        {
            return ARM_CMSIS_NN_ARG_ERROR;
        }
        a_bytes *= a_sizes[i];
        b_bytes *= b_sizes[i];
        if (loop->count == 1)
        {
            *loop = next;
        }
        else if (next.a_step == loop->count * loop->a_step && next.b_step == loop->count * loop->b_step)
        {
            loop->count *= next.count;
        }
        else if (next.count != 1)
        {
            *++loop = next;
        }
    }

    for (int32_t i = 0; i < loops[3].count; ++i)
    {
        for (int32_t j = 0; j < loops[2].count; ++j)
        {
            for (int32_t k = 0; k < loops[1].count; ++k)
            {
                choose(a + i * loops[3].a_step + j * loops[2].a_step + k * loops[1].a_step,
                       b + i * loops[3].b_step + j * loops[2].b_step + k * loops[1].b_step, output, loops, larger);
                output += loops[0].count;
            }
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}

arm_cmsis_nn_status arm_minimum_s8(const cmsis_nn_context *ctx,
                                   const int8_t *input_1_data,
                                   const cmsis_nn_dims *input_1_dims,
                                   const int8_t *input_2_data,
                                   const cmsis_nn_dims *input_2_dims,
                                   int8_t *output_data,
                                   const cmsis_nn_dims *output_dims)
{
    (void)ctx;
    return broadcast(input_1_data, input_1_dims, input_2_data, input_2_dims, output_data, output_dims, 0);
}

arm_cmsis_nn_status arm_maximum_s8(const cmsis_nn_context *ctx,
                                   const int8_t *input_1_data,
                                   const cmsis_nn_dims *input_1_dims,
                                   const int8_t *input_2_data,
                                   const cmsis_nn_dims *input_2_dims,
                                   int8_t *output_data,
                                   const cmsis_nn_dims *output_dims)
{
    (void)ctx;
    return broadcast(input_1_data, input_1_dims, input_2_data, input_2_dims, output_data, output_dims, 1);
}
