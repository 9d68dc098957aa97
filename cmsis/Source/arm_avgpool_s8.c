/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

/* sum / count, half away from zero. */
static int32_t rounded_mean(int32_t sum, int32_t count)
{
    return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

arm_cmsis_nn_status arm_avgpool_s8(const cmsis_nn_context *ctx,
                                   const cmsis_nn_pool_params *pool_params,
                                   const cmsis_nn_dims *input_dims,
                                   const int8_t *input_data,
                                   const cmsis_nn_dims *filter_dims,
                                   const cmsis_nn_dims *output_dims,
                                   int8_t *output_data)
{
    const int32_t channels = input_dims->c;
    const int32_t input_row = input_dims->w * channels;
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
                const int32_t count = (rows.end - rows.begin) * (columns.end - columns.begin);
                if (count == 0)
                {
                    return ARM_CMSIS_NN_ARG_ERROR;
                }
                for (int32_t ch = 0; ch < channels; ++ch)
                {
                    int32_t sum = 0;
                    for (int32_t row = rows.begin; row < rows.end; ++row)
                    {
                        const int8_t *line = input_data + (origin_y + row) * input_row + ch;
                        for (int32_t column = columns.begin; column < columns.end; ++column)
                        {
                            sum += line[(origin_x + column) * channels];
                        }
                    }
                    output_data[ch] = (int8_t)mcugen_clamp(rounded_mean(sum, count), pool_params->activation.min,
                                                           pool_params->activation.max);
                }
                output_data += channels;
            }
        }
        input_data += input_dims->h * input_row;
    }
    return ARM_CMSIS_NN_SUCCESS;
}

int32_t arm_avgpool_s8_get_buffer_size(const int dim_dst_width, const int ch_src)
{
    (void)dim_dst_width;
    (void)ch_src;
    return 0;
}

int32_t arm_avgpool_s8_get_buffer_size_dsp(const int dim_dst_width, const int ch_src)
{
    return arm_avgpool_s8_get_buffer_size(dim_dst_width, ch_src);
}

int32_t arm_avgpool_s8_get_buffer_size_mve(const int dim_dst_width, const int ch_src)
{
    return arm_avgpool_s8_get_buffer_size(dim_dst_width, ch_src);
}
