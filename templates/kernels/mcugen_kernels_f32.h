/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels on float32 tensors, NHWC; filters are OHWI. Compile them as mcugen_kernels.h asks: every operation is
 * rounded on its own, in the order written. `low` and `high` bound each result (-INFINITY and INFINITY where
 * nothing bounds it). */
#ifndef MCUGEN_KERNELS_F32_H
#define MCUGEN_KERNELS_F32_H

#include <math.h>
#include <stdint.h>

#include "mcugen_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ONNX's DynamicQuantizeLinear: *scale = (max - min) / 255 over the input and 0, *zero_point (a uint8 less 128)
 * where the lowest value comes to lie, output nearest to input / *scale, halves to even. The input holds no NaN. */
void mcugen_dynamic_quantize_f32_s8(const float *input,
                                    int8_t *output,
                                    float *scale,
                                    int8_t *zero_point,
                                    int32_t count);

/* filter_scale, filter_zero_point and start (NULL: zeros) hold one value per output channel. Padding is that of the
 * top and left. */
typedef struct {
    int32_t groups;
    cmsis_nn_tile stride, padding, dilation;
    float low, high;
    const float *filter_scale;
    const int32_t *filter_zero_point;
    const int32_t *start;
} mcugen_dynamic_params;

/* Convolution of 8 bits to float32 (fully connected as 1x1): the int32 sum of start and of (input -
 * *input_zero_point) * (filter - filter_zero_point), times *input_scale * filter_scale, plus bias (NULL: none).
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

/* As mcugen_conv_transpose_params. */
typedef struct {
    int32_t groups;
    cmsis_nn_tile stride, padding, dilation, tap_step;
    float low, high;
} mcugen_f32_conv_transpose_params;

/* Transposed convolution, gathered output by output; filter_dims->c is the number of input channels of one group. */
void mcugen_f32_conv_transpose(const mcugen_f32_conv_transpose_params *params,
                               const cmsis_nn_dims *input_dims,
                               const float *input,
                               const cmsis_nn_dims *filter_dims,
                               const float *filter,
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

/* output = a op b, bounded; output may be an operand of its own size. max and min of a NaN are NaN; prelu is b
 * times a negative a; pow is C's powf. */
void mcugen_f32_add(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output);
void mcugen_f32_sub(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output);
void mcugen_f32_mul(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output);
void mcugen_f32_div(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output);
void mcugen_f32_min(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output);
void mcugen_f32_max(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output);
void mcugen_f32_prelu(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output);
void mcugen_f32_pow(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output);

/* output = 1 where the comparison holds, else 0; NaN equals nothing. low and high are not read. */
void mcugen_f32_equal(const mcugen_f32_binary_params *params, const float *a, const float *b, int8_t *output);
void mcugen_f32_greater(const mcugen_f32_binary_params *params, const float *a, const float *b, int8_t *output);
void mcugen_f32_greaterorequal(const mcugen_f32_binary_params *params, const float *a, const float *b, int8_t *output);

/* mcugen_where_s8 on floats. */
void mcugen_f32_where(const mcugen_where_params *params, const int8_t *condition, const float *b, const float *c,
                      float *output);

void mcugen_f32_from_bool(const int8_t *input, float *output, int32_t count);
void mcugen_f32_from_int32(const int32_t *input, float *output, int32_t count);
void mcugen_f32_from_int64(const int64_t *input, float *output, int32_t count);

/* Towards zero; the lowest integer for a NaN and for what does not fit. */
void mcugen_f32_to_int32(const float *input, int32_t *output, int32_t count);
void mcugen_f32_to_int64(const float *input, int64_t *output, int32_t count);

/* 0 for both zeros, else 1. */
void mcugen_f32_to_bool(const float *input, int8_t *output, int32_t count);

/* mcugen_top_k_s8 on floats; a NaN stands behind everything (ONNX Runtime has no order for it). */
void mcugen_f32_top_k(const mcugen_top_k_params *params, const float *input, float *values, int64_t *positions);

/* mcugen_arg_max_s8 and _min_s8 on floats: a NaN at position 0 stays, others are passed over. */
void mcugen_f32_arg_max(int32_t last, const float *input, int64_t *output, int32_t outer, int32_t reduced,
                        int32_t inner);
void mcugen_f32_arg_min(int32_t last, const float *input, int64_t *output, int32_t outer, int32_t reduced,
                        int32_t inner);

typedef struct {
    int32_t outer, size, inner, exclusive, reverse;
} mcugen_f32_cum_sum_params;

/* Sums up to each element along the middle of [outer, size, inner]; exclusive: without it; reverse: from the end.
 * output may be input. */
void mcugen_f32_cum_sum(const mcugen_f32_cum_sum_params *params, const float *input, float *output);

/* output = input, bounded; output may be input. */
void mcugen_f32_clip(const float *input, float *output, int32_t count, float low, float high);

/* Padding is that of the top and left, padding_end of the bottom and right (for count_include_pad). */
typedef struct {
    cmsis_nn_tile stride, padding, padding_end, dilation;
    int32_t count_include_pad, by_columns;
    float low, high;
} mcugen_f32_pool_params;

/* Every window meets the input, to which it is clipped. */
void mcugen_f32_max_pool(const mcugen_f32_pool_params *params,
                         const cmsis_nn_dims *input_dims,
                         const float *input,
                         const cmsis_nn_dims *filter_dims,
                         const cmsis_nn_dims *output_dims,
                         float *output);

/* The sum divided by the number of pixels: of the clipped window, or with count_include_pad of the window clipped to
 * the padded input. It is added up from 0 and row by row, or by_columns first each column, and 0 for a padded one. */
void mcugen_f32_average_pool(const mcugen_f32_pool_params *params,
                             const cmsis_nn_dims *input_dims,
                             const float *input,
                             const cmsis_nn_dims *filter_dims,
                             const cmsis_nn_dims *output_dims,
                             float *output);

/* input [images, pixels, channels], output [images, channels]: four sums of every fourth pixel s0..s3, then (s0 +
 * s2) + (s1 + s3), then the pixels left over, divided by their number. */
void mcugen_f32_global_average_pool(const float *input,
                                    float *output,
                                    int32_t images,
                                    int32_t pixels,
                                    int32_t channels,
                                    float low,
                                    float high);

/* Over the last dimension of [rows, classes]; output may be input. */
void mcugen_f32_softmax(const float *input, float *output, int32_t rows, int32_t classes);
void mcugen_f32_log_softmax(const float *input, float *output, int32_t rows, int32_t classes);

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

/* Convolution (fully connected as 1x1). filter_dims->c is the number of input channels of one group; bias may be
 * NULL. */
void mcugen_f32_convolve(const mcugen_f32_conv_params *params,
                         const cmsis_nn_dims *input_dims,
                         const float *input,
                         const cmsis_nn_dims *filter_dims,
                         const float *filter,
                         const float *bias,
                         const cmsis_nn_dims *output_dims,
                         float *output);

/* output[i] = f(input[i]); output may be input. alpha and beta are the operator's attributes, 0 where it has none
 * (beta is the gamma of selu). */
void mcugen_f32_abs(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_neg(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_exp(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_log(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_sqrt(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_reciprocal(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_sigmoid(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_tanh(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_erf(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_gelu(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_gelu_tanh(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_leakyrelu(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_elu(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_softplus(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_hardsigmoid(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_hardswish(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_floor(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_ceil(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_sign(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_round(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_thresholdedrelu(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_softsign(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_selu(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_celu(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_swish(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_mish(const float *input, float *output, int32_t count, float alpha, float beta);

/* C's functions of math.h; their last bits are the library's. */
void mcugen_f32_sin(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_cos(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_tan(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_asin(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_acos(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_atan(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_sinh(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_cosh(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_asinh(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_acosh(const float *input, float *output, int32_t count, float alpha, float beta);
void mcugen_f32_atanh(const float *input, float *output, int32_t count, float alpha, float beta);

/* Each of `rows` rows of `size` elements to mean 0 and variance 1 (epsilon added), times scale plus bias (NULL:
 * none): of the element in the row, or, with channels > 0, of channel row % channels. output may be input. */
typedef struct {
    int32_t rows, size, channels;
    float epsilon;
    const float *scale, *bias;
} mcugen_f32_normalize_params;

void mcugen_f32_normalize(const mcugen_f32_normalize_params *params, const float *input, float *output);

/* Each of `rows` rows of `size` elements divided by its norm, the sum of |x| (p = 1) or the root of that of x * x
 * (p = 2); a row of norm 0 becomes 0. output may be input. */
void mcugen_f32_lp_normalize(const float *input, float *output, int32_t rows, int32_t size, int32_t p);

/* input [outer, channels, inner]: times scale plus offset of its channel; output may be input. */
void mcugen_f32_affine(const float *scale,
                       const float *offset,
                       const float *input,
                       float *output,
                       int32_t outer,
                       int32_t channels,
                       int32_t inner);

/* input [outer, reduced, inner], output [outer, inner]. */
void mcugen_f32_reduce_mean(const float *input, float *output, int32_t outer, int32_t reduced, int32_t inner);
void mcugen_f32_reduce_sum(const float *input, float *output, int32_t outer, int32_t reduced, int32_t inner);
void mcugen_f32_reduce_prod(const float *input, float *output, int32_t outer, int32_t reduced, int32_t inner);
void mcugen_f32_reduce_max(const float *input, float *output, int32_t outer, int32_t reduced, int32_t inner);
void mcugen_f32_reduce_min(const float *input, float *output, int32_t outer, int32_t reduced, int32_t inner);

/* Matrix b of the batch begins at a + a_start[b] and b + b_start[b]: [rows, depth] times [depth, columns]. */
typedef struct {
    int32_t batches, rows, depth, columns;
    const int32_t *a_start, *b_start;
    float low, high;
} mcugen_f32_matmul_params;

void mcugen_f32_matmul(const mcugen_f32_matmul_params *params, const float *a, const float *b, float *output);

/* scale and zero_point (NULL: zeros) hold one value per output and block of `block` weights; bias (NULL: zeros) one per
 * output. */
typedef struct {
    int32_t rows, depth, outputs, block;
    float low, high;
    const float *scale;
    const int8_t *zero_point;
    const float *bias;
} mcugen_f32_matmul_s4_params;

/* [rows, depth] times the transpose of [outputs, depth] in 4 bits, of which eight less is meant: two weights a byte,
 * the first in the low half; each output's begin a new word. */
void mcugen_f32_matmul_s4(const mcugen_f32_matmul_s4_params *params, const float *input, const int8_t *filter,
                          float *output);

/* Instead of the first row or column: the position is outside the image, and the result is `outside`. */
#define MCUGEN_F32_OUTSIDE INT32_MIN

/* Linear interpolation: row y of the output is row_first_weight[y] of row row_first[y] and row_second_weight[y] of
 * row row_second[y]; likewise columns. */
typedef struct {
    const int32_t *row_first, *row_second;
    const float *row_first_weight, *row_second_weight;
    const int32_t *column_first, *column_second;
    const float *column_first_weight, *column_second_weight;
    float outside;
} mcugen_f32_resize_linear_params;

void mcugen_f32_resize_linear(const mcugen_f32_resize_linear_params *params,
                              const cmsis_nn_dims *input_dims,
                              const float *input,
                              const cmsis_nn_dims *output_dims,
                              float *output);

/* Any weights: row y of the output is the sum of row_weight[y][i] of row row_first[y] + i, i < row_taps, or of the
 * first or last row where there is none; likewise columns, which are summed up first. */
typedef struct {
    int32_t row_taps;
    const int32_t *row_first;
    const float *row_weight;
    int32_t column_taps;
    const int32_t *column_first;
    const float *column_weight;
    float outside;
} mcugen_f32_resize_params;

void mcugen_f32_resize(const mcugen_f32_resize_params *params,
                       const cmsis_nn_dims *input_dims,
                       const float *input,
                       const cmsis_nn_dims *output_dims,
                       float *output);

/* One direction of an LSTM or GRU over input [steps, batch, inputs]: y [steps, directions, batch, hidden] with
 * y_stride floats between steps, last states y_h and y_c [directions, batch, hidden]. weights [gates * hidden,
 * inputs], recurrent [gates * hidden, hidden], bias [2 * gates * hidden], gates in ONNX's order; initial states
 * NULL: zeros. context: (gates + 1) * hidden floats. */
typedef struct {
    int32_t steps, batch, inputs, hidden, y_stride, direction, reverse, linear_before_reset;
} mcugen_f32_rnn_params;

/* ONNX's activations of recurrent layers. */
enum {
    MCUGEN_F32_SIGMOID,
    MCUGEN_F32_TANH,
    MCUGEN_F32_RELU,
    MCUGEN_F32_AFFINE,
    MCUGEN_F32_LEAKY_RELU,
    MCUGEN_F32_THRESHOLDED_RELU,
    MCUGEN_F32_SCALED_TANH,
    MCUGEN_F32_HARD_SIGMOID,
    MCUGEN_F32_ELU,
    MCUGEN_F32_SOFTSIGN,
    MCUGEN_F32_SOFTPLUS
};

typedef struct {
    int32_t function; /* MCUGEN_F32_... */
    float alpha, beta;
} mcugen_f32_activation;

/* What may be unlike the default: activations f, g and h of the gates, the candidate state and an LSTM's cell; clip
 * bounds the sums before f and g (INFINITY: it does not); peepholes float[3][hidden] of the gates input, output, forget
 * (NULL: none); input_forget: the forget gate is 1 less the input gate; lengths int32[batch], 0..steps (NULL: all
 * full). */
typedef struct {
    mcugen_f32_activation activations[3];
    float clip;
    const float *peepholes;
    int32_t input_forget;
    const int32_t *lengths;
} mcugen_f32_rnn_form;

void mcugen_f32_lstm(const cmsis_nn_context *context,
                     const mcugen_f32_rnn_params *params,
                     const float *weights,
                     const float *recurrent,
                     const float *bias,
                     const float *input,
                     const float *initial_h,
                     const float *initial_c,
                     float *y,
                     float *y_h,
                     float *y_c);

/* Rows of 8-bit weights, with a scale and a zero point each. */
typedef struct {
    const int8_t *weights;
    const float *scale;
    const int32_t *zero_point;
} mcugen_dynamic_matrix;

/* An LSTM whose input is quantized at run time, all steps at once, and whose state h is before each step. scratch:
 * 4 * hidden floats, and a byte for each value of the input and of h. */
void mcugen_dynamic_lstm(const cmsis_nn_context *context,
                         const mcugen_f32_rnn_params *params,
                         const mcugen_dynamic_matrix *weights,
                         const mcugen_dynamic_matrix *recurrent,
                         const float *bias,
                         const float *input,
                         const float *initial_h,
                         const float *initial_c,
                         float *y,
                         float *y_h,
                         float *y_c);

void mcugen_f32_gru(const cmsis_nn_context *context,
                    const mcugen_f32_rnn_params *params,
                    const float *weights,
                    const float *recurrent,
                    const float *bias,
                    const float *input,
                    const float *initial_h,
                    float *y,
                    float *y_h);

void mcugen_f32_lstm_form(const cmsis_nn_context *context,
                          const mcugen_f32_rnn_params *params,
                          const mcugen_f32_rnn_form *form,
                          const float *weights,
                          const float *recurrent,
                          const float *bias,
                          const float *input,
                          const float *initial_h,
                          const float *initial_c,
                          float *y,
                          float *y_h,
                          float *y_c);

void mcugen_f32_gru_form(const cmsis_nn_context *context,
                         const mcugen_f32_rnn_params *params,
                         const mcugen_f32_rnn_form *form,
                         const float *weights,
                         const float *recurrent,
                         const float *bias,
                         const float *input,
                         const float *initial_h,
                         float *y,
                         float *y_h);

/* The simple layer: h = f(x weights + h recurrent + bias). */
void mcugen_f32_rnn(const cmsis_nn_context *context,
                    const mcugen_f32_rnn_params *params,
                    const mcugen_f32_rnn_form *form,
                    const float *weights,
                    const float *recurrent,
                    const float *bias,
                    const float *input,
                    const float *initial_h,
                    float *y,
                    float *y_h);

#ifdef __cplusplus
}
#endif

#endif
