/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_dot_s8.h"
#include "mcugen_kernels.h"
#include "mcugen_unpack_s4.h"
#include "mcugen_window.h"

/* The sum over the taps inside the input of the window whose first tap lies at (top, left); `image` begins at the first
 * channel of the group. */
static int32_t window_sum(const mcugen_direct_params *p, const cmsis_nn_dims *input_dims, const int8_t *image,
                          const cmsis_nn_dims *filter_dims, const int8_t *filter, int32_t top, int32_t left)
{
    const int32_t depth = filter_dims->c, channels = input_dims->c;
    const mcugen_taps rows = mcugen_taps_inside(top, filter_dims->h, p->dilation.h, input_dims->h);
    const mcugen_taps columns = mcugen_taps_inside(left, filter_dims->w, p->dilation.w, input_dims->w);
    const int32_t taps = columns.last - columns.first;
    int32_t sum = 0;
    for (int32_t ky = taps > 0 ? rows.first : rows.last; ky < rows.last; ky++) {
        const int32_t y = top + ky * p->dilation.h, x = left + columns.first * p->dilation.w;
        const int8_t *values = image + (y * input_dims->w + x) * channels;
        const int8_t *weights = filter + (ky * filter_dims->w + columns.first) * depth;
        if (depth == channels && p->dilation.w == 1) { /* the taps of a row lie together */
            sum += mcugen_dot_s8(values, weights, p->input_offset, taps * depth);
            continue;
        }
        for (int32_t kx = 0; kx < taps; kx++) {
            sum += mcugen_dot_s8(values + kx * p->dilation.w * channels, weights + kx * depth, p->input_offset, depth);
        }
    }
    return sum;
}

static int8_t finished(const mcugen_direct_params *p, int32_t acc, int32_t channel)
{
    const int32_t real = mcugen_requantize(acc, p->multiplier[channel], p->shift[channel]);
    return mcugen_activate(real + p->output_offset, &p->activation);
}

void mcugen_convolve_s4(const cmsis_nn_context *context,
                        const mcugen_direct_params *params,
                        const cmsis_nn_dims *input_dims,
                        const int8_t *input,
                        const cmsis_nn_dims *filter_dims,
                        const int8_t *filter,
                        const int32_t *bias,
                        const cmsis_nn_dims *output_dims,
                        int8_t *output)
{
    const int32_t group_outputs = output_dims->c / params->groups, channels = output_dims->c;
    const int32_t filter_size = filter_dims->h * filter_dims->w * filter_dims->c;
    const int32_t image_size = input_dims->h * input_dims->w * input_dims->c;
    const int32_t pixels = output_dims->n * output_dims->h * output_dims->w;
    /* Windows of one pixel, one behind the other: fully connected layers too. */
    const int pointwise = filter_dims->h == 1 && filter_dims->w == 1 && params->padding.h == 0 &&
                          params->padding.w == 0 && params->stride.h == 1 && params->stride.w == 1 &&
                          pixels == input_dims->n * input_dims->h * input_dims->w;
    int8_t *weights = context->buf;
    for (int32_t c = 0; c < channels; c++, filter += (filter_size + 1) / 2) {
        const int8_t *image = input + c / group_outputs * filter_dims->c;
        int8_t *result = output + c;
        mcugen_unpack_s4(filter, weights, filter_size);
        for (int32_t i = 0; pointwise && i < pixels; i++, image += input_dims->c, result += channels) {
            *result = finished(params, bias[c] + mcugen_dot_s8(image, weights, params->input_offset, filter_size), c);
        }
        if (pointwise) {
            continue;
        }
        for (int32_t n = 0; n < input_dims->n; n++, image += image_size) {
            for (int32_t oy = 0; oy < output_dims->h; oy++) {
                const int32_t top = oy * params->stride.h - params->padding.h;
                for (int32_t ox = 0; ox < output_dims->w; ox++, result += channels) {
                    const int32_t left = ox * params->stride.w - params->padding.w;
                    const int32_t sum = window_sum(params, input_dims, image, filter_dims, weights, top, left);
                    *result = finished(params, bias[c] + sum, c);
                }
            }
        }
    }
}
