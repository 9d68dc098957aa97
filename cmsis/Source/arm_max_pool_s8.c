/* SPDX-License-Identifier: Apache-2.0 */
/* Order: output pixel by output pixel, in raster order. */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

/* The part of a window that lies inside the input, its steps in bytes. */
typedef struct
{
    const int8_t *first;
    int32_t rows;
    int32_t columns;
    int32_t row_step;
} window;

#if defined(MCUGEN_NN_MVE)
static void max_pixel(const window *taps, int32_t channels, const cmsis_nn_activation *clamp, int8_t *output)
{
    for (int32_t ch = 0; ch < channels; ch += 16)
    {
        const mve_pred16_t lanes = vctp8q((uint32_t)(channels - ch));
        int8x16_t largest = vdupq_n_s8((int8_t)clamp->min);
        const int8_t *row = taps->first + ch;
        for (int32_t i = taps->rows; i > 0; --i)
        {
            const int8_t *tap = row;
            for (int32_t j = taps->columns; j > 0; --j)
            {
                largest = vmaxq_s8(largest, vldrbq_z_s8(tap, lanes));
                tap += channels;
            }
            row += taps->row_step;
        }
        vstrbq_p_s8(output + ch, vminq_s8(largest, vdupq_n_s8((int8_t)clamp->max)), lanes);
    }
}
#else
#if defined(MCUGEN_NN_DSP)
/* Four channels at a time; returns how many are done. */
static int32_t max_words(const window *taps, int32_t channels, const cmsis_nn_activation *clamp, int8_t *output)
{
    const uint32_t low = (uint32_t)(uint8_t)clamp->min * 0x01010101u;
    const uint32_t high = (uint32_t)(uint8_t)clamp->max * 0x01010101u;
    int32_t ch = 0;
    for (; ch + 4 <= channels; ch += 4)
    {
        const int8_t *row = taps->first + ch;
        uint32_t largest = low;
        for (int32_t i = taps->rows; i > 0; --i)
        {
            const int8_t *tap = row;
            for (int32_t j = taps->columns; j > 0; --j)
            {
                largest = mcugen_larger4(largest, mcugen_load4(tap));
                tap += channels;
            }
            row += taps->row_step;
        }
        const uint32_t word = mcugen_smaller4(largest, high);
        memcpy(output + ch, &word, sizeof word);
    }
    return ch;
}
#else
/* Four channels at a time; returns how many are done. */
static int32_t max_words(const window *taps, int32_t channels, const cmsis_nn_activation *clamp, int8_t *output)
{
    int32_t ch = 0;
    for (; ch + 4 <= channels; ch += 4)
    {
        const int8_t *row = taps->first + ch;
        mcugen_acc4 largest = {clamp->min, clamp->min, clamp->min, clamp->min};
        for (int32_t i = taps->rows; i > 0; --i)
        {
            const int8_t *tap = row;
            for (int32_t j = taps->columns; j > 0; --j)
            {
                largest.a = mcugen_max(largest.a, tap[0]);
                largest.b = mcugen_max(largest.b, tap[1]);
                largest.c = mcugen_max(largest.c, tap[2]);
                largest.d = mcugen_max(largest.d, tap[3]);
                tap += channels;
            }
            row += taps->row_step;
        }
        output[ch] = (int8_t)mcugen_min(largest.a, clamp->max);
        output[ch + 1] = (int8_t)mcugen_min(largest.b, clamp->max);
        output[ch + 2] = (int8_t)mcugen_min(largest.c, clamp->max);
        output[ch + 3] = (int8_t)mcugen_min(largest.d, clamp->max);
    }
    return ch;
}
#endif

static void max_pixel(const window *taps, int32_t channels, const cmsis_nn_activation *clamp, int8_t *output)
{
    for (int32_t ch = max_words(taps, channels, clamp, output); ch < channels; ++ch)
    {
        const int8_t *row = taps->first + ch;
        int32_t largest = clamp->min;
        for (int32_t i = taps->rows; i > 0; --i)
        {
            const int8_t *tap = row;
            for (int32_t j = taps->columns; j > 0; --j)
            {
                largest = mcugen_max(largest, *tap);
                tap += channels;
            }
            row += taps->row_step;
        }
        output[ch] = (int8_t)mcugen_min(largest, clamp->max);
    }
}
#endif

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
                const window taps = {
                    .first = input_data + (origin_y + rows.begin) * input_row + (origin_x + columns.begin) * channels,
                    .rows = rows.end - rows.begin,
                    .columns = columns.end - columns.begin,
                    .row_step = input_row};
                max_pixel(&taps, channels, &pool_params->activation, output_data);
                output_data += channels;
            }
        }
        input_data += input_dims->h * input_row;
    }
    return ARM_CMSIS_NN_SUCCESS;
}
