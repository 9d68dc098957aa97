/* SPDX-License-Identifier: Apache-2.0 */
/* Order: output pixel by output pixel, in raster order. */
#include "arm_nnfunctions.h"
#include "mcugen_nn_dense.h"
#include "mcugen_nn_window.h"

/* What all pixels share. */
typedef struct
{
    const cmsis_nn_conv_params *params;
    mcugen_outputs outputs;
    int32_t groups;
    int32_t group_inputs;
    int32_t group_outputs;
    int32_t column_step; /* between the columns of a pixel's groups; 0: there is room for one at a time */
} layer;

/* Any window. input points at the first valid tap of group 0, filter at that of output channel 0. */
MCUGEN_SHARED static void convolve_pixel(const layer *conv, const mcugen_window *taps, const int8_t *input,
                                         const int8_t *filter, int8_t *output)
{
    for (int32_t group = 0; group < conv->groups; ++group)
    {
        mcugen_window_outputs(&conv->outputs, taps, input, filter, 0, group * conv->group_outputs,
                              conv->group_outputs, output);
        input += conv->group_inputs;
    }
}

#if defined(MCUGEN_NN_DENSE)
/* The window of one pixel as a column, in one group; skipped = bytes of the filter before the first valid tap. */
MCUGEN_INLINE void fill_column(const layer *conv, const mcugen_window *taps, const int8_t *input, int32_t skipped,
                               mcugen_columns *columns, int32_t which, int32_t at)
{
    const int32_t depth = conv->outputs.filter_step;
    const int32_t valid = taps->rows * taps->runs * taps->run_bytes;
    const int8_t *bytes = input;
    if (valid != depth || taps->rows * taps->runs != 1)
    {
        int8_t *const copy = mcugen_column_bytes(columns, which, at, depth);
        if (valid != depth)
        {
            memset(copy, -conv->params->input_offset, (size_t)depth);
        }
        for (int32_t row = 0; row < taps->rows; ++row)
        {
            int8_t *to = copy + skipped + row * taps->filter_row_step;
            const int8_t *from = input + row * taps->input_row_step;
            for (int32_t left = taps->runs; left > 0; --left)
            {
                mcugen_copy(to, from, taps->run_bytes);
                to += taps->filter_run_step;
                from += taps->input_run_step;
            }
        }
        bytes = copy;
    }
    mcugen_fill_column(columns, which, at, bytes, depth, conv->params->input_offset);
}

/* Pixels whose windows wait as columns. */
typedef struct
{
    mcugen_columns columns;
    int32_t held;
    int8_t *output; /* of the first of them */
} waiting;

static void next_group(const layer *conv, mcugen_dense *dense)
{
    dense->at += conv->column_step;
    dense->weights += dense->rows * dense->depth;
    dense->bias = dense->bias != NULL ? dense->bias + dense->rows : NULL;
    dense->multiplier += dense->rows;
    dense->shift += dense->rows;
}

static void finish_pixels(const layer *conv, const mcugen_dense *dense, waiting *pixels)
{
    if (pixels->held > 0 && conv->groups == 1)
    {
        mcugen_dense_outputs(dense, &pixels->columns, pixels->held, pixels->output);
    }
    else if (pixels->held > 0)
    {
        mcugen_dense each = *dense;
        for (int32_t group = 0; group < conv->groups; ++group)
        {
            mcugen_dense_outputs_call(&each, &pixels->columns, pixels->held, pixels->output + group * each.rows);
            next_group(conv, &each);
        }
    }
    pixels->held = 0;
}

/* A pixel whose groups are too many to wait. */
MCUGEN_SHARED static void convolve_groups(const layer *conv, mcugen_dense dense, const mcugen_window *taps,
                                          const int8_t *input, int32_t skipped, mcugen_columns *columns,
                                          int8_t *output)
{
    for (int32_t group = 0; group < conv->groups; ++group)
    {
        fill_column(conv, taps, input + group * conv->group_inputs, skipped, columns, 0, 0);
        mcugen_dense_outputs_call(&dense, columns, 1, output + group * dense.rows);
        next_group(conv, &dense);
    }
}
#endif

/* The windows of all pixels, in raster order; with `dense` as columns, a few at a time. */
MCUGEN_SHARED static void convolve_pixels(const layer *conv, const mcugen_dense *dense,
                                          const cmsis_nn_dims *input_dims, const int8_t *input_data,
                                          const cmsis_nn_dims *filter_dims, const int8_t *filter_data,
                                          const cmsis_nn_dims *output_dims, int8_t *output_data)
{
    const cmsis_nn_conv_params *const params = conv->params;
    const cmsis_nn_tile dilation = params->dilation;
    const int32_t kernel_ch = filter_dims->c;
    const int32_t input_row = input_dims->w * input_dims->c;
    const int adjacent = conv->groups == 1 && dilation.w == 1;
    mcugen_window taps = {.input_row_step = dilation.h * input_row,
                   .input_run_step = dilation.w * input_dims->c,
                   .filter_row_step = filter_dims->w * kernel_ch,
                   .filter_run_step = kernel_ch};
#if defined(MCUGEN_NN_DENSE)
    waiting pixels;
    pixels.held = 0;
    const int32_t at_once = mcugen_columns_at_once(conv->groups * conv->column_step);
#endif

    for (int32_t batch = 0; batch < input_dims->n; ++batch)
    {
        for (int32_t y = 0; y < output_dims->h; ++y)
        {
            const int32_t origin_y = y * params->stride.h - params->padding.h;
            const mcugen_taps rows = mcugen_valid_taps(origin_y, input_dims->h, filter_dims->h, dilation.h);
            for (int32_t x = 0; x < output_dims->w; ++x)
            {
                const int32_t origin_x = x * params->stride.w - params->padding.w;
                const mcugen_taps columns = mcugen_valid_taps(origin_x, input_dims->w, filter_dims->w, dilation.w);
                const int32_t width = columns.end - columns.begin;
                taps.rows = width > 0 ? rows.end - rows.begin : 0;
                taps.runs = adjacent ? 1 : width;
                taps.run_bytes = adjacent ? width * kernel_ch : kernel_ch;
                const int32_t first_row = origin_y + rows.begin * dilation.h;
                const int32_t first_column = origin_x + columns.begin * dilation.w;
                const int8_t *const input =
                    input_data + (taps.rows > 0 ? first_row * input_row + first_column * input_dims->c : 0);
                const int32_t skipped = (rows.begin * filter_dims->w + columns.begin) * kernel_ch;

#if defined(MCUGEN_NN_DENSE)
                if (conv->column_step != 0)
                {
                    pixels.output = pixels.held == 0 ? output_data : pixels.output;
                    for (int32_t group = 0; group < conv->groups; ++group)
                    {
                        fill_column(conv, &taps, input + group * conv->group_inputs, skipped, &pixels.columns,
                                    pixels.held, group * conv->column_step);
                    }
                    if (++pixels.held == at_once)
                    {
                        finish_pixels(conv, dense, &pixels);
                    }
                }
                else if (dense != NULL)
                {
                    convolve_groups(conv, *dense, &taps, input, skipped, &pixels.columns, output_data);
                }
                else
#endif
                {
                    convolve_pixel(conv, &taps, input, filter_data + skipped, output_data);
                }
                output_data += output_dims->c;
            }
        }
        input_data += input_dims->h * input_row;
    }
#if defined(MCUGEN_NN_DENSE)
    finish_pixels(conv, dense, &pixels);
#else
    (void)dense;
#endif
}

#if defined(MCUGEN_NN_DENSE)
/* Rows of weights times the windows of all pixels. */
static void convolve_dense(layer *conv, int pointwise, const cmsis_nn_dims *input_dims, const int8_t *input_data,
                          const cmsis_nn_dims *filter_dims, const int8_t *filter_data,
                          const cmsis_nn_dims *output_dims, int8_t *output_data)
{
    const cmsis_nn_conv_params *const params = conv->params;
    int32_t sums[MCUGEN_DENSE_SUMS];
    mcugen_dense dense = {.weights = filter_data,
                          .depth = conv->outputs.filter_step,
                          .rows = output_dims->c,
                          .channels = output_dims->c,
                          .bias = conv->outputs.bias,
                          .multiplier = conv->outputs.multiplier,
                          .shift = conv->outputs.shift,
                          .quant_step = 1,
                          .output_offset = params->output_offset,
                          .clamp = params->activation};

    mcugen_dense_prepare(&dense, params->input_offset, sums);
    dense.rows = conv->group_outputs;
    conv->column_step = (dense.depth + MCUGEN_COLUMN_ALIGN - 1) / MCUGEN_COLUMN_ALIGN * MCUGEN_COLUMN_ALIGN;
    if (mcugen_columns_at_once(conv->groups * conv->column_step) == 0)
    {
        conv->column_step = 0;
    }
    if (pointwise)
    {
        mcugen_dense_vectors(&dense, input_data, output_dims->n * output_dims->h * output_dims->w,
                             params->input_offset, 0, output_data);
    }
    else
    {
        convolve_pixels(conv, &dense, input_dims, input_data, filter_dims, filter_data, output_dims, output_data);
    }
}
#endif

#if defined(MCUGEN_NN_DENSE)
#define FEW_PIXELS 64 /* at a time */

/* Fewer than four outputs of a few pixels, at least four: the pixels are rows, and the weights of each output a column.
 * Output may follow close on input: nothing is written before all is read. */
MCUGEN_SHARED static void convolve_few_outputs(const mcugen_outputs *shared, const int8_t *input,
                                               const int8_t *filter, int32_t pixels, int32_t outputs,
                                               int8_t *output)
{
    const mcugen_outputs p = *shared; /* a copy: output cannot alias it */
    const int32_t depth = p.filter_step;
    int32_t sums[MCUGEN_DENSE_SUMS];
    int8_t made[3 * FEW_PIXELS];
    mcugen_columns columns;
    for (int32_t ch = 0; ch < outputs; ++ch, filter += depth)
    {
        const int32_t sum = mcugen_vector_sum(filter, depth, 0) * p.input_offset + (p.bias != NULL ? p.bias[ch] : 0);
        mcugen_dense dense = {.weights = input,
                              .depth = depth,
                              .rows = pixels,
                              .multiplier = p.multiplier + ch,
                              .shift = p.shift + ch,
                              .output_offset = p.output_offset,
                              .clamp = *p.clamp};
        mcugen_dense_same(&dense, sum, sums);
        mcugen_fill_column(&columns, 0, 0, filter, depth, 0);
        mcugen_dense_outputs_call(&dense, &columns, 1, made + ch * FEW_PIXELS);
    }
    for (int32_t i = 0; i < pixels; ++i)
    {
        for (int32_t ch = 0; ch < outputs; ++ch)
        {
            *output++ = made[ch * FEW_PIXELS + i];
        }
    }
}
#endif

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
    layer conv = {.params = conv_params,
                  .outputs = {.filter_step = filter_dims->h * filter_dims->w * kernel_ch,
                              .input_offset = conv_params->input_offset,
                              .bias = bias_data,
                              .multiplier = quant_params->multiplier,
                              .shift = quant_params->shift,
                              .quant_step = 1,
                              .output_offset = conv_params->output_offset,
                              .clamp = &conv_params->activation},
                  .groups = groups,
                  .group_inputs = kernel_ch,
                  .group_outputs = output_dims->c / groups};

    /* Every pixel once, in order: */
    const int pointwise = groups == 1 && filter_dims->h == 1 && filter_dims->w == 1 && conv_params->stride.h == 1 &&
                          conv_params->stride.w == 1 && conv_params->padding.h == 0 && conv_params->padding.w == 0 &&
                          output_dims->h == input_dims->h && output_dims->w == input_dims->w;

#if defined(MCUGEN_NN_DENSE)
#if defined(MCUGEN_NN_MVE)
    const int worth = output_dims->n * output_dims->h * output_dims->w > 1; /* the sums of the weights */
#else
    const int worth = 1;
#endif
    if (worth && conv.group_outputs >= 4 && output_dims->c <= MCUGEN_DENSE_ROWS &&
        mcugen_columns_at_once(conv.outputs.filter_step) > 0)
    {
        convolve_dense(&conv, pointwise, input_dims, input_data, filter_dims, filter_data, output_dims, output_data);
        return ARM_CMSIS_NN_SUCCESS;
    }
#endif
    if (pointwise)
    {
        const mcugen_window pixel = {.rows = 1, .runs = 1, .run_bytes = kernel_ch};
        const int32_t outputs = output_dims->c;
        int32_t pixels = output_dims->n * output_dims->h * output_dims->w;
#if defined(MCUGEN_NN_DENSE)
        while (outputs < 4 && pixels >= 4 && mcugen_columns_at_once(kernel_ch) > 0)
        {
            const int32_t count = mcugen_min(pixels, FEW_PIXELS);
            convolve_few_outputs(&conv.outputs, input_data, filter_data, count, outputs, output_data);
            input_data += count * kernel_ch;
            output_data += count * outputs;
            pixels -= count;
        }
#endif
        for (; pixels > 0; --pixels)
        {
            convolve_pixel(&conv, &pixel, input_data, filter_data, output_data);
            input_data += kernel_ch;
            output_data += outputs;
        }
        return ARM_CMSIS_NN_SUCCESS;
    }
    convolve_pixels(&conv, NULL, input_dims, input_data, filter_dims, filter_data, output_dims, output_data);
    return ARM_CMSIS_NN_SUCCESS;
}
