/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

void mcugen_global_average_pool_images_s8(const mcugen_global_average_pool_params *params,
                                          const int8_t *input,
                                          int8_t *output,
                                          int32_t images,
                                          int32_t pixels,
                                          int32_t channels)
{
    for (int32_t i = 0; i < images; i++) {
        mcugen_global_average_pool_s8(params, input + i * pixels * channels, output + i * channels, pixels, channels);
    }
}
