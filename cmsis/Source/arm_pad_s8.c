/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

arm_cmsis_nn_status arm_pad_s8(const int8_t *input,
                               int8_t *output,
                               const int8_t pad_value,
                               const cmsis_nn_dims *input_size,
                               const cmsis_nn_dims *pre_pad,
                               const cmsis_nn_dims *post_pad)
{
    /* To fill before a block: what ends the last one and begins this one. */
    const int32_t before_block = pre_pad->c + post_pad->c;
    const int32_t pixel = before_block + input_size->c;
    const int32_t before_row = (pre_pad->w + post_pad->w) * pixel;
    const int32_t row = before_row + input_size->w * pixel;
    const int32_t before_image = (pre_pad->h + post_pad->h) * row;
    const int32_t image = before_image + input_size->h * row;
    const int32_t first = pre_pad->c + pre_pad->w * pixel + pre_pad->h * row;
    const int32_t last = post_pad->n * image - first;
    /* Without padding between them the pixels of a row are one block. */
    const int32_t blocks = before_block == 0 ? 1 : input_size->w;
    const int32_t block = before_block == 0 ? input_size->w * pixel : input_size->c;
    const int32_t rows = input_size->h;
    int32_t gap = pre_pad->n * image + first;

    for (int32_t n = input_size->n; n > 0; --n)
    {
        for (int32_t h = rows; h > 0; --h)
        {
            for (int32_t w = blocks; w > 0; --w)
            {
                mcugen_memset(output, pad_value, gap);
                output += gap;
                mcugen_memcpy(output, input, block);
                output += block;
                input += block;
                gap = before_block;
            }
            gap += before_row;
        }
        gap += before_image;
    }
    mcugen_memset(output, pad_value, gap + last);
    return ARM_CMSIS_NN_SUCCESS;
}
