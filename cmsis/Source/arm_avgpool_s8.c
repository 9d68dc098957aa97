/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

/* The part of a window that lies inside the input, its steps in bytes. */
typedef struct
{
    const int8_t *first;
    int32_t rows;
    int32_t columns;
    int32_t row_step;
    int32_t column_step;
} window;

/* sum / count, half away from zero. */
static inline int32_t rounded_mean(int32_t sum, int32_t count)
{
    return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

#if defined(MCUGEN_NN_MVE)
/* Sums are below 2^7 * count, so that sum * count is below 2^32: the error of the reciprocal then changes nothing. */
#define MAX_COUNT 4096

/* Upwards: 2^32 / count. */
static inline int32x4_t rounded_means(int32x4_t sums, int32_t count, uint32_t reciprocal)
{
    const uint32x4_t n = vreinterpretq_u32_s32(vaddq_n_s32(vabsq_s32(sums), count / 2));
    const int32x4_t means = vreinterpretq_s32_u32(count == 1 ? n : vmulhq_u32(n, vdupq_n_u32(reciprocal)));
    return vnegq_m_s32(means, means, vcmpltq_n_s32(sums, 0));
}

/* Eight channels, or as many as the lanes say. */
MCUGEN_INLINE void mean_eight(const window *taps, const int8_t *row, const cmsis_nn_activation *clamp, int8_t *output,
                              int all, mve_pred16_t low, mve_pred16_t high)
{
    const int32_t count = taps->rows * taps->columns;
    const uint32_t reciprocal = UINT32_MAX / (uint32_t)count + 1u;
    int32x4_t first = vdupq_n_s32(0);
    int32x4_t second = vdupq_n_s32(0);
    for (int32_t i = taps->rows; i > 0; --i)
    {
        const int8_t *tap = row;
        for (int32_t j = taps->columns; j > 0; --j)
        {
            first = vaddq_s32(first, all ? vldrbq_s32(tap) : vldrbq_z_s32(tap, low));
            second = vaddq_s32(second, all ? vldrbq_s32(tap + 4) : vldrbq_z_s32(tap + 4, high));
            tap += taps->column_step;
        }
        row += taps->row_step;
    }
    first = mcugen_clamp_mve(rounded_means(first, count, reciprocal), clamp->min, clamp->max);
    second = mcugen_clamp_mve(rounded_means(second, count, reciprocal), clamp->min, clamp->max);
    vstrbq_p_s32(output, first, low);
    vstrbq_p_s32(output + 4, second, high);
}

static int32_t mean_vectors(const window *taps, int32_t channels, const cmsis_nn_activation *clamp, int8_t *output)
{
    const mve_pred16_t every = vctp32q(4);
    int32_t ch = 0;
    if (taps->rows * taps->columns > MAX_COUNT)
    {
        return 0;
    }
    for (; ch + 8 <= channels; ch += 8)
    {
        mean_eight(taps, taps->first + ch, clamp, output + ch, 1, every, every);
    }
    if (ch < channels)
    {
        mean_eight(taps, taps->first + ch, clamp, output + ch, 0, vctp32q((uint32_t)(channels - ch)),
                   vctp32q((uint32_t)mcugen_max(0, channels - ch - 4)));
    }
    return channels;
}
#elif defined(MCUGEN_NN_DSP)
#define MAX_COUNT 256 /* whose sums fit 16 bits */

/* Four channels at a time. */
static int32_t mean_vectors(const window *taps, int32_t channels, const cmsis_nn_activation *clamp, int8_t *output)
{
    const int32_t count = taps->rows * taps->columns;
    int32_t ch = 0;
    for (; count <= MAX_COUNT && ch + 4 <= channels; ch += 4)
    {
        const int8_t *row = taps->first + ch;
        int16x2_t even = 0;
        int16x2_t odd = 0;
        for (int32_t i = taps->rows; i > 0; --i)
        {
            const int8_t *tap = row;
            for (int32_t j = taps->columns; j > 0; --j)
            {
                const uint32_t word = mcugen_load4(tap);
                even = __sxtab16(even, (int8x4_t)word);
                odd = mcugen_odd_bytes_plus(odd, word);
                tap += taps->column_step;
            }
            row += taps->row_step;
        }
        const int32_t sums[4] = {(int16_t)even, (int16_t)odd, (int32_t)even >> 16, (int32_t)odd >> 16};
        for (int32_t i = 0; i < 4; ++i)
        {
            output[ch + i] = (int8_t)mcugen_clamp(rounded_mean(sums[i], count), clamp->min, clamp->max);
        }
    }
    return ch;
}
#else
static int32_t mean_vectors(const window *taps, int32_t channels, const cmsis_nn_activation *clamp, int8_t *output)
{
    (void)taps;
    (void)channels;
    (void)clamp;
    (void)output;
    return 0;
}
#endif

static void mean_pixel(const window *taps, int32_t channels, const cmsis_nn_activation *clamp, int8_t *output)
{
    const int32_t count = taps->rows * taps->columns;
    for (int32_t ch = mean_vectors(taps, channels, clamp, output); ch < channels; ++ch)
    {
        const int8_t *row = taps->first + ch;
        int32_t sum = 0;
        for (int32_t i = taps->rows; i > 0; --i)
        {
            const int8_t *tap = row;
            for (int32_t j = taps->columns; j > 0; --j)
            {
                sum += *tap;
                tap += taps->column_step;
            }
            row += taps->row_step;
        }
        output[ch] = (int8_t)mcugen_clamp(rounded_mean(sum, count), clamp->min, clamp->max);
    }
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
                const window taps = {
                    .first = input_data + (origin_y + rows.begin) * input_row + (origin_x + columns.begin) * channels,
                    .rows = rows.end - rows.begin,
                    .columns = columns.end - columns.begin,
                    .row_step = input_row,
                    .column_step = channels};
                if (taps.rows == 0 || taps.columns == 0)
                {
                    return ARM_CMSIS_NN_ARG_ERROR;
                }
                mean_pixel(&taps, channels, &pool_params->activation, output_data);
                output_data += channels;
            }
        }
        input_data += input_dims->h * input_row;
    }
    return ARM_CMSIS_NN_SUCCESS;
}
