/* SPDX-License-Identifier: Apache-2.0 */
/* Order: output pixel by output pixel, in raster order. */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

/* The taps of one output pixel that lie inside the input, with the steps between them in bytes. */
typedef struct
{
    int32_t rows;
    int32_t columns;
    int32_t input_row_step;
    int32_t input_column_step;
    int32_t filter_row_step;
    int32_t filter_column_step;
} window;

#if defined(MCUGEN_REQUANT_MVE) && defined(MCUGEN_NN_MVE_ASM)
#define LANES_ASM 1

/* Blocks of eight channels of one pixel. convolve_blocks finds the members by number, and moves what it must. */
typedef struct
{
    const int8_t *input;        /*  0 */
    const int8_t *filter;       /*  4 */
    int32_t input_column_step;  /*  8 */
    int32_t filter_column_step; /* 12 */
    int32_t input_row_gap;      /* 16: from a row's end to the next row */
    int32_t filter_row_gap;     /* 20 */
    int32_t rows;               /* 24: at least one */
    int32_t columns;            /* 28 */
    int32_t input_offset;       /* 32 */
    int32_t bias_bytes;         /* 36: to the next eight */
    const int32_t *bias;        /* 40 */
    const int32_t *multiplier;  /* 44 */
    int32_t output_offset;      /* 48 */
    int32_t low;                /* 52 */
    int32_t high;               /* 56 */
    int8_t *output;             /* 60 */
    int32_t blocks;             /* 64: at least one */
    const int32_t *first_bias;  /* where bias begins */
} pixel_blocks;
#endif

/* What all pixels share. */
typedef struct
{
    const cmsis_nn_dw_conv_params *params;
    const int32_t *multiplier;
    const int32_t *shift;
    const int32_t *bias;
    int32_t input_ch;
#if defined(LANES_ASM)
    pixel_blocks *blocks; /* NULL: there are fewer than eight channels */
#endif
} layer;

#if defined(__GNUC__) && !defined(MCUGEN_NN_MVE) && (defined(MCUGEN_NN_DSP) || defined(MCUGEN_MAINLINE))
#define WINDOW_ASM 1

/* All taps of four channels that read four inputs. The function below finds the members by number. */
typedef struct
{
    mcugen_acc4 sums;           /*  0 */
    const int8_t *input;        /* 16 */
    const int8_t *filter;       /* 20 */
    int32_t input_step;         /* 24: to the next column */
    int32_t filter_step;        /* 28 */
    uint32_t input_offset;      /* 32: with SMLAD in both halves */
    int32_t columns;            /* 36: at least one */
    int32_t rows;               /* 40: at least one */
    int32_t input_row_step;     /* 44: from the start of a row of three columns, else from its end */
    int32_t filter_row_step;    /* 48 */
} window_sums;

/* Sums in r4 to r7; the tap's inputs and weights at r0, r1; offset r8; r9 to r12 and lr for the values. */
#if defined(MCUGEN_NN_DSP)
#define TAP(input, filter)                                                                                       \
    "ldr r10, [r0" input "\n"                                                                                    \
    "ldr r11, [r1" filter "\n"                                                                                   \
    "sxtab16 r12, r8, r10\n"                                                                                     \
    "sxtab16 r10, r8, r10, ror #8\n"                                                                             \
    "sxtb16 lr, r11\n"                                                                                           \
    "sxtb16 r11, r11, ror #8\n"                                                                                  \
    "smlabb r4, r12, lr, r4\n"                                                                                   \
    "smlatt r6, r12, lr, r6\n"                                                                                   \
    "smlabb r5, r10, r11, r5\n"                                                                                  \
    "smlatt r7, r10, r11, r7\n"
#define THREE_TAPS TAP("]", "]") TAP(", r2]", ", r3]") TAP(", r2, lsl #1]", ", r3, lsl #1]")
#define NEXT_TAP "add r0, r2\nadd r1, r3\n"
#else
#define CHANNEL(number, sum)                                                                                     \
    "ldrsb r10, [r0, #" number "]\n"                                                                             \
    "ldrsb r11, [r1, #" number "]\n"                                                                             \
    "add r10, r8\n"                                                                                              \
    "mla " sum ", r10, r11, " sum "\n"
#define TAP(input, filter) CHANNEL("0", "r4") CHANNEL("1", "r5") CHANNEL("2", "r6") CHANNEL("3", "r7")
#define NEXT_TAP "add r0, r2\nadd r1, r3\n"
#define THREE_TAPS TAP("]", "]") NEXT_TAP TAP("]", "]") NEXT_TAP TAP("]", "]") NEXT_TAP
#endif

__attribute__((naked, noinline)) static void add_window(window_sums *sums __attribute__((unused)))
{
    __asm__(".syntax unified\n"
            "push {r0, r4-r11, lr}\n"
            "ldrd r10, r9, [r0, #36]\n"
            "ldrd r2, r3, [r0, #24]\n"
            "ldr r8, [r0, #32]\n"
            "ldm r0, {r4-r7}\n"
            "ldrd r0, r1, [r0, #16]\n"
            "1:\n"
            "cmp r10, #3\n"
            "bne 3f\n" THREE_TAPS "2:\n"
            "ldr r12, [sp]\n"
            "ldrd r10, r11, [r12, #44]\n"
            "add r0, r10\n"
            "add r1, r11\n"
            "subs r9, #1\n"
            "ldr r10, [r12, #36]\n"
            "bne 1b\n"
            "stm r12, {r4-r7}\n"
            "pop {r0, r4-r11, pc}\n"
            "3:\n"
            "push {r9, r10}\n"
            "mov r9, r10\n"
            "4:\n" TAP("]", "]") NEXT_TAP
            "subs r9, #1\n"
            "bne 4b\n"
            "pop {r9, r10}\n"
            "b 2b\n");
}

/* The window of a pixel, ready for its channels. */
MCUGEN_INLINE void prepare(window_sums *sums, const window *taps, int32_t input_offset)
{
#if defined(MCUGEN_NN_DSP)
    const int from_start = taps->columns == 3;
    const uint32_t offset = ((uint32_t)input_offset << 16) | ((uint32_t)input_offset & 0xFFFFu);
#else
    const int from_start = 0;
    const uint32_t offset = (uint32_t)input_offset;
#endif
    const int32_t passed = from_start ? 0 : taps->columns;
    sums->input_step = taps->input_column_step;
    sums->filter_step = taps->filter_column_step;
    sums->input_offset = offset;
    sums->columns = taps->columns;
    sums->rows = taps->rows;
    sums->input_row_step = taps->input_row_step - passed * taps->input_column_step;
    sums->filter_row_step = taps->filter_row_step - passed * taps->filter_column_step;
}
#endif

/* Output channels ch to ch + 3 of one pixel. They read adjacent input channels (input_step 1) or the
 * same one (0). */
MCUGEN_INLINE void convolve_block(const layer *conv, const window *taps, int32_t ch, int32_t input_step,
                                  const int8_t *input, const int8_t *filter, int8_t *output)
{
    const int32_t input_offset = conv->params->input_offset;
#if defined(MCUGEN_NN_MVE)
    int32x4_t sums = conv->bias != NULL ? vldrwq_s32(conv->bias + ch) : vdupq_n_s32(0);
#else
    mcugen_acc4 acc = mcugen_block_bias(conv->bias != NULL ? conv->bias + ch : NULL, MCUGEN_NN_BLOCK - 1);
#endif

    for (int32_t row = 0; row < taps->rows; ++row)
    {
        const int8_t *values = input + row * taps->input_row_step;
        const int8_t *weights = filter + ch + row * taps->filter_row_step;
        for (int32_t left = taps->columns; left > 0; --left)
        {
#if defined(MCUGEN_NN_MVE)
            const int32x4_t x = input_step != 0 ? vldrbq_s32(values) : vdupq_n_s32(*values);
            sums = vaddq_s32(sums, vmulq_s32(vaddq_n_s32(x, input_offset), vldrbq_s32(weights)));
#else
            acc.a += (values[0] + input_offset) * weights[0];
            acc.b += (values[input_step] + input_offset) * weights[1];
            acc.c += (values[2 * input_step] + input_offset) * weights[2];
            acc.d += (values[3 * input_step] + input_offset) * weights[3];
#endif
            values += taps->input_column_step;
            weights += taps->filter_column_step;
        }
    }
#if defined(MCUGEN_NN_MVE)
    const mcugen_acc4 acc = {vgetq_lane_s32(sums, 0), vgetq_lane_s32(sums, 1), vgetq_lane_s32(sums, 2),
                             vgetq_lane_s32(sums, 3)};
#endif
    mcugen_block_store(output + ch, &acc, conv->multiplier + ch, conv->shift + ch, 1,
                       conv->params->output_offset, &conv->params->activation);
}

/* The sums of fewer than four outputs. */
MCUGEN_INLINE mcugen_acc4 few_sums(const window *taps, int32_t count, int32_t input_step, int32_t input_offset,
                                   const int32_t *bias, const int8_t *input, const int8_t *filter)
{
    mcugen_acc4 sum = mcugen_block_bias(bias, count - 1);
    for (int32_t row = taps->rows; row > 0; --row)
    {
        const int8_t *values = input;
        const int8_t *weights = filter;
        for (int32_t left = taps->columns; left > 0; --left)
        {
            sum.a += (values[0] + input_offset) * weights[0];
            sum.b += count > 1 ? (values[input_step] + input_offset) * weights[1] : 0;
            sum.c += count > 2 ? (values[2 * input_step] + input_offset) * weights[2] : 0;
            values += taps->input_column_step;
            weights += taps->filter_column_step;
        }
        input += taps->input_row_step;
        filter += taps->filter_row_step;
    }
    return sum;
}

/* Fewer than four output channels from ch on, that read adjacent input channels, or the same one. */
MCUGEN_SHARED static void convolve_rest(const layer *conv, const window *taps, int32_t ch, int32_t count,
                                        const int8_t *input, const int8_t *filter, int8_t *output)
{
    const int32_t offset = conv->params->input_offset;
    const int32_t *const bias = conv->bias != NULL ? conv->bias + ch : NULL;
#if defined(MCUGEN_REQUANT_MVE)
    const int32_t step = 0; /* the others are vectors */
#else
    const int32_t step = conv->params->ch_mult == 1 ? 1 : 0;
#endif
    filter += ch;
    const mcugen_acc4 acc = count == 1   ? few_sums(taps, 1, step, offset, bias, input, filter)
                            : count == 2 ? few_sums(taps, 2, step, offset, bias, input, filter)
                                         : few_sums(taps, 3, step, offset, bias, input, filter);
    mcugen_rest_store(output + ch, &acc, count - 1, conv->multiplier + ch, conv->shift + ch, 1,
                      conv->params->output_offset, &conv->params->activation);
}

#if defined(MCUGEN_REQUANT_MVE)
/* Entries ch to ch + lanes - 1 of a table, those of even lanes and those of odd ones. */
MCUGEN_INLINE int32x4x2_t load_lanes(const int32_t *table, int32_t ch, int32_t lanes, int whole)
{
    if (whole)
    {
        return vld2q_s32(table + ch);
    }
    /* The lanes beyond are not stored: whatever they load, it is an entry. */
    const uint32x4_t last = vdupq_n_u32((uint32_t)lanes - 1u);
    const uint32x4_t even = vidupq_n_u32(0, 2);
    const int32x4x2_t loaded = {
        {vldrwq_gather_shifted_offset_s32(table + ch, vminq_u32(even, last)),
         vldrwq_gather_shifted_offset_s32(table + ch, vminq_u32(vaddq_n_u32(even, 1), last))}};
    return loaded;
}

/* Output channels ch to ch + lanes - 1 of one pixel, eight (whole) or fewer, that read adjacent input channels. Sums in
 * two vectors: even lanes and odd ones. */
MCUGEN_INLINE void convolve_lanes(const layer *conv, const window *taps, int32_t ch, int32_t lanes, int whole,
                                  const int8_t *input, const int8_t *filter, int8_t *output)
{
    const cmsis_nn_dw_conv_params *const params = conv->params;
    const int16_t input_offset = (int16_t)params->input_offset;
    const mve_pred16_t any = vctp16q((uint32_t)lanes);
    int32x4x2_t sums;
    const int8_t *values = input;
    const int8_t *weights = filter + ch;
    const int32_t row_step = taps->input_row_step - taps->columns * taps->input_column_step;
    const int32_t weight_row_step = taps->filter_row_step - taps->columns * taps->filter_column_step;

    if (conv->bias != NULL)
    {
        sums = load_lanes(conv->bias, ch, lanes, whole);
    }
    else
    {
        sums.val[0] = sums.val[1] = vdupq_n_s32(0);
    }
    for (int32_t row = taps->rows; row > 0; --row)
    {
        for (int32_t left = taps->columns; left > 0; --left)
        {
            const int16x8_t read = whole ? vldrbq_s16(values) : vldrbq_z_s16(values, any);
            const int16x8_t weight = whole ? vldrbq_s16(weights) : vldrbq_z_s16(weights, any);
            const int16x8_t value = vaddq_n_s16(read, input_offset);
            sums.val[0] = vaddq_s32(sums.val[0], vmullbq_int_s16(value, weight));
            sums.val[1] = vaddq_s32(sums.val[1], vmulltq_int_s16(value, weight));
            values += taps->input_column_step;
            weights += taps->filter_column_step;
        }
        values += row_step;
        weights += weight_row_step;
    }
    const int32x4x2_t multiplier = load_lanes(conv->multiplier, ch, lanes, whole);
    /* Saturation to 16 bits comes before the zero point, and changes nothing beyond 8 bits. */
    int16x8_t result = vqmovnbq_s32(vdupq_n_s16(0), mcugen_requant_mve(sums.val[0], multiplier.val[0]));
    result = vqmovntq_s32(result, mcugen_requant_mve(sums.val[1], multiplier.val[1]));
    result = vqaddq_n_s16(result, (int16_t)params->output_offset);
    result = vmaxq_s16(result, vdupq_n_s16((int16_t)params->activation.min));
    result = vminq_s16(result, vdupq_n_s16((int16_t)params->activation.max));
    if (whole)
    {
        vstrbq_s16(output + ch, result);
    }
    else
    {
        vstrbq_p_s16(output + ch, result, any);
    }
}
#endif

#if defined(LANES_ASM)
/* As convolve_lanes of eight. */
__attribute__((naked, noinline)) static void convolve_blocks(pixel_blocks *blocks __attribute__((unused)))
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "vpush {d8, d9}\n"
            "mov r12, r0\n"
            "ldrd r3, r4, [r0, #8]\n"
            "ldrd r5, r6, [r0, #16]\n"
            "ldrd r8, r9, [r0, #28]\n"
            "ldr r11, [r0, #64]\n"
            "1:\n"
            "ldrd r1, r2, [r12]\n"
            "ldrd r7, r10, [r12, #36]\n"
            "vld20.32 {q0, q1}, [r10]\n"
            "vld21.32 {q0, q1}, [r10]\n"
            "add r10, r7\n"
            "str r10, [r12, #40]\n"
            "ldr r7, [r12, #24]\n"
            "2:\n"
            "wls lr, r8, 4f\n"
            "3:\n"
            "vldrb.s16 q2, [r1]\n"
            "vldrb.s16 q3, [r2]\n"
            "vadd.i16 q2, q2, r9\n"
            "add r1, r3\n"
            "vmullb.s16 q4, q2, q3\n"
            "add r2, r4\n"
            "vadd.i32 q0, q0, q4\n"
            "vmullt.s16 q2, q2, q3\n"
            "vadd.i32 q1, q1, q2\n"
            "le lr, 3b\n"
            "4:\n"
            "add r1, r5\n"
            "add r2, r6\n"
            "subs r7, #1\n"
            "bne 2b\n"
            "ldrd r10, r7, [r12, #44]\n"
            "vcvt.f32.s32 q0, q0\n"
            "vcvt.f32.s32 q1, q1\n"
            "vld20.32 {q2, q3}, [r10]\n"
            "vld21.32 {q2, q3}, [r10]!\n"
            "str r10, [r12, #44]\n"
            "vmul.f32 q0, q0, q2\n"
            "vmul.f32 q1, q1, q3\n"
            "ldrd r1, r2, [r12, #52]\n"
            "vcvtn.s32.f32 q0, q0\n"
            "vcvtn.s32.f32 q1, q1\n"
            "vqmovnb.s32 q2, q0\n"
            "vqmovnt.s32 q2, q1\n"
            "vdup.16 q0, r1\n"
            "vqadd.s16 q2, q2, r7\n"
            "vdup.16 q1, r2\n"
            "ldr r7, [r12, #60]\n"
            "vmax.s16 q2, q2, q0\n"
            "vmin.s16 q2, q2, q1\n"
            "ldrd r1, r2, [r12]\n"
            "vstrb.16 q2, [r7], #8\n"
            "add r1, #8\n"
            "add r2, #8\n"
            "str r7, [r12, #60]\n"
            "strd r1, r2, [r12]\n"
            "subs r11, #1\n"
            "bne 1b\n"
            "vpop {d8, d9}\n"
            "pop {r4-r11, pc}\n");
}
#endif

/* One output channel per input channel: adjacent channels together. */
MCUGEN_SHARED static void convolve_pixel(const layer *conv, const window *taps, const int8_t *input,
                                         const int8_t *filter, int8_t *output)
{
    int32_t ch = 0;
#if defined(MCUGEN_REQUANT_MVE)
#if defined(LANES_ASM)
    pixel_blocks *const blocks = conv->blocks;
    if (blocks != NULL)
    {
        const int some = taps->rows > 0;
        blocks->input = input;
        blocks->filter = filter;
        blocks->input_row_gap = taps->input_row_step - taps->columns * taps->input_column_step;
        blocks->filter_row_gap = taps->filter_row_step - taps->columns * taps->filter_column_step;
        blocks->rows = some ? taps->rows : 1;
        blocks->columns = some ? taps->columns : 0;
        blocks->bias = blocks->first_bias;
        blocks->multiplier = conv->multiplier;
        blocks->output = output;
        convolve_blocks(blocks);
        ch = conv->input_ch & ~7;
    }
#else
    for (; ch + 8 <= conv->input_ch; ch += 8)
    {
        convolve_lanes(conv, taps, ch, 8, 1, input + ch, filter, output);
    }
#endif
    if (ch < conv->input_ch)
    {
        convolve_lanes(conv, taps, ch, conv->input_ch - ch, 0, input + ch, filter, output);
    }
#else
#if defined(WINDOW_ASM)
    const int32_t blocks_end = taps->rows > 0 ? conv->input_ch - MCUGEN_NN_BLOCK : -1;
    const int32_t *const multiplier = conv->multiplier;
    const int32_t *const shift = conv->shift;
    const int32_t *const bias = conv->bias;
    const cmsis_nn_activation *const clamp = &conv->params->activation;
    const int narrow = mcugen_is_narrow(clamp);
    const int32_t offset = conv->params->output_offset;
    window_sums sums;
    prepare(&sums, taps, conv->params->input_offset);
    for (; ch <= blocks_end; ch += MCUGEN_NN_BLOCK)
    {
        sums.sums = mcugen_block_bias(bias != NULL ? bias + ch : NULL, MCUGEN_NN_BLOCK - 1);
        sums.input = input + ch;
        sums.filter = filter + ch;
        add_window(&sums);
        mcugen_block_store_as(output + ch, &sums.sums, multiplier + ch, shift + ch, 1, offset,
                              clamp, narrow);
    }
#endif
    for (; ch + MCUGEN_NN_BLOCK <= conv->input_ch; ch += MCUGEN_NN_BLOCK)
    {
        convolve_block(conv, taps, ch, 1, input + ch, filter, output);
    }
    if (ch < conv->input_ch)
    {
        convolve_rest(conv, taps, ch, conv->input_ch - ch, input + ch, filter, output);
    }
#endif
}

/* Several output channels per input channel: those of one input channel together. */
MCUGEN_SHARED static void convolve_pixel_multiplied(const layer *conv, const window *taps, const int8_t *input,
                                                    const int8_t *filter, int8_t *output)
{
    int32_t ch = 0;
    for (int32_t input_ch = 0; input_ch < conv->input_ch; ++input_ch)
    {
        const int32_t end = ch + conv->params->ch_mult;
        for (; ch + MCUGEN_NN_BLOCK <= end; ch += MCUGEN_NN_BLOCK)
        {
            convolve_block(conv, taps, ch, 0, input + input_ch, filter, output);
        }
        if (ch < end)
        {
            convolve_rest(conv, taps, ch, end - ch, input + input_ch, filter, output);
            ch = end;
        }
    }
}

arm_cmsis_nn_status arm_depthwise_conv_wrapper_s8(const cmsis_nn_context *ctx,
                                                  const cmsis_nn_dw_conv_params *dw_conv_params,
                                                  const cmsis_nn_per_channel_quant_params *quant_params,
                                                  const cmsis_nn_dims *input_dims,
                                                  const int8_t *input_data,
                                                  const cmsis_nn_dims *filter_dims,
                                                  const int8_t *filter_data,
                                                  const cmsis_nn_dims *bias_dims,
                                                  const int32_t *bias_data,
                                                  const cmsis_nn_dims *output_dims,
                                                  int8_t *output_data)
{
    (void)ctx;
    (void)bias_dims;

    if (output_dims->c != input_dims->c * dw_conv_params->ch_mult)
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }

    const int32_t input_row = input_dims->w * input_dims->c;
    const cmsis_nn_tile dilation = dw_conv_params->dilation;
    layer conv = {.params = dw_conv_params,
                  .multiplier = quant_params->multiplier,
                  .shift = quant_params->shift,
                  .bias = bias_data,
                  .input_ch = input_dims->c};
#if defined(LANES_ASM)
    static const int32_t none[8] = {0};
    pixel_blocks blocks = {.input_column_step = dilation.w * input_dims->c,
                           .filter_column_step = output_dims->c,
                           .input_offset = dw_conv_params->input_offset,
                           .bias_bytes = bias_data != NULL ? 32 : 0,
                           .output_offset = dw_conv_params->output_offset,
                           .low = dw_conv_params->activation.min,
                           .high = dw_conv_params->activation.max,
                           .blocks = input_dims->c / 8};
    conv.blocks = dw_conv_params->ch_mult == 1 && input_dims->c >= 8 ? &blocks : NULL;
    blocks.first_bias = bias_data != NULL ? bias_data : none;
#endif
    window taps = {.input_row_step = dilation.h * input_row,
                   .input_column_step = dilation.w * input_dims->c,
                   .filter_row_step = filter_dims->w * output_dims->c,
                   .filter_column_step = output_dims->c};

    for (int32_t batch = 0; batch < input_dims->n; ++batch)
    {
        for (int32_t y = 0; y < output_dims->h; ++y)
        {
            const int32_t origin_y = y * dw_conv_params->stride.h - dw_conv_params->padding.h;
            const mcugen_taps rows = mcugen_valid_taps(origin_y, input_dims->h, filter_dims->h, dilation.h);
            for (int32_t x = 0; x < output_dims->w; ++x)
            {
                const int32_t origin_x = x * dw_conv_params->stride.w - dw_conv_params->padding.w;
                const mcugen_taps columns = mcugen_valid_taps(origin_x, input_dims->w, filter_dims->w, dilation.w);
                const int32_t width = columns.end - columns.begin;
                taps.rows = width > 0 ? rows.end - rows.begin : 0;
                taps.columns = width;
                const int32_t first_row = origin_y + rows.begin * dilation.h;
                const int32_t first_column = origin_x + columns.begin * dilation.w;
                const int8_t *input =
                    input_data + (taps.rows > 0 ? first_row * input_row + first_column * input_dims->c : 0);
                const int8_t *filter =
                    filter_data + (rows.begin * filter_dims->w + columns.begin) * output_dims->c;

#if !defined(MCUGEN_REQUANT_MVE)
                if (dw_conv_params->ch_mult == 1 && input_dims->c < MCUGEN_NN_BLOCK)
                {
                    convolve_rest(&conv, &taps, 0, input_dims->c, input, filter, output_data);
                }
                else
#endif
                if (dw_conv_params->ch_mult == 1)
                {
                    convolve_pixel(&conv, &taps, input, filter, output_data);
                }
                else
                {
                    convolve_pixel_multiplied(&conv, &taps, input, filter, output_data);
                }
                output_data += output_dims->c;
            }
        }
        input_data += input_dims->h * input_row;
    }
    return ARM_CMSIS_NN_SUCCESS;
}
