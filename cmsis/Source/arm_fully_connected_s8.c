/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "mcugen_nn_dense.h"
#include "mcugen_nn_window.h"

/* The weights, each with filter_offset added, and what is made of a row's sum; a row is outputs.filter_step values. */
typedef struct
{
    mcugen_outputs outputs;
    const int8_t *filter;
    int32_t filter_offset;
} layer;

static layer layer_of(const cmsis_nn_fc_params *params, const int32_t *multiplier, const int32_t *shift,
                      int32_t quant_step, const int8_t *filter, const int32_t *bias, int32_t columns)
{
    const layer fc = {.outputs = {.filter_step = columns,
                                  .input_offset = params->input_offset,
                                  .bias = bias,
                                  .multiplier = multiplier,
                                  .shift = shift,
                                  .quant_step = quant_step,
                                  .output_offset = params->output_offset,
                                  .clamp = &params->activation},
                      .filter = filter,
                      .filter_offset = params->filter_offset};
    return fc;
}

#if defined(MCUGEN_NN_DENSE)
/* All outputs, where columns are worth making. */
MCUGEN_OUT_OF_LINE static void multiply_dense(const layer *fc, const int8_t *input, int32_t vectors, int8_t *output,
                                              int32_t rows)
{
    const mcugen_outputs *const p = &fc->outputs;
    int32_t sums[MCUGEN_DENSE_SUMS];
    mcugen_dense dense = {.weights = fc->filter,
                          .depth = p->filter_step,
                          .rows = rows,
                          .channels = rows,
                          .bias = p->bias,
                          .multiplier = p->multiplier,
                          .shift = p->shift,
                          .quant_step = p->quant_step,
                          .output_offset = p->output_offset,
                          .clamp = *p->clamp};
    mcugen_dense_prepare(&dense, p->input_offset, sums);
    mcugen_dense_vectors(&dense, input, vectors, p->input_offset, fc->filter_offset, output);
}
#endif

/* All outputs of vectors. (x + a)(w + b) = (x + a) w + (x + a) b: the second sum is the same for all of a vector. */
static void multiply(const layer *fc, const int8_t *input, int32_t vectors, int8_t *output, int32_t rows)
{
    const int32_t columns = fc->outputs.filter_step;
    const int32_t input_offset = fc->outputs.input_offset;
    const mcugen_window all = {.rows = 1, .runs = 1, .run_bytes = columns};
#if defined(MCUGEN_NN_DENSE)
#if defined(MCUGEN_NN_MVE)
    const int worth = vectors > 1 && fc->filter_offset == 0;
#else
    const int worth = 1;
#endif
    if (worth && rows >= 4 && rows <= MCUGEN_DENSE_ROWS && mcugen_columns_at_once(columns) > 0)
    {
        multiply_dense(fc, input, vectors, output, rows);
        return;
    }
#endif
    for (; vectors > 0; --vectors)
    {
        const int32_t extra =
            fc->filter_offset != 0 ? mcugen_vector_sum(input, columns, input_offset) * fc->filter_offset : 0;
        if (rows < MCUGEN_NN_BLOCK)
        {
            const mcugen_window known = {.rows = 1, .runs = 1, .run_bytes = columns}; /* to the compiler */
            mcugen_few_outputs(&fc->outputs, &known, input, fc->filter, extra, 0, rows, output);
        }
        else
        {
            mcugen_many_outputs(&fc->outputs, &all, input, fc->filter, extra, 0, rows, output);
        }
        input += columns;
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
    const layer fc = layer_of(fc_params, &quant_params->multiplier, &quant_params->shift, 0, filter_data, bias_data,
                              filter_dims->n);
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
    const layer fc = layer_of(fc_params, quant_params->multiplier, quant_params->shift, 1, filter_data, bias_data,
                              filter_dims->n);
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
    const layer fc = layer_of(fc_params, quant_params->multiplier, quant_params->shift,
                              quant_params->is_per_channel != 0 ? 1 : 0, filter_data, bias_data, filter_dims->n);
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
            const layer fc = layer_of(&bmm_params->fc_params, &quant_params->multiplier, &quant_params->shift, 0,
                                      input_rhs + right_matrix * right->w * right->c, NULL, right->c);
            multiply(&fc, input_lhs + left_matrix * left->w * left->c, left->w, output, right->w);
            output += left->w * right->w;
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}
