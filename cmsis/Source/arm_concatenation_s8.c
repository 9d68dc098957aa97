/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

/* Copies `count` blocks of adjacent bytes to places `step` bytes apart. */
MCUGEN_INLINE void scatter(int8_t *output, uint32_t step, const int8_t *input, uint32_t block, uint32_t count)
{
    for (; count > 0; --count)
    {
        mcugen_memcpy(output, input, (int32_t)block);
        output += step;
        input += block;
    }
}

void arm_concatenation_s8_x(const int8_t *input,
                            const uint16_t input_x,
                            const uint16_t input_y,
                            const uint16_t input_z,
                            const uint16_t input_w,
                            int8_t *output,
                            const uint16_t output_x,
                            const uint32_t offset_x)
{
    scatter(output + offset_x, output_x, input, input_x, (uint32_t)input_y * input_z * input_w);
}

void arm_concatenation_s8_y(const int8_t *input,
                            const uint16_t input_x,
                            const uint16_t input_y,
                            const uint16_t input_z,
                            const uint16_t input_w,
                            int8_t *output,
                            const uint16_t output_y,
                            const uint32_t offset_y)
{
    const uint32_t line = input_x;
    scatter(output + offset_y * line, output_y * line, input, input_y * line, (uint32_t)input_z * input_w);
}

void arm_concatenation_s8_z(const int8_t *input,
                            const uint16_t input_x,
                            const uint16_t input_y,
                            const uint16_t input_z,
                            const uint16_t input_w,
                            int8_t *output,
                            const uint16_t output_z,
                            const uint32_t offset_z)
{
    const uint32_t plane = (uint32_t)input_x * input_y;
    scatter(output + offset_z * plane, output_z * plane, input, input_z * plane, input_w);
}

void arm_concatenation_s8_w(const int8_t *input,
                            const uint16_t input_x,
                            const uint16_t input_y,
                            const uint16_t input_z,
                            const uint16_t input_w,
                            int8_t *output,
                            const uint32_t offset_w)
{
    const uint32_t volume = (uint32_t)input_z * input_y * input_x;
    mcugen_memcpy(output + offset_w * volume, input, (int32_t)(input_w * volume));
}
