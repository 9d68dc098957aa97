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
    const int32_t pixel = pre_pad->c + input_size->c + post_pad->c;
    const int32_t row = (pre_pad->w + input_size->w + post_pad->w) * pixel;
    const int32_t image = (pre_pad->h + input_size->h + post_pad->h) * row;
    /* Without padding between them the pixels of a row are one block. */
    const int32_t blocks = pixel == input_size->c ? 1 : input_size->w;
    const int32_t block = pixel == input_size->c ? input_size->w * pixel : input_size->c;
    int32_t gap = pre_pad->n * image; /* to fill before the next block */

    for (int32_t n = 0; n < input_size->n; ++n)
    {
        gap += pre_pad->h * row;
        for (int32_t h = 0; h < input_size->h; ++h)
        {
            gap += pre_pad->w * pixel;
            for (int32_t w = 0; w < blocks; ++w)
            {
                gap += pre_pad->c;
                mcugen_memset(output, pad_value, gap);
                output += gap;
                mcugen_memcpy(output, input, block);
                output += block;
                input += block;
                gap = post_pad->c;
            }
            gap += post_pad->w * pixel;
        }
        gap += post_pad->h * row;
    }
    mcugen_memset(output, pad_value, gap + post_pad->n * image);
    return ARM_CMSIS_NN_SUCCESS;
}
