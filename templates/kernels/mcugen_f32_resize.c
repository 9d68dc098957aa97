/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

/* A row or column of the image; one beyond the border is the one at the border. */
static int32_t at(int32_t index, int32_t size)
{
    return index < 0 ? 0 : index < size ? index : size - 1;
}

/* Weighs columns, then rows; input: the image's channel. */
static float weigh(const mcugen_f32_resize_params *params,
                   const cmsis_nn_dims *dims,
                   const float *input,
                   int32_t y,
                   int32_t x)
{
    const float *vertical = params->row_weight + y * params->row_taps;
    const float *horizontal = params->column_weight + x * params->column_taps;
    float sum = 0.0f;
    for (int32_t i = 0; i < params->row_taps; i++) {
        const float *row = input + at(params->row_first[y] + i, dims->h) * dims->w * dims->c;
        float line = 0.0f;
        for (int32_t j = 0; j < params->column_taps; j++) {
            line += horizontal[j] * row[at(params->column_first[x] + j, dims->w) * dims->c];
        }
        sum += line * vertical[i];
    }
    return sum;
}

void mcugen_f32_resize(const mcugen_f32_resize_params *params,
                       const cmsis_nn_dims *input_dims,
                       const float *input,
                       const cmsis_nn_dims *output_dims,
                       float *output)
{
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * input_dims->w * input_dims->c) {
        for (int32_t y = 0; y < output_dims->h; y++) {
            for (int32_t x = 0; x < output_dims->w; x++) {
                const int outside =
                    params->row_first[y] == MCUGEN_F32_OUTSIDE || params->column_first[x] == MCUGEN_F32_OUTSIDE;
                for (int32_t c = 0; c < input_dims->c; c++) {
                    *output++ = outside ? params->outside : weigh(params, input_dims, input + c, y, x);
                }
            }
        }
    }
}
