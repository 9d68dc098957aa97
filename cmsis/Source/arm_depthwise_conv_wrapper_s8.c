/* SPDX-License-Identifier: Apache-2.0 */
/* Order: output pixel by output pixel, in raster order. */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

/* The taps of one output pixel that lie inside the input, with the steps between them in bytes. */
typedef struct
{
    int32_t rows;
    int32_t columns;
    int32_t input_row_step;
    int32_t input_column_step;
    int32_t filter_row_step;
    int32_t filter_column_step;
} window;

/* What all pixels share. */
typedef struct
{
    const cmsis_nn_dw_conv_params *params;
    const cmsis_nn_per_channel_quant_params *quant;
    const int32_t *bias;
    int32_t input_ch;
} layer;

#if defined(MCUGEN_NN_DSP)
/* Four channels of one tap, that read four inputs. */
MCUGEN_INLINE void add_tap(mcugen_acc4 *acc, int16x2_t offsets, const int8_t *values, const int8_t *weights)
{
    const uint32_t x = mcugen_load4(values);
    const uint32_t w = mcugen_load4(weights);
    const int32_t even = (int32_t)__sxtab16(offsets, (int8x4_t)x);
    const int32_t odd = (int32_t)mcugen_odd_bytes_plus(offsets, x);
    const int32_t even_weights = (int32_t)__sxtb16((int8x4_t)w);
    const int32_t odd_weights = (int32_t)mcugen_odd_bytes(w);
    acc->a = __smlabb(even, even_weights, acc->a);
    acc->b = __smlabb(odd, odd_weights, acc->b);
    acc->c = __smlatt(even, even_weights, acc->c);
    acc->d = __smlatt(odd, odd_weights, acc->d);
}

/* All taps. */
MCUGEN_INLINE void add_window(mcugen_acc4 *acc, const window *taps, int32_t input_offset, const int8_t *input,
                              const int8_t *filter)
{
    const int16x2_t offsets = (int16x2_t)(((uint32_t)input_offset << 16) | ((uint32_t)input_offset & 0xFFFFu));
    const int32_t step = taps->input_column_step;
    const int32_t weight_step = taps->filter_column_step;
    for (int32_t row = taps->rows; row > 0; --row)
    {
        const int8_t *values = input;
        const int8_t *weights = filter;
        int32_t left = taps->columns;
        for (; left >= 3; left -= 3)
        {
            add_tap(acc, offsets, values, weights);
            add_tap(acc, offsets, values + step, weights + weight_step);
            add_tap(acc, offsets, values + 2 * step, weights + 2 * weight_step);
            values += 3 * step;
            weights += 3 * weight_step;
        }
        for (; left > 0; --left)
        {
            add_tap(acc, offsets, values, weights);
            values += step;
            weights += weight_step;
        }
        input += taps->input_row_step;
        filter += taps->filter_row_step;
    }
}
#endif

/* Output channels ch to ch + 3 of one pixel. They read adjacent input channels (input_step 1) or the
 * same one (0). */
MCUGEN_INLINE void convolve_block(const layer *conv, const window *taps, int32_t ch, int32_t input_step,
                                  const int8_t *input, const int8_t *filter, int8_t *output)
{
    const int32_t input_offset = conv->params->input_offset;
#if defined(MCUGEN_NN_MVE)
    int32x4_t sums = conv->bias != NULL ? vldrwq_s32(conv->bias + ch) : vdupq_n_s32(0);
#else
    mcugen_acc4 acc = mcugen_block_bias(conv->bias != NULL ? conv->bias + ch : NULL, MCUGEN_NN_BLOCK - 1);
#endif

#if defined(MCUGEN_NN_DSP)
    if (input_step != 0)
    {
        add_window(&acc, taps, input_offset, input, filter + ch);
        mcugen_block_store(output + ch, &acc, MCUGEN_NN_BLOCK - 1, conv->quant->multiplier + ch,
                           conv->quant->shift + ch, 1, conv->params->output_offset, &conv->params->activation);
        return;
    }
#endif
    for (int32_t row = 0; row < taps->rows; ++row)
    {
        const int8_t *values = input + row * taps->input_row_step;
        const int8_t *weights = filter + ch + row * taps->filter_row_step;
        for (int32_t left = taps->columns; left > 0; --left)
        {
#if defined(MCUGEN_NN_MVE)
            const int32x4_t x = input_step != 0 ? vldrbq_s32(values) : vdupq_n_s32(*values);
            sums = vaddq_s32(sums, vmulq_s32(vaddq_n_s32(x, input_offset), vldrbq_s32(weights)));
#else
            acc.a += (values[0] + input_offset) * weights[0];
            acc.b += (values[input_step] + input_offset) * weights[1];
            acc.c += (values[2 * input_step] + input_offset) * weights[2];
            acc.d += (values[3 * input_step] + input_offset) * weights[3];
#endif
            values += taps->input_column_step;
            weights += taps->filter_column_step;
        }
    }
#if defined(MCUGEN_NN_MVE)
    const mcugen_acc4 acc = {vgetq_lane_s32(sums, 0), vgetq_lane_s32(sums, 1), vgetq_lane_s32(sums, 2),
                             vgetq_lane_s32(sums, 3)};
#endif
    mcugen_block_store(output + ch, &acc, MCUGEN_NN_BLOCK - 1, conv->quant->multiplier + ch, conv->quant->shift + ch, 1,
                       conv->params->output_offset, &conv->params->activation);
}

/* Output channel ch alone. */
static void convolve_one(const layer *conv, const window *taps, int32_t ch, const int8_t *input, const int8_t *filter,
                         int8_t *output)
{
    mcugen_acc4 acc = mcugen_block_bias(conv->bias != NULL ? conv->bias + ch : NULL, 0);
    for (int32_t row = 0; row < taps->rows; ++row)
    {
        const int8_t *values = input + row * taps->input_row_step;
        const int8_t *weights = filter + ch + row * taps->filter_row_step;
        for (int32_t left = taps->columns; left > 0; --left)
        {
            acc.a += (*values + conv->params->input_offset) * *weights;
            values += taps->input_column_step;
            weights += taps->filter_column_step;
        }
    }
    mcugen_block_store(output + ch, &acc, 0, conv->quant->multiplier + ch, conv->quant->shift + ch, 1,
                       conv->params->output_offset, &conv->params->activation);
}

#if defined(MCUGEN_REQUANT_MVE)
/* Output channels ch to ch + 7 of one pixel, that read adjacent input channels, with a bias. No product exceeds
 * 16 bits: 255 * 128. Sums in two vectors: even lanes and odd ones. */
MCUGEN_INLINE void convolve_eight(const layer *conv, const window *taps, int32_t ch, const int8_t *input,
                                  const int8_t *filter, int8_t *output)
{
    const int16_t input_offset = (int16_t)conv->params->input_offset;
    int32x4x2_t sums = vld2q_s32(conv->bias + ch);
    const int8_t *values = input;
    const int8_t *weights = filter + ch;
    const int32_t row_step = taps->input_row_step - taps->columns * taps->input_column_step;
    const int32_t weight_row_step = taps->filter_row_step - taps->columns * taps->filter_column_step;

    for (int32_t row = taps->rows; row > 0; --row)
    {
        for (int32_t left = taps->columns; left > 0; --left)
        {
            const int16x8_t products = vmulq_s16(vaddq_n_s16(vldrbq_s16(values), input_offset), vldrbq_s16(weights));
            sums.val[0] = vaddq_s32(sums.val[0], vmovlbq_s16(products));
            sums.val[1] = vaddq_s32(sums.val[1], vmovltq_s16(products));
            values += taps->input_column_step;
            weights += taps->filter_column_step;
        }
        values += row_step;
        weights += weight_row_step;
    }
    const int32x4x2_t multiplier = vld2q_s32(conv->quant->multiplier + ch);
    /* Saturation to 16 bits comes before the zero point, and changes nothing beyond 8 bits. */
    int16x8_t result = vqmovnbq_s32(vdupq_n_s16(0), mcugen_requant_mve(sums.val[0], multiplier.val[0]));
    result = vqmovntq_s32(result, mcugen_requant_mve(sums.val[1], multiplier.val[1]));
    result = vqaddq_n_s16(result, (int16_t)conv->params->output_offset);
    result = vmaxq_s16(result, vdupq_n_s16((int16_t)conv->params->activation.min));
    result = vminq_s16(result, vdupq_n_s16((int16_t)conv->params->activation.max));
    vstrbq_s16(output + ch, result);
}
#endif

/* One output channel per input channel: adjacent channels together. */
MCUGEN_OUT_OF_LINE static void convolve_pixel(const layer *conv, const window *taps, const int8_t *input,
                                              const int8_t *filter, int8_t *output)
{
    int32_t ch = 0;
#if defined(MCUGEN_REQUANT_MVE)
    for (; conv->bias != NULL && ch + 8 <= conv->input_ch; ch += 8)
    {
        convolve_eight(conv, taps, ch, input + ch, filter, output);
    }
#endif
    for (; ch + MCUGEN_NN_BLOCK <= conv->input_ch; ch += MCUGEN_NN_BLOCK)
    {
        convolve_block(conv, taps, ch, 1, input + ch, filter, output);
    }
    for (; ch < conv->input_ch; ++ch)
    {
        convolve_one(conv, taps, ch, input + ch, filter, output);
    }
}

/* Several output channels per input channel: those of one input channel together. */
MCUGEN_OUT_OF_LINE static void convolve_pixel_multiplied(const layer *conv, const window *taps, const int8_t *input,
                                                         const int8_t *filter, int8_t *output)
{
    int32_t ch = 0;
    for (int32_t input_ch = 0; input_ch < conv->input_ch; ++input_ch)
    {
        const int32_t end = ch + conv->params->ch_mult;
        for (; ch + MCUGEN_NN_BLOCK <= end; ch += MCUGEN_NN_BLOCK)
        {
            convolve_block(conv, taps, ch, 0, input + input_ch, filter, output);
        }
        for (; ch < end; ++ch)
        {
            convolve_one(conv, taps, ch, input + input_ch, filter, output);
        }
    }
}

arm_cmsis_nn_status arm_depthwise_conv_wrapper_s8(const cmsis_nn_context *ctx,
                                                  const cmsis_nn_dw_conv_params *dw_conv_params,
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
    (void)ctx;
    (void)bias_dims;

    if (output_dims->c != input_dims->c * dw_conv_params->ch_mult)
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }

    const int32_t input_row = input_dims->w * input_dims->c;
    const cmsis_nn_tile dilation = dw_conv_params->dilation;
    const layer conv = {
        .params = dw_conv_params, .quant = quant_params, .bias = bias_data, .input_ch = input_dims->c};

    for (int32_t batch = 0; batch < input_dims->n; ++batch)
    {
        for (int32_t y = 0; y < output_dims->h; ++y)
        {
            const int32_t origin_y = y * dw_conv_params->stride.h - dw_conv_params->padding.h;
            const mcugen_taps rows = mcugen_valid_taps(origin_y, input_dims->h, filter_dims->h, dilation.h);
            for (int32_t x = 0; x < output_dims->w; ++x)
            {
                const int32_t origin_x = x * dw_conv_params->stride.w - dw_conv_params->padding.w;
                const mcugen_taps columns = mcugen_valid_taps(origin_x, input_dims->w, filter_dims->w, dilation.w);
                const int32_t width = columns.end - columns.begin;
                const window taps = {.rows = width > 0 ? rows.end - rows.begin : 0,
                                     .columns = width,
                                     .input_row_step = dilation.h * input_row,
                                     .input_column_step = dilation.w * input_dims->c,
                                     .filter_row_step = filter_dims->w * output_dims->c,
                                     .filter_column_step = output_dims->c};
                const int32_t first_row = origin_y + rows.begin * dilation.h;
                const int32_t first_column = origin_x + columns.begin * dilation.w;
                const int8_t *input =
                    input_data + (taps.rows > 0 ? first_row * input_row + first_column * input_dims->c : 0);
                const int8_t *filter =
                    filter_data + (rows.begin * filter_dims->w + columns.begin) * output_dims->c;

                if (dw_conv_params->ch_mult == 1)
                {
                    convolve_pixel(&conv, &taps, input, filter, output_data);
                }
                else
                {
                    convolve_pixel_multiplied(&conv, &taps, input, filter, output_data);
                }
                output_data += output_dims->c;
            }
        }
        input_data += input_dims->h * input_row;
    }
    return ARM_CMSIS_NN_SUCCESS;
}

int32_t arm_depthwise_conv_wrapper_s8_get_buffer_size(const cmsis_nn_dw_conv_params *dw_conv_params,
                                                      const cmsis_nn_dims *input_dims,
                                                      const cmsis_nn_dims *filter_dims,
                                                      const cmsis_nn_dims *output_dims)
{
    (void)dw_conv_params;
    (void)input_dims;
    (void)filter_dims;
    (void)output_dims;
    return 0;
}

int32_t arm_depthwise_conv_wrapper_s8_get_buffer_size_dsp(const cmsis_nn_dw_conv_params *dw_conv_params,
                                                          const cmsis_nn_dims *input_dims,
                                                          const cmsis_nn_dims *filter_dims,
                                                          const cmsis_nn_dims *output_dims)
{
    return arm_depthwise_conv_wrapper_s8_get_buffer_size(dw_conv_params, input_dims, filter_dims, output_dims);
}

int32_t arm_depthwise_conv_wrapper_s8_get_buffer_size_mve(const cmsis_nn_dw_conv_params *dw_conv_params,
                                                          const cmsis_nn_dims *input_dims,
                                                          const cmsis_nn_dims *filter_dims,
                                                          const cmsis_nn_dims *output_dims)
{
    return arm_depthwise_conv_wrapper_s8_get_buffer_size(dw_conv_params, input_dims, filter_dims, output_dims);
}
