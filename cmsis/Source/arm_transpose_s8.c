/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

#define MAX_AXES 4

/* One axis of the loops over the output, with its steps in bytes. */
typedef struct
{
    int32_t count;
    int32_t input_step;
    int32_t output_step;
} axis;

/* Largest step for which the offsets of 16 lanes are bytes. */
#define MAX_LANE_STEP 17

static void move(int8_t *output, const int8_t *input, const axis *along)
{
    int32_t i = 0;
#if defined(MCUGEN_NN_MVE)
    const int from_line = along->input_step == 1 && along->output_step <= MAX_LANE_STEP;
    if (from_line || (along->output_step == 1 && along->input_step <= MAX_LANE_STEP))
    {
        const int32_t step = from_line ? along->output_step : along->input_step;
        const uint8x16_t lanes = vmulq_n_u8(vidupq_n_u8(0, 1), (uint8_t)step);
        for (; i < along->count; i += 16)
        {
            const mve_pred16_t rest = vctp8q((uint32_t)(along->count - i));
            if (from_line)
            {
                vstrbq_scatter_offset_p_s8(output + i * step, lanes, vldrbq_z_s8(input + i, rest), rest);
            }
            else
            {
                vstrbq_p_s8(output + i, vldrbq_gather_offset_z_s8(input + i * step, lanes, rest), rest);
            }
        }
        return;
    }
#endif
    const int32_t input_step = along->input_step;
    const int32_t output_step = along->output_step;
    if (input_step == 1 && output_step == 1)
    {
        mcugen_memcpy(output, input, along->count);
        return;
    }
    for (; i + 4 <= along->count; i += 4)
    {
        output[0] = input[0];
        output[output_step] = input[input_step];
        output[2 * output_step] = input[2 * input_step];
        output[3 * output_step] = input[3 * input_step];
        output += 4 * output_step;
        input += 4 * input_step;
    }
    for (; i < along->count; ++i)
    {
        *output = *input;
        output += output_step;
        input += input_step;
    }
}

arm_cmsis_nn_status arm_transpose_s8(const int8_t *input_data,
                                     int8_t *const output_data,
                                     const cmsis_nn_dims *const input_dims,
                                     const cmsis_nn_dims *const output_dims,
                                     const cmsis_nn_transpose_params *const transpose_params)
{
    const int32_t sizes[MAX_AXES] = {input_dims->n, input_dims->h, input_dims->w, input_dims->c};
    const int32_t axes = transpose_params->num_dims;
    int32_t input_steps[MAX_AXES];
    axis loops[MAX_AXES] = {{1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}};
    (void)output_dims;

    if (axes < 1 || axes > MAX_AXES)
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    for (int32_t i = axes - 1, bytes = 1; i >= 0; --i)
    {
        input_steps[i] = bytes;
        bytes *= sizes[i];
    }
    /* The loops run over the output's axes, the missing ones first; those that are one in both tensors become one. */
    axis *loop = &loops[MAX_AXES - 1];
    for (int32_t i = axes - 1, bytes = 1; i >= 0; --i)
    {
        const uint32_t source = transpose_params->permutations[i];
        if (source >= (uint32_t)axes)
        {
            return ARM_CMSIS_NN_ARG_ERROR;
        }
        const axis next = {sizes[source], input_steps[source], bytes};
        bytes *= next.count;
        if (loop->count == 1)
        {
            *loop = next;
        }
        else if (next.input_step == loop->count * loop->input_step)
        {
            loop->count *= next.count;
        }
        else if (next.count != 1)
        {
            *--loop = next;
        }
    }
    /* Innermost the longer of the two axes along which one side is a line. */
    axis *const inner = &loops[MAX_AXES - 1];
    for (loop = loops; loop < inner; ++loop)
    {
        if (loop->input_step == 1 && loop->count > inner->count)
        {
            const axis line = *loop;
            *loop = *inner;
            *inner = line;
        }
    }

    for (int32_t i = 0; i < loops[0].count; ++i)
    {
        for (int32_t j = 0; j < loops[1].count; ++j)
        {
            for (int32_t k = 0; k < loops[2].count; ++k)
            {
                move(output_data + i * loops[0].output_step + j * loops[1].output_step + k * loops[2].output_step,
                     input_data + i * loops[0].input_step + j * loops[1].input_step + k * loops[2].input_step, inner);
            }
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}
