/* SPDX-License-Identifier: Apache-2.0 */
/* Order: output pixel by output pixel, each from the input pixels whose window covers it; no scratch is needed. */
#include "arm_nnfunctions.h"
#include "mcugen_nn_window.h"

/* Along one axis: input pixel first - i meets tap phase + i * stride, for i in [begin, end). */
typedef struct
{
    int32_t first;
    int32_t phase;
    int32_t begin;
    int32_t end;
} meeting;

static meeting meet(int32_t position, int32_t size, int32_t taps, int32_t stride)
{
    const int32_t first = position / stride;
    const int32_t phase = position % stride;
    const meeting found = {.first = first,
                           .phase = phase,
                           .begin = mcugen_max(0, first - size + 1),
                           .end = mcugen_min(first + 1, mcugen_steps_below(taps - phase, stride))};
    return found;
}

arm_cmsis_nn_status arm_transpose_conv_s8(const cmsis_nn_context *ctx,
                                          const cmsis_nn_context *output_ctx,
                                          const cmsis_nn_transpose_conv_params *transpose_conv_params,
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
    const cmsis_nn_transpose_conv_params *const params = transpose_conv_params;
    const int32_t channels = input_dims->c;
    const int32_t outputs = output_dims->c;
    const int32_t input_row = input_dims->w * channels;
    const cmsis_nn_tile stride = params->stride;
    const mcugen_outputs shared = {.filter_step = filter_dims->h * filter_dims->w * channels,
                                   .input_offset = params->input_offset,
                                   .bias = bias_data,
                                   .multiplier = quant_params->multiplier,
                                   .shift = quant_params->shift,
                                   .quant_step = 1,
                                   .output_offset = params->output_offset,
                                   .clamp = &params->activation};
    mcugen_window window = {.run_bytes = channels,
                            .input_row_step = -input_row,
                            .input_run_step = -channels,
                            .filter_row_step = stride.h * filter_dims->w * channels,
                            .filter_run_step = stride.w * channels};
    (void)ctx;
    (void)output_ctx;
    (void)bias_dims;

    if (filter_dims->c != channels || params->dilation.h > 1 || params->dilation.w > 1)
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    for (int32_t batch = 0; batch < input_dims->n; ++batch)
    {
        for (int32_t y = 0; y < output_dims->h; ++y)
        {
            const meeting rows = meet(y + params->padding.h, input_dims->h, filter_dims->h, stride.h);
            for (int32_t x = 0; x < output_dims->w; ++x)
            {
                const meeting columns = meet(x + params->padding.w, input_dims->w, filter_dims->w, stride.w);
                /* From tap to tap the input goes back. */
                window.rows = rows.end - rows.begin;
                window.runs = columns.end - columns.begin;
                const int32_t row = rows.first - rows.begin;
                const int32_t column = columns.first - columns.begin;
                const int32_t tap = (rows.phase + rows.begin * stride.h) * filter_dims->w + columns.phase +
                                    columns.begin * stride.w;
                const int some = window.rows > 0 && window.runs > 0;
                mcugen_window_outputs(&shared, &window,
                                      input_data + (some ? row * input_row + column * channels : 0),
                                      filter_data + (some ? tap * channels : 0), 0, 0, outputs, output_data);
                output_data += outputs;
            }
        }
        input_data += input_dims->h * input_row;
    }
    return ARM_CMSIS_NN_SUCCESS;
}

arm_cmsis_nn_status arm_transpose_conv_wrapper_s8(const cmsis_nn_context *ctx,
                                                  const cmsis_nn_context *output_ctx,
                                                  const cmsis_nn_transpose_conv_params *transpose_conv_params,
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
    return arm_transpose_conv_s8(ctx, output_ctx, transpose_conv_params, quant_params, input_dims, input_data,
                                 filter_dims, filter_data, bias_dims, bias_data, output_dims, output_data);
}
