/* SPDX-License-Identifier: Apache-2.0 */
/* Order: output pixel by output pixel, in raster order. */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

/* The taps of one output pixel that lie inside the input: rows of runs of adjacent bytes. A run is
 * one tap's channels, or a whole kernel row where taps and groups leave no gaps. */
typedef struct
{
    int32_t rows;
    int32_t runs;
    int32_t run_bytes;
    int32_t input_row_step;
    int32_t input_run_step;
    int32_t filter_row_step;
    int32_t filter_run_step;
} window;

/* What all pixels share. */
typedef struct
{
    const cmsis_nn_conv_params *params;
    const cmsis_nn_per_channel_quant_params *quant;
    const int32_t *bias;
    int32_t groups;
    int32_t group_inputs;
    int32_t group_outputs;
    int32_t filter_step;
} layer;

/* Output channels ch to ch + last of one pixel. */
MCUGEN_OUT_OF_LINE static void convolve_block(const layer *conv, const window *taps, int32_t ch, int32_t last,
                                              const int8_t *input, const int8_t *filter, int8_t *output)
{
    const mcugen_rows4 rows = mcugen_block_rows(filter + ch * conv->filter_step, conv->filter_step, last);
    mcugen_acc4 acc = mcugen_block_bias(conv->bias != NULL ? conv->bias + ch : NULL, last);

    for (int32_t row = 0; row < taps->rows; ++row)
    {
        const int8_t *run = input + row * taps->input_row_step;
        int32_t at = row * taps->filter_row_step;
        for (int32_t left = taps->runs; left > 0; --left)
        {
            mcugen_block_mac(&acc, run, conv->params->input_offset, &rows, at, taps->run_bytes);
            run += taps->input_run_step;
            at += taps->filter_run_step;
        }
    }
    mcugen_block_store(output + ch, &acc, last, conv->quant->multiplier + ch, conv->quant->shift + ch, 1,
                       conv->params->output_offset, &conv->params->activation);
}

#if defined(MCUGEN_NN_DENSE)
/* The longest window that is made a column; of whole vectors. */
#define COLUMN_BYTES 640

/* Whole blocks of output channels of one pixel, its window in one piece: as it lies in the input, or copied, with the
 * input's zero point where it leaves the input. skipped = bytes of the filter before the first valid tap. Returns the
 * number of channels done. */
MCUGEN_OUT_OF_LINE static int32_t convolve_blocks(const layer *conv, const window *taps, const int8_t *input,
                                                  const int8_t *filter, int32_t skipped, int8_t *output)
{
    const int32_t valid = taps->rows * taps->runs * taps->run_bytes;
    int8_t column[COLUMN_BYTES];
    mcugen_dense dense = {.weights = filter,
                          .columns = conv->filter_step,
                          .bias = conv->bias,
                          .input = input,
                          .input_offset = conv->params->input_offset,
                          .multiplier = conv->quant->multiplier,
                          .multiplier_bytes = 16,
                          .output_offset = conv->params->output_offset,
                          .low = conv->params->activation.min,
                          .high = conv->params->activation.max,
                          .output = output,
                          .blocks = conv->group_outputs / 4};

    if (conv->groups != 1 || conv->bias == NULL || dense.blocks == 0 || conv->filter_step > COLUMN_BYTES)
    {
        return 0;
    }
    if (valid != conv->filter_step || taps->rows * taps->runs != 1)
    {
        for (int32_t at = 0; valid != conv->filter_step && at < conv->filter_step; at += 16)
        {
            vstrbq_s8(column + at, vdupq_n_s8((int8_t)-conv->params->input_offset));
        }
        for (int32_t row = 0; row < taps->rows; ++row)
        {
            for (int32_t run = 0; run < taps->runs; ++run)
            {
                mcugen_copy_mve(column + skipped + row * taps->filter_row_step + run * taps->filter_run_step,
                                input + row * taps->input_row_step + run * taps->input_run_step, taps->run_bytes);
            }
        }
        dense.input = column;
    }
    mcugen_dense_mve(&dense);
    return conv->group_outputs & ~3;
}
#else
static int32_t convolve_blocks(const layer *conv, const window *taps, const int8_t *input, const int8_t *filter,
                               int32_t skipped, int8_t *output)
{
    (void)conv;
    (void)taps;
    (void)input;
    (void)filter;
    (void)skipped;
    (void)output;
    return 0;
}
#endif

/* Output channels from ch on. input points at the first valid tap of group 0, filter at the first tap of output channel
 * 0, skipped bytes before its first valid one. */
static void convolve_pixel(const layer *conv, const window *taps, const int8_t *input, const int8_t *filter,
                           int32_t skipped, int8_t *output)
{
    int32_t ch = convolve_blocks(conv, taps, input, filter, skipped, output);
    int32_t end = 0;
    filter += skipped;
    for (int32_t group = 0; group < conv->groups; ++group)
    {
        end += conv->group_outputs;
        while (ch < end)
        {
            const int32_t count = mcugen_min(MCUGEN_NN_BLOCK, end - ch);
            convolve_block(conv, taps, ch, count - 1, input, filter, output);
            ch += count;
        }
        input += conv->group_inputs;
    }
}

arm_cmsis_nn_status arm_convolve_wrapper_s8(const cmsis_nn_context *ctx,
                                            const cmsis_nn_conv_params *conv_params,
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
    const int32_t kernel_ch = filter_dims->c;
    (void)ctx;
    (void)bias_dims;

    if (kernel_ch < 1 || input_dims->c % kernel_ch != 0 || output_dims->c % (input_dims->c / kernel_ch) != 0)
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }

    const int32_t groups = input_dims->c / kernel_ch;
    const int32_t input_row = input_dims->w * input_dims->c;
    const cmsis_nn_tile dilation = conv_params->dilation;
    const int dense = groups == 1 && dilation.w == 1;
    const layer conv = {.params = conv_params,
                        .quant = quant_params,
                        .bias = bias_data,
                        .groups = groups,
                        .group_inputs = kernel_ch,
                        .group_outputs = output_dims->c / groups,
                        .filter_step = filter_dims->h * filter_dims->w * kernel_ch};

    for (int32_t batch = 0; batch < input_dims->n; ++batch)
    {
        for (int32_t y = 0; y < output_dims->h; ++y)
        {
            const int32_t origin_y = y * conv_params->stride.h - conv_params->padding.h;
            const mcugen_taps rows = mcugen_valid_taps(origin_y, input_dims->h, filter_dims->h, dilation.h);
            for (int32_t x = 0; x < output_dims->w; ++x)
            {
                const int32_t origin_x = x * conv_params->stride.w - conv_params->padding.w;
                const mcugen_taps columns = mcugen_valid_taps(origin_x, input_dims->w, filter_dims->w, dilation.w);
                const int32_t width = columns.end - columns.begin;
                const window taps = {.rows = width > 0 ? rows.end - rows.begin : 0,
                                     .runs = dense ? 1 : width,
                                     .run_bytes = dense ? width * kernel_ch : kernel_ch,
                                     .input_row_step = dilation.h * input_row,
                                     .input_run_step = dilation.w * input_dims->c,
                                     .filter_row_step = filter_dims->w * kernel_ch,
                                     .filter_run_step = kernel_ch};
                const int32_t first_row = origin_y + rows.begin * dilation.h;
                const int32_t first_column = origin_x + columns.begin * dilation.w;
                const int32_t first = taps.rows > 0 ? first_row * input_row + first_column * input_dims->c : 0;

                convolve_pixel(&conv, &taps, input_data + first, filter_data,
                               (rows.begin * filter_dims->w + columns.begin) * kernel_ch, output_data);
                output_data += output_dims->c;
            }
        }
        input_data += input_dims->h * input_row;
    }
    return ARM_CMSIS_NN_SUCCESS;
}

int32_t arm_convolve_wrapper_s8_get_buffer_size(const cmsis_nn_conv_params *conv_params,
                                                const cmsis_nn_dims *input_dims,
                                                const cmsis_nn_dims *filter_dims,
                                                const cmsis_nn_dims *output_dims)
{
    (void)conv_params;
    (void)input_dims;
    (void)filter_dims;
    (void)output_dims;
    return 0;
}

int32_t arm_convolve_wrapper_s8_get_buffer_size_dsp(const cmsis_nn_conv_params *conv_params,
                                                    const cmsis_nn_dims *input_dims,
                                                    const cmsis_nn_dims *filter_dims,
                                                    const cmsis_nn_dims *output_dims)
{
    return arm_convolve_wrapper_s8_get_buffer_size(conv_params, input_dims, filter_dims, output_dims);
}

int32_t arm_convolve_wrapper_s8_get_buffer_size_mve(const cmsis_nn_conv_params *conv_params,
                                                    const cmsis_nn_dims *input_dims,
                                                    const cmsis_nn_dims *filter_dims,
                                                    const cmsis_nn_dims *output_dims)
{
    return arm_convolve_wrapper_s8_get_buffer_size(conv_params, input_dims, filter_dims, output_dims);
}
