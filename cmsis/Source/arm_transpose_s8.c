/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"

#define MAX_AXES 4

arm_cmsis_nn_status arm_transpose_s8(const int8_t *input_data,
                                     int8_t *const output_data,
                                     const cmsis_nn_dims *const input_dims,
                                     const cmsis_nn_dims *const output_dims,
                                     const cmsis_nn_transpose_params *const transpose_params)
{
    const int32_t sizes[MAX_AXES] = {input_dims->n, input_dims->h, input_dims->w, input_dims->c};
    const int32_t axes = transpose_params->num_dims;
    int32_t input_steps[MAX_AXES];
    int32_t count[MAX_AXES] = {1, 1, 1, 1};
    int32_t step[MAX_AXES] = {0, 0, 0, 0};
    int8_t *output = output_data;
    (void)output_dims;

    if (axes < 1 || axes > MAX_AXES)
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    for (int32_t axis = axes - 1, bytes = 1; axis >= 0; --axis)
    {
        input_steps[axis] = bytes;
        bytes *= sizes[axis];
    }
    /* The loops below run over the output's axes, the missing ones first. */
    for (int32_t axis = 0; axis < axes; ++axis)
    {
        const uint32_t source = transpose_params->permutations[axis];
        if (source >= (uint32_t)axes)
        {
            return ARM_CMSIS_NN_ARG_ERROR;
        }
        count[MAX_AXES - axes + axis] = sizes[source];
        step[MAX_AXES - axes + axis] = input_steps[source];
    }

    for (int32_t n = 0; n < count[0]; ++n)
    {
        for (int32_t h = 0; h < count[1]; ++h)
        {
            for (int32_t w = 0; w < count[2]; ++w)
            {
                const int8_t *line = input_data + n * step[0] + h * step[1] + w * step[2];
                for (int32_t c = 0; c < count[3]; ++c)
                {
                    *output++ = line[c * step[3]];
                }
            }
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}
