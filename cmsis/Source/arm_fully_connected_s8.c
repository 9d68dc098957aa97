/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

/* quant_step: 1 = the quant tables have an entry per output channel, 0 = one for all. */
typedef struct
{
    const cmsis_nn_fc_params *params;
    const int32_t *multiplier;
    const int32_t *shift;
    int32_t quant_step;
    const int8_t *filter;
    const int32_t *bias;
    int32_t columns;
} layer;

/* `lanes` outputs of one vector, from output ch on. extra is what the weight zero point adds to each. */
static inline void multiply_rows(const layer *fc, int32_t lanes, int32_t ch, const int8_t *input, int32_t extra,
                                 int8_t *output)
{
    int32_t acc[MCUGEN_NN_BLOCK];
    mcugen_load_bias(acc, lanes, fc->bias != NULL ? fc->bias + ch : NULL);
    mcugen_mac(acc, lanes, input, fc->params->input_offset, fc->filter + ch * fc->columns, fc->columns, fc->columns);
    for (int32_t j = 0; j < lanes; ++j)
    {
        acc[j] += extra;
    }
    mcugen_store(output + ch, acc, lanes, fc->multiplier + ch * fc->quant_step, fc->shift + ch * fc->quant_step,
                 fc->quant_step, fc->params->output_offset, fc->params->activation.min, fc->params->activation.max);
}

/* (x + a)(w + b) = (x + a) w + (x + a) b: the second sum is the same for every output. */
static int32_t filter_offset_term(const layer *fc, const int8_t *input)
{
    int32_t sum = 0;
    if (fc->params->filter_offset == 0)
    {
        return 0;
    }
    for (int32_t i = 0; i < fc->columns; ++i)
    {
        sum += input[i] + fc->params->input_offset;
    }
    return sum * fc->params->filter_offset;
}

static void multiply(const layer *fc, const int8_t *input, int32_t vectors, int8_t *output, int32_t rows)
{
    for (int32_t vector = 0; vector < vectors; ++vector)
    {
        const int32_t extra = filter_offset_term(fc, input);
        int32_t ch = 0;
        for (; ch + MCUGEN_NN_BLOCK <= rows; ch += MCUGEN_NN_BLOCK)
        {
            multiply_rows(fc, MCUGEN_NN_BLOCK, ch, input, extra, output);
        }
        for (; ch < rows; ++ch)
        {
            multiply_rows(fc, 1, ch, input, extra, output);
        }
        input += fc->columns;
        output += rows;
    }
}

arm_cmsis_nn_status arm_fully_connected_s8(const cmsis_nn_context *ctx,
                                           const cmsis_nn_fc_params *fc_params,
                                           const cmsis_nn_per_tensor_quant_params *quant_params,
                                           const cmsis_nn_dims *input_dims,
                                           const int8_t *input_data,
                                           const cmsis_nn_dims *filter_dims,
                                           const int8_t *filter_data,
                                           const cmsis_nn_dims *bias_dims,
                                           const int32_t *bias_data,
                                           const cmsis_nn_dims *output_dims,
                                           int8_t *output_data)
{
    const layer fc = {.params = fc_params,
                      .multiplier = &quant_params->multiplier,
                      .shift = &quant_params->shift,
                      .quant_step = 0,
                      .filter = filter_data,
                      .bias = bias_data,
                      .columns = filter_dims->n};
    (void)ctx;
    (void)bias_dims;

    multiply(&fc, input_data, input_dims->n, output_data, output_dims->c);
    return ARM_CMSIS_NN_SUCCESS;
}

arm_cmsis_nn_status arm_fully_connected_per_channel_s8(const cmsis_nn_context *ctx,
                                                       const cmsis_nn_fc_params *fc_params,
                                                       const cmsis_nn_per_channel_quant_params *quant_params,
                                                       const cmsis_nn_dims *input_dims,
                                                       const int8_t *input_data,
                                                       const cmsis_nn_dims *filter_dims,
                                                       const int8_t *filter_data,
                                                       const cmsis_nn_dims *bias_dims,
                                                       const int32_t *bias_data,
                                                       const cmsis_nn_dims *output_dims,
                                                       int8_t *output_data)
{
    const layer fc = {.params = fc_params,
                      .multiplier = quant_params->multiplier,
                      .shift = quant_params->shift,
                      .quant_step = 1,
                      .filter = filter_data,
                      .bias = bias_data,
                      .columns = filter_dims->n};
    (void)ctx;
    (void)bias_dims;

    multiply(&fc, input_data, input_dims->n, output_data, output_dims->c);
    return ARM_CMSIS_NN_SUCCESS;
}

arm_cmsis_nn_status arm_fully_connected_wrapper_s8(const cmsis_nn_context *ctx,
                                                   const cmsis_nn_fc_params *fc_params,
                                                   const cmsis_nn_quant_params *quant_params,
                                                   const cmsis_nn_dims *input_dims,
                                                   const int8_t *input_data,
                                                   const cmsis_nn_dims *filter_dims,
                                                   const int8_t *filter_data,
                                                   const cmsis_nn_dims *bias_dims,
                                                   const int32_t *bias_data,
                                                   const cmsis_nn_dims *output_dims,
                                                   int8_t *output_data)
{
    const layer fc = {.params = fc_params,
                      .multiplier = quant_params->multiplier,
                      .shift = quant_params->shift,
                      .quant_step = quant_params->is_per_channel != 0 ? 1 : 0,
                      .filter = filter_data,
                      .bias = bias_data,
                      .columns = filter_dims->n};
    (void)ctx;
    (void)bias_dims;

    multiply(&fc, input_data, input_dims->n, output_data, output_dims->c);
    return ARM_CMSIS_NN_SUCCESS;
}

int32_t arm_fully_connected_s8_get_buffer_size(const cmsis_nn_dims *filter_dims)
{
    (void)filter_dims;
    return 0;
}

int32_t arm_fully_connected_s8_get_buffer_size_dsp(const cmsis_nn_dims *filter_dims)
{
    return arm_fully_connected_s8_get_buffer_size(filter_dims);
}

int32_t arm_fully_connected_s8_get_buffer_size_mve(const cmsis_nn_dims *filter_dims)
{
    return arm_fully_connected_s8_get_buffer_size(filter_dims);
}
