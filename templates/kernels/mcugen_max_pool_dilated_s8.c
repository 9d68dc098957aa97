/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

/* The largest of the window whose first tap lies at (top, left), for one channel. */
static int8_t largest(const cmsis_nn_dims *input_dims, const int8_t *input, const cmsis_nn_dims *filter_dims,
                      const cmsis_nn_tile *dilation, int32_t top, int32_t left)
{
    int8_t found = INT8_MIN;
    for (int32_t ky = 0; ky < filter_dims->h; ky++) {
        const int32_t y = top + ky * dilation->h;
        for (int32_t kx = 0; kx < filter_dims->w; kx++) {
            const int32_t x = left + kx * dilation->w;
            if (y >= 0 && y < input_dims->h && x >= 0 && x < input_dims->w) {
                const int8_t value = input[(y * input_dims->w + x) * input_dims->c];
                found = value > found ? value : found;
            }
        }
    }
    return found;
}

void mcugen_max_pool_dilated_s8(const mcugen_max_pool_dilated_params *params,
                                const cmsis_nn_dims *input_dims,
                                const int8_t *input,
                                const cmsis_nn_dims *filter_dims,
                                const cmsis_nn_dims *output_dims,
                                int8_t *output)
{
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * input_dims->w * input_dims->c) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            const int32_t top = oy * params->stride.h - params->padding.h;
            for (int32_t ox = 0; ox < output_dims->w; ox++) {
                const int32_t left = ox * params->stride.w - params->padding.w;
                for (int32_t c = 0; c < input_dims->c; c++) {
                    *output++ = largest(input_dims, input + c, filter_dims, &params->dilation, top, left);
                }
            }
        }
    }
}
