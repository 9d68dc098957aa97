/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"
#include "mcugen_nn_dense.h"

#define SUMS 64 /* that are made at a time, where outputs need more than their bias */

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

/* Outputs ch to ch + last of one vector. extra is what the weight zero point adds to each. */
MCUGEN_OUT_OF_LINE static void multiply_block(const layer *fc, int32_t ch, int32_t last, const int8_t *input,
                                              int32_t extra, int8_t *output)
{
    const mcugen_rows4 rows = mcugen_block_rows(fc->filter + ch * fc->columns, fc->columns, last);
    mcugen_acc4 acc = mcugen_block_bias(fc->bias != NULL ? fc->bias + ch : NULL, last);
    mcugen_block_mac(&acc, input, fc->params->input_offset, &rows, 0, fc->columns);
    acc.a += extra;
    acc.b += extra;
    acc.c += extra;
    acc.d += extra;
    mcugen_block_store(output + ch, &acc, last, fc->multiplier + ch * fc->quant_step, fc->shift + ch * fc->quant_step,
                       fc->quant_step, fc->params->output_offset, &fc->params->activation);
}

/* All outputs of one vector. (x + a)(w + b) = (x + a) w + (x + a) b: the second sum is the same for all. */
static void multiply_vector(const layer *fc, const int8_t *input, int8_t *output, int32_t rows)
{
    int32_t row = 0;
    const int32_t filter_offset = fc->params->filter_offset;
    const int32_t extra =
        filter_offset != 0 ? mcugen_vector_sum(input, fc->columns, fc->params->input_offset) * filter_offset : 0;
#if defined(MCUGEN_NN_DENSE) && defined(MCUGEN_NN_MVE)
    const int32_t same[4] = {*fc->multiplier, *fc->multiplier, *fc->multiplier, *fc->multiplier};
    while (row + 4 <= rows)
    {
        int32_t sums[SUMS];
        int32_t count = (rows - row) & ~3;
        const int32_t *bias = fc->bias + row;
        if (fc->bias == NULL || extra != 0)
        {
            count = mcugen_min(count, SUMS);
            for (int32_t i = 0; i < count; i += 4)
            {
                const int32x4_t own = fc->bias != NULL ? vldrwq_s32(bias + i) : vdupq_n_s32(0);
                vstrwq_s32(sums + i, vaddq_n_s32(own, extra));
            }
            bias = sums;
        }
        mcugen_vector dense = {.weights = fc->filter + row * fc->columns,
                              .columns = fc->columns,
                              .bias = bias,
                              .input = input,
                              .input_offset = fc->params->input_offset,
                              .multiplier = fc->quant_step != 0 ? fc->multiplier + row : same,
                              .multiplier_bytes = 16 * fc->quant_step,
                              .output_offset = fc->params->output_offset,
                              .low = fc->params->activation.min,
                              .high = fc->params->activation.max,
                              .output = output + row,
                              .blocks = count / 4};
        mcugen_vector_mve(&dense);
        row += count;
    }
#endif
    for (; row < rows; row += MCUGEN_NN_BLOCK)
    {
        multiply_block(fc, row, mcugen_min(MCUGEN_NN_BLOCK, rows - row) - 1, input, extra, output);
    }
}

static void multiply(const layer *fc, const int8_t *input, int32_t vectors, int8_t *output, int32_t rows)
{
#if defined(MCUGEN_NN_DENSE) && !defined(MCUGEN_NN_MVE)
    if (rows >= 4 && mcugen_columns_at_once(fc->columns) > 0)
    {
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
        mcugen_dense_vectors(&dense, input, vectors, fc->params->input_offset, fc->params->filter_offset, output);
        return;
    }
#endif
    for (; vectors > 0; --vectors)
    {
        multiply_vector(fc, input, output, rows);
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
