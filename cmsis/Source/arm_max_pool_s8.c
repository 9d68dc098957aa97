/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

static void keep_larger(int8_t *output, const int8_t *input, int32_t count)
{
    for (int32_t i = 0; i < count; ++i)
    {
        output[i] = input[i] > output[i] ? input[i] : output[i];
    }
}

arm_cmsis_nn_status arm_max_pool_s8(const cmsis_nn_context *ctx,
                                    const cmsis_nn_pool_params *pool_params,
                                    const cmsis_nn_dims *input_dims,
                                    const int8_t *input_data,
                                    const cmsis_nn_dims *filter_dims,
                                    const cmsis_nn_dims *output_dims,
                                    int8_t *output_data)
{
    const int32_t channels = input_dims->c;
    const int32_t input_row = input_dims->w * channels;
    const int8_t low = (int8_t)pool_params->activation.min;
    (void)ctx;

    for (int32_t batch = 0; batch < input_dims->n; ++batch)
    {
        for (int32_t y = 0; y < output_dims->h; ++y)
        {
            const int32_t origin_y = y * pool_params->stride.h - pool_params->padding.h;
            const mcugen_taps rows = mcugen_valid_taps(origin_y, input_dims->h, filter_dims->h, 1);
            for (int32_t x = 0; x < output_dims->w; ++x)
            {
                const int32_t origin_x = x * pool_params->stride.w - pool_params->padding.w;
                const mcugen_taps columns = mcugen_valid_taps(origin_x, input_dims->w, filter_dims->w, 1);

                memset(output_data, low, (size_t)channels);
                for (int32_t row = rows.begin; row < rows.end; ++row)
                {
                    for (int32_t column = columns.begin; column < columns.end; ++column)
                    {
                        const int32_t at = (origin_y + row) * input_row + (origin_x + column) * channels;
                        keep_larger(output_data, input_data + at, channels);
                    }
                }
                for (int32_t ch = 0; ch < channels; ++ch)
                {
                    output_data[ch] = (int8_t)mcugen_min(output_data[ch], pool_params->activation.max);
                }
                output_data += channels;
            }
        }
        input_data += input_dims->h * input_row;
    }
    return ARM_CMSIS_NN_SUCCESS;
}
