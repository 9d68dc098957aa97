/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels CMSIS-NN lacks. All tensors are int8, NHWC, of any alignment; filters are OHWI.
 *
 * They compute ONNX Runtime's bytes, so every float32 operation is rounded on its own: compile with
 * -ffp-contract=off, without -ffast-math, with the FPU rounding to nearest even and keeping subnormals (its reset
 * state). With MCUGEN_REQUANT_FPU = 1 floats run in hardware; with 0, and where it is faster, an integer path decides
 * all values that are not close to a rounding tie, and floats decide those.
 *
 * A uint8 tensor of the model is stored shifted down by 128. `origin` (128 for such tensors, else 0) undoes that
 * where rounding depends on it. Activation bounds are in int8 terms. */
#ifndef MCUGEN_KERNELS_H
#define MCUGEN_KERNELS_H

#include <stdint.h>

#include "arm_nn_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The model's own numbers A = a + origin, B = b + origin give t = fma(A, a_ratio, fma(B, b_ratio, fixed)).
 * Integer path: (a * a_multiplier + b * b_multiplier + offset) >> shift, where offset holds the rounding half; trusted
 * unless the dropped fraction is within `tie` of a tie. tie = -1 trusts it everywhere, shift = tie = 0 nowhere. */
typedef struct {
    float a_ratio, b_ratio, fixed;
    int32_t origin;
    int32_t a_multiplier, b_multiplier, offset, shift, tie;
    cmsis_nn_activation activation;
} mcugen_add_params;

/* output may be a or b. */
void mcugen_add_s8(const mcugen_add_params *params, const int8_t *a, const int8_t *b, int8_t *output, int32_t count);

/* p = (a + a_offset) * (b + b_offset); t = p * ratio + zero_point, two roundings; zero_point is the model's own.
 * Integer path: (p * multiplier + offset) >> shift, as above. */
typedef struct {
    int32_t a_offset, b_offset;
    float ratio, zero_point;
    int32_t origin;
    int32_t multiplier, offset, shift, tie;
    cmsis_nn_activation activation;
} mcugen_mul_params;

/* output may be a or b. */
void mcugen_mul_s8(const mcugen_mul_params *params, const int8_t *a, const int8_t *b, int8_t *output, int32_t count);

/* Sub as ONNX Runtime has it, in float32: ((a - a_zero_point) * a_scale - (b - b_zero_point) * b_scale) / output_scale.
 * Integer path: (a * a_multiplier - b * b_multiplier + offset) >> shift, as above. */
typedef struct {
    float a_scale, b_scale, output_scale;
    int32_t a_zero_point, b_zero_point, output_zero_point;
    int32_t a_multiplier, b_multiplier, offset, shift, tie;
    cmsis_nn_activation activation;
} mcugen_sub_params;

/* output may be a or b. */
void mcugen_sub_s8(const mcugen_sub_params *params, const int8_t *a, const int8_t *b, int8_t *output, int32_t count);

/* Div, likewise; x / 0 is an infinity and saturates, 0 / 0 gives the lowest value. */
typedef struct {
    float a_scale, b_scale, output_scale;
    int32_t a_zero_point, b_zero_point, output_zero_point;
    cmsis_nn_activation activation;
} mcugen_div_params;

/* output may be a or b. */
void mcugen_div_s8(const mcugen_div_params *params, const int8_t *a, const int8_t *b, int8_t *output, int32_t count);

/* The larger, or the smaller, of a_table[a + 128] and b_table[b + 128]; output may be a or b. */
typedef struct {
    const int8_t *a_table, *b_table;
} mcugen_choice_params;

void mcugen_max_s8(const mcugen_choice_params *params, const int8_t *a, const int8_t *b, int8_t *output,
                   int32_t count);
void mcugen_min_s8(const mcugen_choice_params *params, const int8_t *a, const int8_t *b, int8_t *output,
                   int32_t count);

/* Operands that repeat: up to four loops, the innermost first; each turn moves a and b by their steps (0: the same
 * element again). The innermost steps are 0 or 1. output is written from its start to its end, and may be an operand
 * that does not repeat. */
typedef struct {
    struct {
        int32_t count, a_step, b_step;
    } axes[4];
} mcugen_broadcast;

void mcugen_add_broadcast_s8(const mcugen_add_params *params, const mcugen_broadcast *shape, const int8_t *a,
                             const int8_t *b, int8_t *output);
void mcugen_mul_broadcast_s8(const mcugen_mul_params *params, const mcugen_broadcast *shape, const int8_t *a,
                             const int8_t *b, int8_t *output);
void mcugen_sub_broadcast_s8(const mcugen_sub_params *params, const mcugen_broadcast *shape, const int8_t *a,
                             const int8_t *b, int8_t *output);
void mcugen_div_broadcast_s8(const mcugen_div_params *params, const mcugen_broadcast *shape, const int8_t *a,
                             const int8_t *b, int8_t *output);
void mcugen_max_broadcast_s8(const mcugen_choice_params *params, const mcugen_broadcast *shape, const int8_t *a,
                             const int8_t *b, int8_t *output);
void mcugen_min_broadcast_s8(const mcugen_choice_params *params, const mcugen_broadcast *shape, const int8_t *a,
                             const int8_t *b, int8_t *output);

/* One loop over the source: `count` turns; turn i begins offsets[i] elements behind its start, or i * step where
 * offsets is NULL. */
typedef struct {
    int32_t count, step;
    const int32_t *offsets;
} mcugen_take_axis;

#define MCUGEN_TAKE_AXES 6

/* `rank` loops, the outermost first, begin at input + start; the innermost body copies `block` elements. */
typedef struct {
    mcugen_take_axis axes[MCUGEN_TAKE_AXES];
    int32_t rank, start, block;
} mcugen_take_params;

/* Slices, repeats, enlarges, transposes: output is written from its start to its end. */
void mcugen_take_s8(const mcugen_take_params *params, const int8_t *input, int8_t *output);

/* output[i] = table[input[i] + 128]; output may be input. */
void mcugen_lut_s8(const int8_t *table, const int8_t *input, int8_t *output, int32_t count);

/* [outer, channels, inner], a table of 256 a channel, one behind the other; output may be input. */
void mcugen_channel_lut_s8(const int8_t *table, const int8_t *input, int8_t *output, int32_t outer, int32_t channels,
                           int32_t inner);

/* Rows of row_bytes, packed in input, go to output + offset, `stride` bytes apart: one operand of a concatenation. */
void mcugen_copy_s8(const int8_t *input, int8_t *output, int32_t rows, int32_t row_bytes, int32_t offset,
                    int32_t stride);

/* Channel planes, plane_bytes apart, become pixels [pixels, channels]: what NCHW to NHWC is for a range of rows. */
void mcugen_interleave_s8(const int8_t *input, int8_t *output, int32_t plane_bytes, int32_t pixels, int32_t channels);

/* Copies; the two arrays may overlap in any way. */
void mcugen_move_s8(const int8_t *input, int8_t *output, int32_t count);

/* Softmax over the last dimension of [rows, classes]. table[255 - d] is the exponential for a byte that is d below the
 * largest of its row; output may be input. */
void mcugen_softmax_s8(const float *table,
                       float output_scale_inverse,
                       int32_t output_zero_point,
                       const int8_t *input,
                       int8_t *output,
                       int32_t rows,
                       int32_t classes);

/* Padding is that of the top and left, and smaller than the window, so that every window meets the input, to which it
 * is clipped. With count_include_pad the divisor is the whole window. Integer path: 16.16 fixed point, sum *
 * (multiplier / count) >> shift; tie counts 2^-16. */
typedef struct {
    cmsis_nn_tile stride, padding;
    float input_scale, output_scale;
    int32_t input_zero_point, output_zero_point, origin, count_include_pad;
    int32_t multiplier, shift, tie;
    cmsis_nn_activation activation;
} mcugen_average_pool_params;

void mcugen_average_pool_s8(const mcugen_average_pool_params *params,
                            const cmsis_nn_dims *input_dims,
                            const int8_t *input,
                            const cmsis_nn_dims *filter_dims,
                            const cmsis_nn_dims *output_dims,
                            int8_t *output);

/* multiplier is made with MCUGEN_MULTIPLIER. */
typedef struct {
    int32_t input_offset, output_offset, multiplier, shift;
    cmsis_nn_activation activation;
} mcugen_global_average_pool_params;

/* input [pixels, channels], output [channels]. */
void mcugen_global_average_pool_s8(const mcugen_global_average_pool_params *params,
                                   const int8_t *input,
                                   int8_t *output,
                                   int32_t pixels,
                                   int32_t channels);

/* The same for each of several images, one behind the other. */
void mcugen_global_average_pool_images_s8(const mcugen_global_average_pool_params *params,
                                          const int8_t *input,
                                          int8_t *output,
                                          int32_t images,
                                          int32_t pixels,
                                          int32_t channels);

/* The same in parts: sums [channels] of the pixels [pixels, channels] and, unless they are the first ones, of those
 * before; then the average of all of them. */
void mcugen_sum_pixels_s8(const int8_t *input, int32_t *sums, int32_t pixels, int32_t channels, int32_t first);
void mcugen_average_sums_s8(const mcugen_global_average_pool_params *params,
                            const int32_t *sums,
                            int8_t *output,
                            int32_t pixels,
                            int32_t channels);

/* Nearest to input / scale, halves to even, plus zero_point, saturated; NaN gives -128. */
void mcugen_quantize_f32_s8(const float *input, int8_t *output, int32_t count, float scale, int32_t zero_point);

/* (input - zero_point) * scale; the two arrays do not overlap. */
void mcugen_dequantize_s8_f32(const int8_t *input, float *output, int32_t count, float scale, int32_t zero_point);

/* Padding is that of the top and left; taps outside the input do not count. */
typedef struct {
    cmsis_nn_tile stride, padding, dilation;
} mcugen_max_pool_dilated_params;

/* arm_max_pool_s8 knows no dilation. */
void mcugen_max_pool_dilated_s8(const mcugen_max_pool_dilated_params *params,
                                const cmsis_nn_dims *input_dims,
                                const int8_t *input,
                                const cmsis_nn_dims *filter_dims,
                                const cmsis_nn_dims *output_dims,
                                int8_t *output);

/* Linear interpolation: row y of the output is 1024 - row_weight[y] parts of row row[y], and row_weight[y] of the row
 * behind it; likewise columns. Sums of 20 bits behind the point are truncated. */
typedef struct {
    const int32_t *row;
    const int16_t *row_weight;
    const int32_t *column;
    const int16_t *column_weight;
    int32_t origin;
} mcugen_resize_params;

void mcugen_resize_s8(const mcugen_resize_params *params,
                      const cmsis_nn_dims *input_dims,
                      const int8_t *input,
                      const cmsis_nn_dims *output_dims,
                      int8_t *output);

/* With weights in float32: first_weight of row row[y], second_weight of the one behind it, or of the same one if it is
 * the last. */
typedef struct {
    const int32_t *row;
    const float *row_first_weight, *row_second_weight;
    const int32_t *column;
    const float *column_first_weight, *column_second_weight;
    int32_t origin;
} mcugen_resize_by_floats_params;

void mcugen_resize_by_floats_s8(const mcugen_resize_by_floats_params *params,
                                const cmsis_nn_dims *input_dims,
                                const int8_t *input,
                                const cmsis_nn_dims *output_dims,
                                int8_t *output);

/* input [outer, reduced, inner], output [outer, inner]. */
void mcugen_reduce_max_s8(const int8_t *input, int8_t *output, int32_t outer, int32_t reduced, int32_t inner);
void mcugen_reduce_min_s8(const int8_t *input, int8_t *output, int32_t outer, int32_t reduced, int32_t inner);

/* In which order the floats are added: one after the other; in four lanes, two vectors at a time, the rows of `reduced`
 * values being thought of as adjacent floats from a 16-byte boundary on; four at a time, a + (((b + c) + d) + e). */
enum { MCUGEN_SUM_SEQUENTIAL = 0, MCUGEN_SUM_LANES = 1, MCUGEN_SUM_BLOCKS = 2, MCUGEN_SUM_RUNS = 3 };

/* sum((x - input_zero_point) * input_scale) / divisor / output_scale in float32. Integer path: 16.16 fixed point,
 * sum(x - input_zero_point) * multiplier >> shift; tie counts 2^-16. With MCUGEN_SUM_RUNS, `run` divides the values
 * to add up. */
typedef struct {
    int32_t order, run;
    float input_scale, output_scale, divisor;
    int32_t input_zero_point, output_zero_point;
    int32_t multiplier, shift, tie;
    cmsis_nn_activation activation;
} mcugen_reduce_sum_params;

void mcugen_reduce_sum_s8(const mcugen_reduce_sum_params *params, const int8_t *input, int8_t *output, int32_t outer,
                          int32_t reduced, int32_t inner);

/* Positions of the largest or smallest: the first of equal ones, or with `last` the last. */
void mcugen_arg_max_s8(int32_t last, const int8_t *input, int64_t *output, int32_t outer, int32_t reduced,
                       int32_t inner);
void mcugen_arg_min_s8(int32_t last, const int8_t *input, int64_t *output, int32_t outer, int32_t reduced,
                       int32_t inner);

typedef struct {
    int32_t outer, size, inner, k, smallest;
} mcugen_top_k_params;

/* The k largest (smallest) along the middle of [outer, size, inner], in order, and where they stand; of equal ones
 * the first. */
void mcugen_top_k_s8(const mcugen_top_k_params *params, const int8_t *input, int8_t *values, int64_t *positions);

/* multiplier[c] is the plain Q31 mantissa (not MCUGEN_MULTIPLIER) and shift[c] its exponent; filter_zero_point holds
 * one value per output channel, or is NULL for zeros. Padding is that of the top and left. */
typedef struct {
    int32_t input_offset, output_offset, groups;
    cmsis_nn_tile stride, padding, dilation;
    cmsis_nn_activation activation;
    const int32_t *multiplier, *shift, *filter_zero_point;
} mcugen_direct_params;

/* Convolution of any kind (grouped, depthwise, fully connected as 1x1) where the fast kernels would not be exact:
 * filters with zero points, accumulators that wrap around int32 as ONNX Runtime's do, results of any size.
 * filter_dims->c is the number of input channels of one group; bias may be NULL. */
void mcugen_convolve_direct_s8(const mcugen_direct_params *params,
                               const cmsis_nn_dims *input_dims,
                               const int8_t *input,
                               const cmsis_nn_dims *filter_dims,
                               const int8_t *filter,
                               const int32_t *bias,
                               const cmsis_nn_dims *output_dims,
                               int8_t *output);

/* The same for weights of 4 bits without zero points, of which eight less is meant: eight a little-endian word, the
 * first in its lowest bits; each filter begins a new word. bias includes input_offset times the sum of a filter,
 * multiplier is made with MCUGEN_MULTIPLIER. The context holds the taps of two windows (one, if there is but one) as
 * int16, each in groups of 16. */
void mcugen_convolve_s4(const cmsis_nn_context *context,
                        const mcugen_direct_params *params,
                        const cmsis_nn_dims *input_dims,
                        const int8_t *input,
                        const cmsis_nn_dims *filter_dims,
                        const int8_t *filter,
                        const int32_t *bias,
                        const cmsis_nn_dims *output_dims,
                        int8_t *output);

/* As mcugen_direct_params. With `wide` the multipliers are plain mantissas and results may be of any size, else they
 * are made with MCUGEN_MULTIPLIER. tap_step = stride / gcd(stride, dilation): the distance of taps that meet one
 * output. */
typedef struct {
    int32_t input_offset, output_offset, groups, wide;
    cmsis_nn_tile stride, padding, dilation, tap_step;
    cmsis_nn_activation activation;
    const int32_t *multiplier, *shift, *filter_zero_point;
} mcugen_conv_transpose_params;

/* Transposed convolution, gathered output by output. filter_dims->c is the number of input channels of one group. */
void mcugen_conv_transpose_s8(const mcugen_conv_transpose_params *params,
                              const cmsis_nn_dims *input_dims,
                              const int8_t *input,
                              const cmsis_nn_dims *filter_dims,
                              const int8_t *filter,
                              const int32_t *bias,
                              const cmsis_nn_dims *output_dims,
                              int8_t *output);

/* Matrix n of the batch begins at a + a_start[n] and b + b_start[n]; multiplier and wide as above. */
typedef struct {
    int32_t batches, rows, depth, columns;
    int32_t a_offset, b_offset, output_offset, multiplier, shift, wide;
    const int32_t *a_start, *b_start;
    cmsis_nn_activation activation;
} mcugen_matmul_params;

/* [rows, depth] x [depth, columns] for each matrix of the batch. */
void mcugen_matmul_s8(const mcugen_matmul_params *params, const int8_t *a, const int8_t *b, int8_t *output);

/* Matrices as in mcugen_matmul_params; b_zero_step: 1 where b has a zero point a column, 0 where it has one. */
typedef struct {
    int32_t batches, rows, depth, columns, b_zero_step;
    const int32_t *a_start, *b_start;
} mcugen_integer_matmul_params;

/* The sums of (a - *a_zero_point) * (b - b_zero_point), in integers alone. */
void mcugen_integer_matmul_s8_s32(const mcugen_integer_matmul_params *params,
                                  const int8_t *a,
                                  const int8_t *b,
                                  const int8_t *a_zero_point,
                                  const int8_t *b_zero_point,
                                  int32_t *output);

/* Padding is that of the top and left. */
typedef struct {
    int32_t groups;
    cmsis_nn_tile stride, padding, dilation;
} mcugen_integer_conv_params;

/* The sums of (input - *input_zero_point) * (filter - *filter_zero_point); filter_dims->c is the number of input
 * channels of one group. */
void mcugen_integer_convolve_s8_s32(const mcugen_integer_conv_params *params,
                                    const cmsis_nn_dims *input_dims,
                                    const int8_t *input,
                                    const cmsis_nn_dims *filter_dims,
                                    const int8_t *filter,
                                    const int8_t *input_zero_point,
                                    const int8_t *filter_zero_point,
                                    const cmsis_nn_dims *output_dims,
                                    int32_t *output);

/* output = a op b, each element by itself, with the operation of these numbers; sums and products wrap around, div cuts
 * off towards zero, mod has the sign of b, and b is above 0 in both. */
enum {
    MCUGEN_INTEGER_ADD,
    MCUGEN_INTEGER_SUB,
    MCUGEN_INTEGER_MUL,
    MCUGEN_INTEGER_DIV,
    MCUGEN_INTEGER_MOD,
    MCUGEN_INTEGER_MIN,
    MCUGEN_INTEGER_MAX
};
void mcugen_arithmetic_s32(const mcugen_broadcast *shape, int32_t operation, const int32_t *a, const int32_t *b,
                           int32_t *output);
void mcugen_arithmetic_s64(const mcugen_broadcast *shape, int32_t operation, const int64_t *a, const int64_t *b,
                           int64_t *output);

/* The middle of [outer, reduced, inner] by add, min or max of these. Sums of int32 end at INT32_MIN and INT32_MAX.
 * ARM_CMSIS_NN_ARG_ERROR: the magnitudes of int64 numbers add up to more than 2^53. */
void mcugen_reduce_s32(int32_t operation, const int32_t *input, int32_t *output, int32_t outer, int32_t reduced,
                       int32_t inner);
arm_cmsis_nn_status mcugen_reduce_s64(int32_t operation, const int64_t *input, int64_t *output, int32_t outer,
                                      int32_t reduced, int32_t inner);

/* output = a op b with a bool as the result. */
enum { MCUGEN_INTEGER_EQUAL, MCUGEN_INTEGER_GREATER, MCUGEN_INTEGER_GREATER_OR_EQUAL };
void mcugen_compare_s32(const mcugen_broadcast *shape, int32_t operation, const int32_t *a, const int32_t *b,
                        int8_t *output);
void mcugen_compare_s64(const mcugen_broadcast *shape, int32_t operation, const int64_t *a, const int64_t *b,
                        int8_t *output);

/* The low bits that the output has room for; a bool is 0 or 1, from an integer 1 where that is not 0. */
void mcugen_s32_from_s64(const int64_t *input, int32_t *output, int32_t count);
void mcugen_s64_from_s32(const int32_t *input, int64_t *output, int32_t count);
void mcugen_s8_from_s32(const int32_t *input, int8_t *output, int32_t count, int32_t origin);
void mcugen_s8_from_s64(const int64_t *input, int8_t *output, int32_t count, int32_t origin);
void mcugen_s32_from_s8(const int8_t *input, int32_t *output, int32_t count, int32_t origin);
void mcugen_s64_from_s8(const int8_t *input, int64_t *output, int32_t count, int32_t origin);
void mcugen_s32_from_bool(const int8_t *input, int32_t *output, int32_t count);
void mcugen_s64_from_bool(const int8_t *input, int64_t *output, int32_t count);
void mcugen_s32_to_bool(const int32_t *input, int8_t *output, int32_t count);
void mcugen_s64_to_bool(const int64_t *input, int8_t *output, int32_t count);

#define MCUGEN_GATHER_DEPTH 4

/* `outer` parts of sizes[0] * ... * sizes[depth - 1] * inner blocks of `block` bytes. `count` tuples of `depth` indices
 * name blocks of each part, tuple i one at place i % inner of the innermost; all parts have the same tuples if
 * `shared`, else each has its own. An index below 0 counts from behind. */
typedef struct {
    int32_t outer, count, depth, inner, block, shared;
    int32_t sizes[MCUGEN_GATHER_DEPTH];
} mcugen_gather_params;

/* The blocks one after the other. ARM_CMSIS_NN_ARG_ERROR: an index is outside; nothing outside was read. */
arm_cmsis_nn_status mcugen_gather_s32(const mcugen_gather_params *params, const int8_t *data, const int32_t *indices,
                                      int8_t *output);
arm_cmsis_nn_status mcugen_gather_s64(const mcugen_gather_params *params, const int8_t *data, const int64_t *indices,
                                      int8_t *output);

/* The data, with these blocks replaced one after the other; output may be data. The parts have their own tuples.
 * ARM_CMSIS_NN_ARG_ERROR: an index is outside; nothing outside was written. */
arm_cmsis_nn_status mcugen_scatter_s32(const mcugen_gather_params *params, const int8_t *data, const int32_t *indices,
                                       const int8_t *updates, int8_t *output);
arm_cmsis_nn_status mcugen_scatter_s64(const mcugen_gather_params *params, const int8_t *data, const int64_t *indices,
                                       const int8_t *updates, int8_t *output);

#define MCUGEN_WHERE_AXES 4

typedef struct {
    int32_t count, a_step, b_step, c_step;
} mcugen_where_axis;

/* `rank` loops over the output, the outermost first; a is the condition. */
typedef struct {
    mcugen_where_axis axes[MCUGEN_WHERE_AXES];
    int32_t rank;
} mcugen_where_params;

/* output = condition != 0 ? b : c; output may be an operand of its own size. */
void mcugen_where_s8(const mcugen_where_params *params, const int8_t *condition, const int8_t *b, const int8_t *c,
                     int8_t *output);
void mcugen_where_s32(const mcugen_where_params *params, const int8_t *condition, const int32_t *b, const int32_t *c,
                      int32_t *output);
void mcugen_where_s64(const mcugen_where_params *params, const int8_t *condition, const int64_t *b, const int64_t *c,
                      int64_t *output);

#ifdef __cplusplus
}
#endif

#endif
