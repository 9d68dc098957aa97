/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels_f32.h"
#include "mcugen_window.h"

/* How many of `size` taps from `start` on lie before `end`; the first one does. */
static int32_t within(int32_t start, int32_t size, int32_t dilation, int32_t end)
{
    const int32_t taps = 1 + (end - start - 1) / dilation;
    return taps < size ? taps : size;
}

/* One channel of the taps of a window that meet the input, which lie `down` and `right` apart, and whether there are
 * padded columns before and after them. */
typedef struct {
    const float *input;
    int32_t height, width, down, right, before, after;
} window;

static float sum_rows(const window *w)
{
    float sum = 0.0f;
    for (int32_t y = 0; y < w->height; y++) {
        for (int32_t x = 0; x < w->width; x++) {
            sum += w->input[y * w->down + x * w->right];
        }
    }
    return sum;
}

static float sum_columns(const window *w)
{
    float sum = 0.0f;
    for (int32_t x = 0; x < w->width; x++) {
        float column = w->input[x * w->right];
        for (int32_t y = 1; y < w->height; y++) {
            column += w->input[y * w->down + x * w->right];
        }
        sum = x == 0 && !w->before ? column : sum + column; /* 0 + -0 is 0 */
    }
    return w->after ? sum + 0.0f : sum;
}

void mcugen_f32_average_pool(const mcugen_f32_pool_params *params,
                             const cmsis_nn_dims *input_dims,
                             const float *input,
                             const cmsis_nn_dims *filter_dims,
                             const cmsis_nn_dims *output_dims,
                             float *output)
{
    const cmsis_nn_tile dilation = params->dilation;
    const int32_t channels = input_dims->c, row = input_dims->w * channels;
    window w = {.down = dilation.h * row, .right = dilation.w * channels};
    for (int32_t n = 0; n < input_dims->n; n++, input += input_dims->h * row) {
        for (int32_t oy = 0; oy < output_dims->h; oy++) {
            const int32_t top = oy * params->stride.h - params->padding.h;
            const mcugen_taps rows = mcugen_taps_inside(top, filter_dims->h, dilation.h, input_dims->h);
            const int32_t bottom = input_dims->h + params->padding_end.h;
            const int32_t height = params->count_include_pad ? within(top, filter_dims->h, dilation.h, bottom)
                                                             : rows.last - rows.first;
            for (int32_t ox = 0; ox < output_dims->w; ox++, output += channels) {
                const int32_t left = ox * params->stride.w - params->padding.w;
                const mcugen_taps columns = mcugen_taps_inside(left, filter_dims->w, dilation.w, input_dims->w);
                const int32_t right = input_dims->w + params->padding_end.w;
                const int32_t width = params->count_include_pad ? within(left, filter_dims->w, dilation.w, right)
                                                                : columns.last - columns.first;
                const float count = (float)(height * width);
                const int32_t y = top + rows.first * dilation.h, x = left + columns.first * dilation.w;
                w.input = input + y * row + x * channels;
                w.height = rows.last - rows.first;
                w.width = columns.last - columns.first;
                w.before = columns.first > 0;
                w.after = columns.last < filter_dims->w;
                for (int32_t c = 0; c < channels; c++, w.input++) {
                    const float mean = (params->by_columns ? sum_columns(&w) : sum_rows(&w)) / count;
                    output[c] = mean < params->low ? params->low : (mean > params->high ? params->high : mean);
                }
            }
        }
    }
}
