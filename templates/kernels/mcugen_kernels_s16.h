/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels on int16 tensors, NHWC, aligned to 2 bytes; filters are OHWI. Compile them as mcugen_kernels.h asks. A uint16
 * tensor of the model is stored shifted down by 32768. */
#ifndef MCUGEN_KERNELS_S16_H
#define MCUGEN_KERNELS_S16_H

#include "mcugen_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Nearest to input / scale, halves to even, plus zero_point, saturated; NaN gives INT16_MIN. */
void mcugen_quantize_f32_s16(const float *input, int16_t *output, int32_t count, float scale, int32_t zero_point);

/* (input - zero_point) * scale; the two arrays do not overlap. */
void mcugen_dequantize_s16_f32(const int16_t *input, float *output, int32_t count, float scale, int32_t zero_point);

/* output[i] = table[input[i] + 128]; the two arrays do not overlap. */
void mcugen_lut_s8_s16(const int16_t *table, const int8_t *input, int16_t *output, int32_t count);

/* A function of u = input + 32768. Piece p = u >> shift holds, with t = u - (p << shift),
 *     (c0 * 2^16 + c1 * t * 2^8 + c2 * t * t) >> 30, clamped,
 * coefficients being c0, c1, c2 of each piece; but where u is one of at[first[p]..first[p + 1] - 1], which
 * ascend, the value beside it. */
typedef struct {
    int32_t shift;
    const int32_t *coefficients;
    const uint16_t *first, *at;
    const int16_t *value;
    cmsis_nn_activation activation;
} mcugen_pieces;

/* output may be input. */
void mcugen_lut_s16(const mcugen_pieces *params, const int16_t *input, int16_t *output, int32_t count);
void mcugen_lut_s16_s8(const mcugen_pieces *params, const int16_t *input, int8_t *output, int32_t count);

/* Up to four dimensions, pre_pad before and post_pad behind each. */
void mcugen_pad_s16(const int16_t *input,
                    int16_t *output,
                    int32_t pad_value,
                    const cmsis_nn_dims *input_size,
                    const cmsis_nn_dims *pre_pad,
                    const cmsis_nn_dims *post_pad);

/* Taps outside the input do not count; every window meets it. */
void mcugen_max_pool_s16(const mcugen_max_pool_dilated_params *params,
                         const cmsis_nn_dims *input_dims,
                         const int16_t *input,
                         const cmsis_nn_dims *filter_dims,
                         const cmsis_nn_dims *output_dims,
                         int16_t *output);

/* Binary operators, ONNX Runtime's float32 ones in its order: the operands' real numbers, the operator, output scale.
 * Without float hardware in integers, the multipliers having `shift` fraction bits; `offset` holds zero points and
 * the rounding half. Within `tie` of a tie (of a unit of 2^shift) floats decide. */
typedef struct {
    float a_scale, b_scale, output_scale; /* b_scale < 0: the difference */
    int32_t a_zero_point, b_zero_point, output_zero_point;
    int32_t a_multiplier, b_multiplier, shift;
    int64_t offset, tie;
    cmsis_nn_activation activation;
} mcugen_add_s16_params;

/* output may be an operand that does not repeat. */
void mcugen_add_s16(const mcugen_add_s16_params *params, const mcugen_broadcast *shape, const int16_t *a,
                    const int16_t *b, int16_t *output);

typedef struct {
    float a_scale, b_scale, output_scale;
    int32_t a_zero_point, b_zero_point, output_zero_point;
    int32_t multiplier, shift;
    int64_t offset, tie;
    cmsis_nn_activation activation;
} mcugen_mul_s16_params;

void mcugen_mul_s16(const mcugen_mul_s16_params *params, const mcugen_broadcast *shape, const int16_t *a,
                    const int16_t *b, int16_t *output);

/* In float32 on every core. */
void mcugen_div_s16(const mcugen_div_params *params, const mcugen_broadcast *shape, const int16_t *a,
                    const int16_t *b, int16_t *output);

/* The larger, or the smaller. `same`: all three tensors have one scale and zero point. `offset` holds the output's zero
 * point and the rounding half. */
typedef struct {
    int32_t same;
    float a_scale, b_scale, output_scale;
    int32_t a_zero_point, b_zero_point, output_zero_point;
    int32_t a_multiplier, b_multiplier, shift;
    int64_t offset, tie;
    cmsis_nn_activation activation;
} mcugen_choice_s16_params;

void mcugen_max_s16(const mcugen_choice_s16_params *params, const mcugen_broadcast *shape, const int16_t *a,
                    const int16_t *b, int16_t *output);
void mcugen_min_s16(const mcugen_choice_s16_params *params, const mcugen_broadcast *shape, const int16_t *a,
                    const int16_t *b, int16_t *output);

/* mcugen_where_s8, mcugen_reduce_max_s8 and mcugen_reduce_min_s8 on int16. */
void mcugen_where_s16(const mcugen_where_params *params, const int8_t *condition, const int16_t *b, const int16_t *c,
                      int16_t *output);
void mcugen_reduce_max_s16(const int16_t *input, int16_t *output, int32_t outer, int32_t reduced, int32_t inner);
void mcugen_reduce_min_s16(const int16_t *input, int16_t *output, int32_t outer, int32_t reduced, int32_t inner);

/* mcugen_reduce_sum_s8 on int16: a sum times multiplier has `shift` fraction bits. A multiplier of 0: floats decide. */
typedef struct {
    int32_t order, run;
    float input_scale, output_scale, divisor;
    int32_t input_zero_point, output_zero_point;
    int32_t multiplier, shift;
    int64_t tie;
    cmsis_nn_activation activation;
} mcugen_reduce_sum_s16_params;

void mcugen_reduce_sum_s16(const mcugen_reduce_sum_s16_params *params,
                           const int16_t *input,
                           int16_t *output,
                           int32_t outer,
                           int32_t reduced,
                           int32_t inner);

/* Over the last dimension of [rows, classes] in ONNX Runtime's float32 operations; the context holds one row of floats.
 * output may be input. */
typedef struct {
    float input_scale, output_scale;
    int32_t input_zero_point, output_zero_point;
} mcugen_softmax_s16_params;

void mcugen_softmax_s16(const cmsis_nn_context *context,
                        const mcugen_softmax_s16_params *params,
                        const int16_t *input,
                        int16_t *output,
                        int32_t rows,
                        int32_t classes);

/* Averages of windows of at most 65,535 values: multiplier / count with `shift` fraction bits times an integer sum, or
 * within `tie` of a tie (of a unit of 2^shift) ONNX Runtime's float32 sum: in four lanes where `lanes` is 1, by columns
 * where by_columns is, else value by value. padding is that of the top and left, padding_end of bottom and right. */
typedef struct {
    cmsis_nn_tile stride, padding, padding_end;
    int32_t count_include_pad, lanes, by_columns;
    float input_scale, output_scale;
    int32_t input_zero_point, output_zero_point;
    int32_t multiplier, shift;
    int64_t tie;
    cmsis_nn_activation activation;
} mcugen_average_pool_s16_params;

void mcugen_average_pool_s16(const mcugen_average_pool_s16_params *params,
                             const cmsis_nn_dims *input_dims,
                             const int16_t *input,
                             const cmsis_nn_dims *filter_dims,
                             const cmsis_nn_dims *output_dims,
                             int16_t *output);

/* offset[c] is the bias less input_zero_point times the sum of the filter; multiplier[c] and shift[c] make a sum an
 * output by acc * multiplier / 2^shift, halves to even. Padding is that of the top and left. */
typedef struct {
    int32_t input_zero_point, output_zero_point, groups;
    cmsis_nn_tile stride, padding, dilation;
    cmsis_nn_activation activation;
    const int32_t *multiplier, *shift;
    const int64_t *offset;
} mcugen_conv_s16_params;

/* Convolution of any kind (fully connected as 1x1). The magnitudes of products, offset and result add up to less than
 * 2^31 in int32, and shift is above 32; `wide` takes any. filter_dims->c is the number of input channels of one group.
 * The context holds the taps of two windows, of one group, as int16 (of one, if there is but one). */
void mcugen_convolve_s16(const cmsis_nn_context *context,
                         const mcugen_conv_s16_params *params,
                         const cmsis_nn_dims *input_dims,
                         const int16_t *input,
                         const cmsis_nn_dims *filter_dims,
                         const int8_t *filter,
                         const cmsis_nn_dims *output_dims,
                         int16_t *output);
void mcugen_convolve_wide_s16(const cmsis_nn_context *context,
                              const mcugen_conv_s16_params *params,
                              const cmsis_nn_dims *input_dims,
                              const int16_t *input,
                              const cmsis_nn_dims *filter_dims,
                              const int8_t *filter,
                              const cmsis_nn_dims *output_dims,
                              int16_t *output);

/* Summed in int64, with weights of 4 bits; they, and the context, as of mcugen_convolve_s4. */
void mcugen_convolve_s16_s4(const cmsis_nn_context *context,
                            const mcugen_conv_s16_params *params,
                            const cmsis_nn_dims *input_dims,
                            const int16_t *input,
                            const cmsis_nn_dims *filter_dims,
                            const int8_t *filter,
                            const cmsis_nn_dims *output_dims,
                            int16_t *output);

/* Depthwise, with filters [1, KH, KW, outputs]; sums and shifts as of mcugen_convolve_s16. */
void mcugen_depthwise_s16(const mcugen_conv_s16_params *params,
                          const cmsis_nn_dims *input_dims,
                          const int16_t *input,
                          const cmsis_nn_dims *filter_dims,
                          const int8_t *filter,
                          const cmsis_nn_dims *output_dims,
                          int16_t *output);

/* Transposed convolution, summed in int64. tap_sums[c][ky][kx] is the sum of the weights of a tap; multiplier and shift
 * are as of mcugen_conv_s16_params. */
typedef struct {
    int32_t input_zero_point, output_zero_point, groups;
    cmsis_nn_tile stride, padding, dilation, tap_step;
    cmsis_nn_activation activation;
    const int32_t *multiplier, *shift, *tap_sums;
    const int64_t *bias;
} mcugen_conv_transpose_s16_params;

void mcugen_conv_transpose_s16(const mcugen_conv_transpose_s16_params *params,
                               const cmsis_nn_dims *input_dims,
                               const int16_t *input,
                               const cmsis_nn_dims *filter_dims,
                               const int8_t *filter,
                               const cmsis_nn_dims *output_dims,
                               int16_t *output);

/* Matrix products a [rows, depth] times b [depth, columns], from a_start and b_start on for each of the batches. A sum
 * loses its lowest `drop` bits, then multiplier and shift are as of mcugen_conv_s16_params. */
typedef struct {
    int32_t batches, rows, depth, columns;
    int32_t a_zero_point, b_zero_point, output_zero_point;
    int32_t drop, multiplier, shift;
    const int32_t *a_start, *b_start;
    cmsis_nn_activation activation;
} mcugen_matmul_s16_params;

void mcugen_matmul_s16(const mcugen_matmul_s16_params *params, const int16_t *a, const int16_t *b, int16_t *output);

#ifdef __cplusplus
}
#endif

#endif
