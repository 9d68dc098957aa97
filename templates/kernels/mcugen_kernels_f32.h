/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels on float32 tensors, NHWC; filters are OHWI. Compile them as mcugen_kernels.h asks: every operation is rounded on
 * its own, in the order written. `low` and `high` bound each result (-INFINITY and INFINITY where nothing bounds it). */
#ifndef MCUGEN_KERNELS_F32_H
#define MCUGEN_KERNELS_F32_H

#include <math.h>
#include <stdint.h>

#include "mcugen_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ONNX's DynamicQuantizeLinear: *scale = (max - min) / 255 over the input and 0, *zero_point (a uint8 less 128) where the
 * lowest value comes to lie, output nearest to input / *scale, halves to even. The input holds no NaN. */
void mcugen_dynamic_quantize_f32_s8(const float *input, int8_t *output, float *scale, int8_t *zero_point, int32_t count);

/* filter_scale and filter_zero_point hold one value per output channel. Padding is that of the top and left. */
typedef struct {
    int32_t groups;
    cmsis_nn_tile stride, padding, dilation;
    float low, high;
    const float *filter_scale;
    const int32_t *filter_zero_point;
} mcugen_dynamic_params;

/* Convolution of an input quantized at run time (fully connected as 1x1): the int32 sum of
 * (input - *input_zero_point) * (filter - filter_zero_point), times *input_scale * filter_scale, plus bias (NULL: none).
 * filter_dims->c is the number of input channels of one group. */
void mcugen_dynamic_convolve_s8_f32(const mcugen_dynamic_params *params,
                                    const float *input_scale,
                                    const int8_t *input_zero_point,
                                    const cmsis_nn_dims *input_dims,
                                    const int8_t *input,
                                    const cmsis_nn_dims *filter_dims,
                                    const int8_t *filter,
                                    const float *bias,
                                    const cmsis_nn_dims *output_dims,
                                    float *output);

/* One loop over the output: a and b move by their steps (0 where they are repeated). */
typedef struct {
    int32_t count, a_step, b_step;
} mcugen_f32_binary_axis;

#define MCUGEN_F32_BINARY_AXES 4

/* `rank` loops, the outermost first. */
typedef struct {
    mcugen_f32_binary_axis axes[MCUGEN_F32_BINARY_AXES];
    int32_t rank;
    float low, high;
} mcugen_f32_binary_params;

/* output = a op b, bounded; output may be an operand of its own size. max and min of a NaN are NaN. */
void mcugen_f32_add(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output);
void mcugen_f32_sub(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output);
void mcugen_f32_mul(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output);
void mcugen_f32_div(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output);
void mcugen_f32_min(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output);
void mcugen_f32_max(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output);

/* output = input, bounded; output may be input. */
void mcugen_f32_clip(const float *input, float *output, int32_t count, float low, float high);

/* Padding is that of the top and left, padding_end of the bottom and right (for count_include_pad). */
typedef struct {
    cmsis_nn_tile stride, padding, padding_end;
    int32_t count_include_pad;
    float low, high;
} mcugen_f32_pool_params;

/* Every window meets the input, to which it is clipped. */
void mcugen_f32_max_pool(const mcugen_f32_pool_params *params,
                         const cmsis_nn_dims *input_dims,
                         const float *input,
                         const cmsis_nn_dims *filter_dims,
                         const cmsis_nn_dims *output_dims,
                         float *output);

/* The sum from 0, row by row, divided by the number of pixels: of the clipped window, or with count_include_pad of the
 * window clipped to the padded input. */
void mcugen_f32_average_pool(const mcugen_f32_pool_params *params,
                             const cmsis_nn_dims *input_dims,
                             const float *input,
                             const cmsis_nn_dims *filter_dims,
                             const cmsis_nn_dims *output_dims,
                             float *output);

/* input [images, pixels, channels], output [images, channels]: four sums of every fourth pixel s0..s3, then
 * (s0 + s2) + (s1 + s3), then the pixels left over, divided by their number. */
void mcugen_f32_global_average_pool(const float *input,
                                    float *output,
                                    int32_t images,
                                    int32_t pixels,
                                    int32_t channels,
                                    float low,
                                    float high);

/* Over the last dimension of [rows, classes]; output may be input. */
void mcugen_f32_softmax(const float *input, float *output, int32_t rows, int32_t classes);

/* mcugen_take_s8 on floats. */
void mcugen_f32_take(const mcugen_take_params *params, const float *input, float *output);

/* Rows of row_size floats, to output + offset and then every stride. */
void mcugen_f32_copy(const float *input, float *output, int32_t rows, int32_t row_size, int32_t offset, int32_t stride);

/* output = input with pad_value around it: pre_pad elements before and post_pad behind, for each dimension. */
void mcugen_f32_pad(const float *input,
                    float *output,
                    float pad_value,
                    const cmsis_nn_dims *input_size,
                    const cmsis_nn_dims *pre_pad,
                    const cmsis_nn_dims *post_pad);

/* Padding is that of the top and left. */
typedef struct {
    int32_t groups;
    cmsis_nn_tile stride, padding, dilation;
    float low, high;
} mcugen_f32_conv_params;

/* Convolution (fully connected as 1x1). filter_dims->c is the number of input channels of one group; bias may be NULL. */
void mcugen_f32_convolve(const mcugen_f32_conv_params *params,
                         const cmsis_nn_dims *input_dims,
                         const float *input,
                         const cmsis_nn_dims *filter_dims,
                         const float *filter,
                         const float *bias,
                         const cmsis_nn_dims *output_dims,
                         float *output);

#ifdef __cplusplus
}
#endif

#endif
