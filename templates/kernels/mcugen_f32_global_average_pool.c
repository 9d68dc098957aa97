/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"

void mcugen_f32_global_average_pool(const float *input,
                                    float *output,
                                    int32_t images,
                                    int32_t pixels,
                                    int32_t channels,
                                    float low,
                                    float high)
{
    for (int32_t n = 0; n < images; n++, input += pixels * channels) {
        for (int32_t c = 0; c < channels; c++) {
            float lane[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            int32_t i = 0;
            for (; i + 4 <= pixels; i += 4) {
                for (int32_t k = 0; k < 4; k++) {
                    lane[k] += input[(i + k) * channels + c];
                }
            }
            float sum = (lane[0] + lane[2]) + (lane[1] + lane[3]);
            for (; i < pixels; i++) {
                sum += input[i * channels + c];
            }
            const float mean = sum / (float)pixels;
            *output++ = mean < low ? low : (mean > high ? high : mean);
        }
    }
}
