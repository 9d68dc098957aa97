/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "mcugen_nn_dense.h"
#include "mcugen_nn_window.h"

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

#if defined(MCUGEN_NN_DENSE)
/* All outputs, where columns are worth making. */
MCUGEN_OUT_OF_LINE static void multiply_dense(const layer *fc, const int8_t *input, int32_t vectors, int8_t *output,
                                              int32_t rows)
{
    int32_t sums[MCUGEN_DENSE_SUMS];
    mcugen_dense dense = {.weights = fc->filter,
                          .depth = fc->columns,
                          .rows = rows,
                          .channels = rows,
                          .bias = fc->bias,
                          .multiplier = fc->multiplier,
                          .shift = fc->shift,
                          .quant_step = fc->quant_step,
                          .output_offset = fc->params->output_offset,
                          .clamp = fc->params->activation};
    mcugen_dense_prepare(&dense, fc->params->input_offset, sums);
    mcugen_dense_vectors(&dense, input, vectors, fc->params->input_offset, fc->params->filter_offset, output);
}
#endif

/* All outputs of vectors. (x + a)(w + b) = (x + a) w + (x + a) b: the second sum is the same for all of a vector. */
static void multiply(const layer *fc, const int8_t *input, int32_t vectors, int8_t *output, int32_t rows)
{
#if defined(MCUGEN_NN_DENSE)
#if defined(MCUGEN_NN_MVE)
    const int worth = vectors > 1 && fc->params->filter_offset == 0;
#else
    const int worth = 1;
#endif
    if (worth && rows >= 4 && rows <= MCUGEN_DENSE_ROWS && mcugen_columns_at_once(fc->columns) > 0)
    {
        multiply_dense(fc, input, vectors, output, rows);
        return;
    }
#endif
    const cmsis_nn_fc_params *const params = fc->params;
    const mcugen_window all = {.rows = 1, .runs = 1, .run_bytes = fc->columns};
    const mcugen_outputs shared = {.filter_step = fc->columns,
                                   .input_offset = params->input_offset,
                                   .bias = fc->bias,
                                   .multiplier = fc->multiplier,
                                   .shift = fc->shift,
                                   .quant_step = fc->quant_step,
                                   .output_offset = params->output_offset,
                                   .clamp = &params->activation};
    for (; vectors > 0; --vectors)
    {
        const int32_t extra = params->filter_offset != 0 ? mcugen_vector_sum(input, fc->columns, params->input_offset) *
                                                               params->filter_offset
                                                         : 0;
        if (rows < MCUGEN_NN_BLOCK)
        {
            mcugen_few_outputs(&shared, &all, input, fc->filter, extra, 0, rows, output);
        }
        else
        {
            mcugen_window_outputs(&shared, &all, input, fc->filter, extra, 0, rows, output);
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

/* Each vector of the left matrix by the rows of the right one, of the same batch or the only one. */
arm_cmsis_nn_status arm_batch_matmul_s8(const cmsis_nn_context *ctx,
                                        const cmsis_nn_bmm_params *bmm_params,
                                        const cmsis_nn_per_tensor_quant_params *quant_params,
                                        const cmsis_nn_dims *input_lhs_dims,
                                        const int8_t *input_lhs,
                                        const cmsis_nn_dims *input_rhs_dims,
                                        const int8_t *input_rhs,
                                        const cmsis_nn_dims *output_dims,
                                        int8_t *output)
{
    const cmsis_nn_dims *const left = input_lhs_dims;
    const cmsis_nn_dims *const right = input_rhs_dims;
    (void)ctx;

    if (left->c != right->c)
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    for (int32_t n = 0; n < output_dims->n; ++n)
    {
        for (int32_t h = 0; h < output_dims->h; ++h)
        {
            const int32_t left_matrix = (left->n == 1 ? 0 : n) * left->h + (left->h == 1 ? 0 : h);
            const int32_t right_matrix = (right->n == 1 ? 0 : n) * right->h + (right->h == 1 ? 0 : h);
            const layer fc = {.params = &bmm_params->fc_params,
                              .multiplier = &quant_params->multiplier,
                              .shift = &quant_params->shift,
                              .quant_step = 0,
                              .filter = input_rhs + right_matrix * right->w * right->c,
                              .bias = NULL,
                              .columns = right->c};
            multiply(&fc, input_lhs + left_matrix * left->w * left->c, left->w, output, right->w);
            output += left->w * right->w;
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}
