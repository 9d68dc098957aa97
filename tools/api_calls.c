/* SPDX-License-Identifier: Apache-2.0 */
/* Each call of the CMSIS-NN API on layers of usual shapes: a line "ticks wraps checksum name" per call. The library is
 * chosen by the include path and what is linked. */
#include <string.h>

#include "arm_nnfunctions.h"
#include "board.h"
#include "mcugen_requant.h"

#define BYTES 65536

static int8_t first[BYTES], second[BYTES], output[BYTES];
static int32_t bias[512], multiplier[512], shift[512], sums[512];
static int32_t scratch[BYTES / 4];
static const char *called;
static uint64_t ticks_before;
static uint32_t wraps_before;
static uint32_t state;

static const cmsis_nn_context ctx = {scratch, sizeof scratch};
static const cmsis_nn_per_channel_quant_params quant = {multiplier, shift};
static const cmsis_nn_activation clamp = {-128, 127};

/* New data, and multipliers for sums of `depth` products that saturate few results. */
static void prepare(int32_t depth)
{
    int32_t down = -7;
    for (; depth > 1; depth /= 4) {
        down--;
    }
    for (int32_t i = 0; i < BYTES; i++) {
        state = state * 1664525u + 1013904223u;
        first[i] = (int8_t)(state >> 24);
        second[i] = (int8_t)(state >> 16);
    }
    for (int32_t i = 0; i < 512; i++) {
        bias[i] = 37 * i - 1000;
        multiplier[i] = MCUGEN_MULTIPLIER(0x52345680, down);
        shift[i] = down;
    }
    memset(output, 0, sizeof output);
}

static void begin(const char *name, int32_t depth)
{
    prepare(depth);
    called = name;
    wraps_before = board_counter_wraps();
    ticks_before = board_counter_ticks();
}

static void end(void)
{
    const uint64_t ticks = board_counter_ticks() - ticks_before;
    const uint32_t wraps = board_counter_wraps() - wraps_before;
    uint32_t sum = 2166136261u;
    for (int32_t i = 0; i < BYTES; i++) {
        sum = (sum ^ (uint8_t)output[i]) * 16777619u;
    }
    board_put_u64(ticks);
    board_puts(" ");
    board_put_u64(wraps);
    board_puts(" ");
    board_put_u32_hex(sum);
    board_puts(" ");
    board_puts(called);
    board_puts("\n");
}

typedef struct {
    const char *name;
    cmsis_nn_dims from, filter, to;
    int32_t stride, pad_h, pad_w, dilation, multiplied;
} layer_t;

static const layer_t convolutions[] = {
    {"convolve_wrapper 1x1, 8 to 16 channels", {1, 6, 6, 8}, {16, 1, 1, 8}, {1, 6, 6, 16}, 1, 0, 0, 1, 0},
    {"convolve_wrapper 1x1, 64 to 64 channels", {1, 5, 5, 64}, {64, 1, 1, 64}, {1, 5, 5, 64}, 1, 0, 0, 1, 0},
    {"convolve_wrapper 1x1, stride 2", {1, 8, 8, 16}, {32, 1, 1, 16}, {1, 4, 4, 32}, 2, 0, 0, 1, 0},
    {"convolve_wrapper 1x5, 16 to 16 channels", {1, 1, 32, 16}, {16, 1, 5, 16}, {1, 1, 32, 16}, 1, 0, 2, 1, 0},
    {"convolve_wrapper 1x3, 40 to 12 channels", {1, 1, 20, 40}, {12, 1, 3, 40}, {1, 1, 20, 12}, 1, 0, 1, 1, 0},
    {"convolve_wrapper 3x3, 1 to 8 channels", {1, 8, 8, 1}, {8, 3, 3, 1}, {1, 8, 8, 8}, 1, 1, 1, 1, 0},
    {"convolve_wrapper 3x3, 3 to 16 channels, stride 2", {1, 12, 12, 3}, {16, 3, 3, 3}, {1, 6, 6, 16}, 2, 1, 1, 1, 0},
    {"convolve_wrapper 3x3, 16 to 16 channels", {1, 8, 8, 16}, {16, 3, 3, 16}, {1, 8, 8, 16}, 1, 1, 1, 1, 0},
    {"convolve_wrapper 3x3, 64 to 64 channels", {1, 4, 4, 64}, {64, 3, 3, 64}, {1, 4, 4, 64}, 1, 1, 1, 1, 0},
    {"convolve_wrapper 3x3, dilation 2", {1, 8, 8, 8}, {8, 3, 3, 8}, {1, 8, 8, 8}, 1, 2, 2, 2, 0},
    {"convolve_wrapper 3x3, 2 groups", {1, 8, 8, 16}, {16, 3, 3, 8}, {1, 8, 8, 16}, 1, 1, 1, 1, 0},
    {"convolve_wrapper 1x1, 3 to 8 channels", {1, 8, 8, 3}, {8, 1, 1, 3}, {1, 8, 8, 8}, 1, 0, 0, 1, 0},
    {"convolve_wrapper 1x1, 32 to 2 channels", {1, 4, 4, 32}, {2, 1, 1, 32}, {1, 4, 4, 2}, 1, 0, 0, 1, 0},
    {"convolve_wrapper 1x1, 29 to 13 channels", {1, 5, 5, 29}, {13, 1, 1, 29}, {1, 5, 5, 13}, 1, 0, 0, 1, 0},
    {"convolve_wrapper 1x1, 256 to 64 channels", {1, 2, 2, 256}, {64, 1, 1, 256}, {1, 2, 2, 64}, 1, 0, 0, 1, 0},
    {"convolve_wrapper 1x1, 128 to 10 channels, one pixel", {1, 1, 1, 128}, {10, 1, 1, 128}, {1, 1, 1, 10}, 1, 0, 0, 1,
     0},
    {"convolve_wrapper 1x3, 6 to 32 channels", {1, 1, 32, 6}, {32, 1, 3, 6}, {1, 1, 32, 32}, 1, 0, 1, 1, 0},
    {"convolve_wrapper 1x8, 1 to 16 channels, stride 2", {1, 1, 64, 1}, {16, 1, 8, 1}, {1, 1, 29, 16}, 2, 0, 0, 1, 0},
    {"convolve_wrapper 1x9, 32 to 32 channels", {1, 1, 32, 32}, {32, 1, 9, 32}, {1, 1, 32, 32}, 1, 0, 4, 1, 0},
    {"convolve_wrapper 2x2, 3 to 16 channels, stride 2", {1, 8, 8, 3}, {16, 2, 2, 3}, {1, 4, 4, 16}, 2, 0, 0, 1, 0},
    {"convolve_wrapper 3x3, 8 to 1 channels", {1, 8, 8, 8}, {1, 3, 3, 8}, {1, 8, 8, 1}, 1, 1, 1, 1, 0},
    {"convolve_wrapper 3x3, 24 to 24 channels, no padding", {1, 8, 8, 24}, {24, 3, 3, 24}, {1, 6, 6, 24}, 1, 0, 0, 1,
     0},
    {"convolve_wrapper 3x3, 128 to 32 channels", {1, 4, 4, 128}, {32, 3, 3, 128}, {1, 4, 4, 32}, 1, 1, 1, 1, 0},
    {"convolve_wrapper 5x5, 1 to 8 channels", {1, 14, 14, 1}, {8, 5, 5, 1}, {1, 10, 10, 8}, 1, 0, 0, 1, 0},
    {"convolve_wrapper 5x5, 3 to 16 channels, stride 2", {1, 12, 12, 3}, {16, 5, 5, 3}, {1, 6, 6, 16}, 2, 2, 2, 1, 0},
    {"convolve_wrapper 5x5, 16 to 16 channels", {1, 6, 6, 16}, {16, 5, 5, 16}, {1, 6, 6, 16}, 1, 2, 2, 1, 0},
    {"convolve_wrapper 7x7, 3 to 16 channels, stride 2", {1, 16, 16, 3}, {16, 7, 7, 3}, {1, 8, 8, 16}, 2, 3, 3, 1, 0},
    {"convolve_wrapper 10x4, 1 to 64 channels, stride 2", {1, 20, 10, 1}, {64, 10, 4, 1}, {1, 10, 5, 64}, 2, 4, 1, 1,
     0},
    {"depthwise_conv_wrapper 3x3, 8 channels", {1, 8, 8, 8}, {1, 3, 3, 8}, {1, 8, 8, 8}, 1, 1, 1, 1, 1},
    {"depthwise_conv_wrapper 3x3, 64 channels", {1, 6, 6, 64}, {1, 3, 3, 64}, {1, 6, 6, 64}, 1, 1, 1, 1, 1},
    {"depthwise_conv_wrapper 3x3, stride 2", {1, 12, 12, 24}, {1, 3, 3, 24}, {1, 6, 6, 24}, 2, 1, 1, 1, 1},
    {"depthwise_conv_wrapper 5x5, 16 channels", {1, 8, 8, 16}, {1, 5, 5, 16}, {1, 8, 8, 16}, 1, 2, 2, 1, 1},
    {"depthwise_conv_wrapper 1x7, 13 channels", {1, 1, 40, 13}, {1, 1, 7, 13}, {1, 1, 40, 13}, 1, 0, 3, 1, 1},
    {"depthwise_conv_wrapper 3x3, multiplier 2", {1, 8, 8, 8}, {1, 3, 3, 16}, {1, 8, 8, 16}, 1, 1, 1, 1, 2},
    {"depthwise_conv_wrapper 3x3, 1 to 8 channels", {1, 8, 8, 1}, {1, 3, 3, 8}, {1, 8, 8, 8}, 1, 1, 1, 1, 8},
    {"depthwise_conv_wrapper 3x3, dilation 2", {1, 8, 8, 16}, {1, 3, 3, 16}, {1, 8, 8, 16}, 1, 2, 2, 2, 1},
    {"depthwise_conv_wrapper 1x9, 32 channels", {1, 1, 32, 32}, {1, 1, 9, 32}, {1, 1, 32, 32}, 1, 0, 4, 1, 1},
    {"depthwise_conv_wrapper 3x3, 3 channels", {1, 10, 10, 3}, {1, 3, 3, 3}, {1, 10, 10, 3}, 1, 1, 1, 1, 1},
    {"depthwise_conv_wrapper 3x3, 128 channels", {1, 4, 4, 128}, {1, 3, 3, 128}, {1, 4, 4, 128}, 1, 1, 1, 1, 1},
    {"depthwise_conv_wrapper 3x3, no padding", {1, 8, 8, 16}, {1, 3, 3, 16}, {1, 6, 6, 16}, 1, 0, 0, 1, 1},
    {"depthwise_conv_wrapper 3x3, multiplier 4", {1, 8, 8, 8}, {1, 3, 3, 32}, {1, 8, 8, 32}, 1, 1, 1, 1, 4},
    {"depthwise_conv_wrapper 5x5, stride 2", {1, 12, 12, 24}, {1, 5, 5, 24}, {1, 6, 6, 24}, 2, 2, 2, 1, 1},
    {"depthwise_conv_wrapper 7x7, 16 channels", {1, 7, 7, 16}, {1, 7, 7, 16}, {1, 7, 7, 16}, 1, 3, 3, 1, 1},
};

static const layer_t transposed[] = {
    {"transpose_conv 3x3, 16 to 8 channels", {1, 5, 5, 16}, {8, 3, 3, 16}, {1, 10, 10, 8}, 2, 0, 0, 1, 0},
    {"transpose_conv 4x4, 8 to 4 channels", {1, 6, 6, 8}, {4, 4, 4, 8}, {1, 12, 12, 4}, 2, 1, 1, 1, 0},
    {"transpose_conv 2x2, 32 to 16 channels", {1, 4, 4, 32}, {16, 2, 2, 32}, {1, 8, 8, 16}, 2, 0, 0, 1, 0},
    {"transpose_conv 3x3, 16 to 16 channels, stride 1", {1, 6, 6, 16}, {16, 3, 3, 16}, {1, 6, 6, 16}, 1, 1, 1, 1, 0},
    {"transpose_conv 2x2, 64 to 32 channels", {1, 4, 4, 64}, {32, 2, 2, 64}, {1, 8, 8, 32}, 2, 0, 0, 1, 0},
    {"transpose_conv 4x4, 16 to 1 channels", {1, 6, 6, 16}, {1, 4, 4, 16}, {1, 12, 12, 1}, 2, 1, 1, 1, 0},
};

static void convolve(const layer_t *l)
{
    const cmsis_nn_tile stride = {l->stride, l->stride}, padding = {l->pad_w, l->pad_h};
    const cmsis_nn_tile dilation = {l->dilation, l->dilation};
    const cmsis_nn_dims one = {1, 1, 1, l->to.c};
    const int32_t taps = l->filter.h * l->filter.w;
    if (l->multiplied != 0) {
        const cmsis_nn_dw_conv_params params = {5, -3, l->multiplied, stride, padding, dilation, clamp};
        begin(l->name, taps);
        arm_depthwise_conv_wrapper_s8(&ctx, &params, &quant, &l->from, first, &l->filter, second, &one, bias, &l->to,
                                      output);
    } else {
        const cmsis_nn_conv_params params = {5, -3, stride, padding, dilation, clamp};
        begin(l->name, taps * l->filter.c);
        arm_convolve_wrapper_s8(&ctx, &params, &quant, &l->from, first, &l->filter, second, &one, bias, &l->to, output);
    }
    end();
}

static void convolve_transposed(const layer_t *l)
{
    const cmsis_nn_context other = {scratch + BYTES / 8, sizeof scratch / 2};
    const cmsis_nn_tile none = {0, 0}, one_tile = {1, 1};
    const cmsis_nn_tile stride = {l->stride, l->stride}, padding = {l->pad_w, l->pad_h};
    const cmsis_nn_transpose_conv_params params = {5, -3, stride, padding, none, one_tile, clamp};
    const cmsis_nn_dims one = {1, 1, 1, l->to.c};
    begin(l->name, l->filter.h * l->filter.w * l->filter.c / l->stride / l->stride);
    arm_transpose_conv_wrapper_s8(&ctx, &other, &params, &quant, &l->from, first, &l->filter, second, &one, bias,
                                  &l->to, output);
    end();
}

static void connect(const char *name, int32_t batch, int32_t inputs, int32_t outputs, int per_channel)
{
    const cmsis_nn_fc_params params = {5, 0, -3, clamp};
    const cmsis_nn_dims from = {batch, 1, 1, inputs}, filter = {inputs, 1, 1, outputs}, to = {batch, 1, 1, outputs};
    const cmsis_nn_dims one = {1, 1, 1, outputs};
    const cmsis_nn_context with_sums = {sums, sizeof sums};
    state = 0;
    prepare(inputs);
    state = 0; /* the same data again, whose weights the sums are of */
    arm_vector_sum_s8(sums, inputs, outputs, second, 5, 0, bias);
    begin(name, inputs);
    if (per_channel) {
        arm_fully_connected_per_channel_s8(&with_sums, &params, &quant, &from, first, &filter, second, &one, bias, &to,
                                           output);
    } else {
        const cmsis_nn_per_tensor_quant_params tensor = {multiplier[0], shift[0]};
        arm_fully_connected_s8(&with_sums, &params, &tensor, &from, first, &filter, second, &one, bias, &to, output);
    }
    end();
}

static void multiply_matrices(const char *name, int32_t heads, int32_t rows, int32_t columns, int32_t depth,
                              int32_t offset)
{
    const cmsis_nn_bmm_params params = {false, false, {5, offset, -3, clamp}};
    const cmsis_nn_dims left = {1, heads, rows, depth}, right = {1, heads, columns, depth};
    const cmsis_nn_dims to = {1, heads, rows, columns};
    prepare(depth);
    const cmsis_nn_per_tensor_quant_params tensor = {multiplier[0], shift[0]};
    begin(name, depth);
    arm_batch_matmul_s8(&ctx, &params, &tensor, &left, first, &right, second, &to, output);
    end();
}

static void pool(const char *name, int average, int32_t size, int32_t channels, int32_t kernel, int32_t stride,
                 int32_t pad)
{
    const cmsis_nn_pool_params params = {{stride, stride}, {pad, pad}, clamp};
    const int32_t out = (size + 2 * pad - kernel) / stride + 1;
    const cmsis_nn_dims from = {1, size, size, channels}, filter = {1, kernel, kernel, 1};
    const cmsis_nn_dims to = {1, out, out, channels};
    begin(name, 1);
    if (average) {
        arm_avgpool_s8(&ctx, &params, &from, first, &filter, &to, output);
    } else {
        arm_max_pool_s8(&ctx, &params, &from, first, &filter, &to, output);
    }
    end();
}

static void extremes(const char *name, const cmsis_nn_dims *b, int larger)
{
    const cmsis_nn_dims a = {1, 8, 8, 16};
    begin(name, 1);
    if (larger) {
        arm_maximum_s8(&ctx, first, &a, second, b, output, &a);
    } else {
        arm_minimum_s8(&ctx, first, &a, second, b, output, &a);
    }
    end();
}

static void normalize(const char *name, int32_t rows, int32_t values)
{
    begin(name, 1);
    arm_softmax_s8(first, rows, values, 1077952640, 22, -240, output);
    end();
}

static void transpose(const char *name, int32_t n, int32_t h, int32_t w, int32_t c, const uint32_t *order)
{
    const int32_t sizes[4] = {n, h, w, c};
    const cmsis_nn_dims from = {n, h, w, c};
    const cmsis_nn_dims to = {sizes[order[0]], sizes[order[1]], sizes[order[2]], sizes[order[3]]};
    const cmsis_nn_transpose_params params = {4, order};
    begin(name, 1);
    arm_transpose_s8(first, output, &from, &to, &params);
    end();
}

static void elementwise(void)
{
    prepare(1);
    const int32_t out = MCUGEN_MULTIPLIER(0x52345680, -7);
    begin("elementwise_add, 1000 values", 1);
    arm_elementwise_add_s8(first, second, 5, 1288490240, 0, -7, 1073741824, -1, 20, output, -3, 1518500352, -19, -128,
                           127, 1000);
    end();
    begin("elementwise_add, 50 values", 1);
    arm_elementwise_add_s8(first, second, 5, 1288490240, 0, -7, 1073741824, -1, 20, output, -3, 1518500352, -19, -128,
                           127, 50);
    end();
    begin("elementwise_mul, 50 values", 1);
    arm_elementwise_mul_s8(first, second, 5, -7, output, -3, out, -7, -128, 127, 50);
    end();
    begin("elementwise_mul, 1000 values", 1);
    arm_elementwise_mul_s8(first, second, 5, -7, output, -3, out, -7, -128, 127, 1000);
    end();
}

static void moves(void)
{
    static const uint32_t to_front[] = {0, 3, 1, 2}, to_back[] = {0, 2, 3, 1}, swapped[] = {0, 2, 1, 3};
    const cmsis_nn_dims image = {1, 8, 8, 16}, around = {0, 1, 1, 0}, channels = {0, 0, 0, 4}, none = {0, 0, 0, 0};
    const cmsis_nn_dims line = {1, 1, 32, 8}, beside = {0, 0, 2, 0}, every = {1, 1, 1, 1};
    begin("concatenation_x, 16 of 32 channels", 1);
    arm_concatenation_s8_x(first, 16, 8, 8, 1, output, 32, 16);
    end();
    begin("concatenation_x, 3 of 5 channels", 1);
    arm_concatenation_s8_x(first, 3, 8, 8, 1, output, 5, 2);
    end();
    begin("concatenation_y", 1);
    arm_concatenation_s8_y(first, 16, 8, 8, 1, output, 20, 4);
    end();
    begin("concatenation_z", 1);
    arm_concatenation_s8_z(first, 16, 8, 8, 1, output, 20, 4);
    end();
    begin("concatenation_w", 1);
    arm_concatenation_s8_w(first, 16, 8, 8, 1, output, 1);
    end();
    begin("pad, rows and columns", 1);
    arm_pad_s8(first, output, -5, &image, &around, &around);
    end();
    begin("pad, channels", 1);
    arm_pad_s8(first, output, -5, &image, &none, &channels);
    end();
    begin("pad, columns of one row", 1);
    arm_pad_s8(first, output, -5, &line, &beside, &beside);
    end();
    begin("pad, all axes", 1);
    arm_pad_s8(first, output, -5, &image, &every, &every);
    end();
    transpose("transpose, 3 channels first", 1, 12, 12, 3, to_front);
    transpose("transpose, 3 channels last", 1, 3, 12, 12, to_back);
    transpose("transpose, channels first", 1, 8, 8, 16, to_front);
    transpose("transpose, channels last", 1, 16, 8, 8, to_back);
    transpose("transpose, rows and columns", 1, 8, 12, 16, swapped);
}

int main(void)
{
    static const cmsis_nn_dims same = {1, 8, 8, 16}, channel = {1, 1, 1, 16}, scalar = {1, 1, 1, 1};
    board_init();
    board_counter_start();
    begin("", 1);
    end();
    for (uint32_t i = 0; i < sizeof convolutions / sizeof *convolutions; i++) {
        convolve(&convolutions[i]);
    }
    for (uint32_t i = 0; i < sizeof transposed / sizeof *transposed; i++) {
        convolve_transposed(&transposed[i]);
    }
    connect("fully_connected, 64 to 10", 1, 64, 10, 0);
    connect("fully_connected, 250 to 32", 1, 250, 32, 0);
    connect("fully_connected, 4 vectors, 40 to 24", 4, 40, 24, 0);
    connect("fully_connected, 784 to 64", 1, 784, 64, 0);
    connect("fully_connected, 128 to 12", 1, 128, 12, 0);
    connect("fully_connected, 33 to 10", 1, 33, 10, 0);
    connect("fully_connected, 100 to 2", 1, 100, 2, 0);
    connect("fully_connected, 32 to 1", 1, 32, 1, 0);
    connect("fully_connected_per_channel, 128 to 16", 1, 128, 16, 1);
    connect("fully_connected_per_channel, 256 to 10", 1, 256, 10, 1);
    multiply_matrices("batch_matmul, 8x32 by 32x8, 2 heads", 2, 8, 8, 32, 7);
    multiply_matrices("batch_matmul, 16x13 by 13x9, no offset", 1, 16, 9, 13, 0);
    multiply_matrices("batch_matmul, 16x16 by 16x16, 4 heads", 4, 16, 16, 16, 7);
    multiply_matrices("batch_matmul, 1x64 by 64x20", 1, 1, 20, 64, 0);
    pool("max_pool 2x2", 0, 8, 16, 2, 2, 0);
    pool("max_pool 3x3, padding", 0, 8, 20, 3, 2, 1);
    pool("max_pool 3x3, stride 1", 0, 8, 32, 3, 1, 1);
    pool("max_pool 2x2, 3 channels", 0, 8, 3, 2, 2, 0);
    pool("max_pool 4x4", 0, 4, 64, 4, 4, 0);
    pool("avgpool 2x2", 1, 8, 16, 2, 2, 0);
    pool("avgpool 3x3, padding", 1, 8, 20, 3, 2, 1);
    pool("avgpool 8x8", 1, 8, 64, 8, 8, 0);
    pool("avgpool 7x7", 1, 7, 24, 7, 7, 0);
    pool("avgpool 4x4", 1, 4, 128, 4, 4, 0);
    pool("avgpool 3x3, stride 1", 1, 8, 16, 3, 1, 1);
    elementwise();
    extremes("minimum, same shape", &same, 0);
    extremes("maximum, same shape", &same, 1);
    extremes("maximum, one a channel", &channel, 1);
    extremes("maximum, one value", &scalar, 1);
    normalize("softmax, 2 values", 1, 2);
    normalize("softmax, 10 values", 1, 10);
    normalize("softmax, 12 values", 1, 12);
    normalize("softmax, 100 values", 1, 100);
    normalize("softmax, 8 rows of 64 values", 8, 64);
    moves();
    return 0;
}
