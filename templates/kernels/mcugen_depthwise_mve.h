/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution, one output per input channel, for Helium: 16 lanes at a time, a lane being a channel. Where a
 * pixel has few channels and windows move on by one pixel, as many pixels as fit share the lanes.
 *
 * Products of bytes are added in pairs of taps in 16 bits, then in 32. Two of them fit unless both weights are -128: if
 * the layer has such a weight, each tap is followed by one of zeros, and `unroll` is 2; else it is 1.
 *
 * weights int8 [input_c / 16, taps, 16]: taps row by row. Missing channels are zeros; bias and multiplier have entries
 * for them. If pixels share the lanes, so do the weights; the other tables have each channel once.
 *
 * Order: as many pixels at a time as share the lanes, from any pixel on.
 * Scratch: a window copy if the layer has borders. */
#ifndef MCUGEN_DEPTHWISE_MVE_H
#define MCUGEN_DEPTHWISE_MVE_H

#include "mcugen_mve.h"

#define MCUGEN_DEPTHWISE_TAPS 64 /* the most, those of zeros included: specialised.py knows this limit */

#if defined(MCUGEN_HELIUM)

/* Pixels in a line. The core finds the members by number. */
typedef struct {
    const int8_t *input;   /*  0: of the first tap; the core moves input and output */
    int32_t input_step;    /*  4: to the next pixel, in bytes */
    int8_t *output;        /*  8 */
    int32_t output_step;   /* 12 */
    int32_t pixels;        /* 16 */
    int32_t lanes;         /* 20: of a pixel: its channels, or those of all that share the lanes */
    const int8_t *weights; /* 24 */
    const int32_t *steps;  /* 28: from each tap of the input to the next */
    int32_t odd;           /* 32: 1 = the first tap stands alone */
    int32_t pairs;         /* 36: of taps */
    const int32_t *bias;   /* 40 */
    const int32_t *scales; /* 44 */
    int32_t offset;        /* 48 */
    int32_t low;           /* 52 */
    int32_t high;          /* 56 */
#if !defined(MCUGEN_REQUANT_MVE)
    mcugen_mve_shifts shifts; /* 60 */
#endif
} mcugen_depthwise_line;

/* Products are in q6 (even lanes) and q4 (odd lanes), sums of lanes 0, 4, 8, 12 in q0, of 1, 5, 9, 13 in q1, ... */
#define MCUGEN_DEPTHWISE_ADD                                                                                           \
    "vmovlb.s16 q5, q6\n\t"                                                                                            \
    "vmovlt.s16 q6, q6\n\t"                                                                                            \
    "vadd.i32 q0, q0, q5\n\t"                                                                                          \
    "vmovlb.s16 q5, q4\n\t"                                                                                            \
    "vadd.i32 q2, q2, q6\n\t"                                                                                          \
    "vmovlt.s16 q4, q4\n\t"                                                                                            \
    "vadd.i32 q1, q1, q5\n\t"                                                                                          \
    "vadd.i32 q3, q3, q4\n\t"

#if defined(MCUGEN_REQUANT_MVE)
#define MCUGEN_DEPTHWISE_START
#define MCUGEN_DEPTHWISE_EXACT
#define MCUGEN_DEPTHWISE_OUTPUT(STORE)                                                                                 \
    "vld40.32 {q4, q5, q6, q7}, [r10]\n\t"                                                                             \
    "vcvt.f32.s32 q0, q0\n\t"                                                                                          \
    "vld41.32 {q4, q5, q6, q7}, [r10]\n\t"                                                                             \
    "vcvt.f32.s32 q1, q1\n\t"                                                                                          \
    "vld42.32 {q4, q5, q6, q7}, [r10]\n\t"                                                                             \
    "vcvt.f32.s32 q2, q2\n\t"                                                                                          \
    "vld43.32 {q4, q5, q6, q7}, [r10]!\n\t"                                                                            \
    "vcvt.f32.s32 q3, q3\n\t"                                                                                          \
    "vmul.f32 q0, q0, q4\n\t"                                                                                          \
    "vmul.f32 q1, q1, q5\n\t"                                                                                          \
    "vmul.f32 q2, q2, q6\n\t"                                                                                          \
    "vmul.f32 q3, q3, q7\n\t"                                                                                          \
    "vcvtn.s32.f32 q0, q0\n\t"                                                                                         \
    "vcvtn.s32.f32 q1, q1\n\t"                                                                                         \
    "vcvtn.s32.f32 q2, q2\n\t"                                                                                         \
    "vcvtn.s32.f32 q3, q3\n\t"                                                                                         \
    "vqmovnb.s32 q0, q0\n\t"                                                                                           \
    "vqmovnb.s32 q1, q1\n\t"                                                                                           \
    "vqmovnt.s32 q0, q2\n\t"                                                                                           \
    "vqmovnt.s32 q1, q3\n\t"                                                                                           \
    "ldrd r5, r6, [r0, #52]\n\t"                                                                                       \
    "vqadd.s16 q0, q0, r12\n\t"                                                                                        \
    "vqadd.s16 q1, q1, r12\n\t"                                                                                        \
    "vdup.8 q4, r5\n\t"                                                                                                \
    "vqmovnb.s16 q0, q0\n\t"                                                                                           \
    "vdup.8 q5, r6\n\t"                                                                                                \
    "vqmovnt.s16 q0, q1\n\t"                                                                                           \
    "add r1, r1, #16\n\t"                                                                                              \
    "vmax.s8 q0, q0, q4\n\t"                                                                                           \
    "subs r2, r2, #16\n\t"                                                                                             \
    "vmin.s8 q0, q0, q5\n\t" STORE "q0, [r11], #16\n\t"
#else
/* Back to the first shifts. */
#define MCUGEN_DEPTHWISE_START                                                                                         \
    "ldr r5, [r0, #68]\n\t"                                                                                            \
    "str r5, [r0, #60]\n\t"
/* The sums in the order of their channels, then four at a time. r4 = vectors left, r5 = sums, r6 = shifts. */
#define MCUGEN_DEPTHWISE_OUTPUT(STORE)                                                                                 \
    "sub sp, sp, #92\n\t" /* to a multiple of 8: sums, and room for the call */                                        \
    "vst40.32 {q0, q1, q2, q3}, [sp]\n\t"                                                                              \
    "vst41.32 {q0, q1, q2, q3}, [sp]\n\t"                                                                              \
    "vst42.32 {q0, q1, q2, q3}, [sp]\n\t"                                                                              \
    "vst43.32 {q0, q1, q2, q3}, [sp]\n\t"                                                                              \
    "ldrd r5, r6, [r0, #52]\n\t"                                                                                       \
    "vdup.32 q6, r5\n\t"                                                                                               \
    "vdup.32 q7, r6\n\t"                                                                                               \
    "mov r4, #4\n\t"                                                                                                   \
    "mov r5, sp\n\t"                                                                                                   \
    "ldr r6, [r0, #60]\n\t"                                                                                            \
                                                                                                                       \
    "6:\n\t"                                                                                                           \
    "vldrw.u32 q0, [r5], #16\n\t"                                                                                      \
    "vldrw.u32 q4, [r10], #16\n\t"                                                                                     \
    "vldrw.u32 q2, [r6]\n\t"                                                                                           \
    MCUGEN_MVE_SHIFTS("r7") MCUGEN_MVE_SCALE_DOWN("q0")                                                                \
    "mov r7, #0\n\t"                                                                                                   \
    MCUGEN_MVE_NEAR("q0", "r7") MCUGEN_MVE_IF_NEAR("r7", "8f")                                                         \
    "vrshr.s32 q0, q0, #16\n\t"                                                                                        \
    "9:\n\t"                                                                                                           \
    "ldr r7, [r0, #64]\n\t"                                                                                            \
    "vadd.i32 q0, q0, r12\n\t"                                                                                         \
    "vmax.s32 q0, q0, q6\n\t"                                                                                          \
    "add r6, r6, r7\n\t"                                                                                               \
    "mov r7, r11\n\t"                                                                                                  \
    "add r11, r11, #4\n\t"                                                                                             \
    "vctp.32 r2\n\t"                                                                                                   \
    "vmin.s32 q0, q0, q7\n\t"                                                                                          \
    "vpst\n\t"                                                                                                         \
    "vstrbt.32 q0, [r7]\n\t"                                                                                           \
    "subs r2, r2, #4\n\t"                                                                                              \
    "ble 7f\n\t"                                                                                                       \
    "subs r4, r4, #1\n\t"                                                                                              \
    "bne 6b\n\t"                                                                                                       \
    "7:\n\t"                                                                                                           \
    "add sp, sp, #92\n\t"                                                                                              \
    "str r6, [r0, #60]\n\t"                                                                                            \
    "add r1, r1, #16\n\t"                                                                                              \
    "cmp r2, #0\n\t"
#define MCUGEN_DEPTHWISE_EXACT                                                                                         \
    "8:\n\t"                                                                                                           \
    "strd r0, r1, [sp, #64]\n\t"                                                                                       \
    "strd r2, r3, [sp, #72]\n\t"                                                                                       \
    "str r12, [sp, #80]\n\t"                                                                                           \
    "ldr r7, [r0, #72]\n\t"                                                                                            \
    "sub r0, r5, #16\n\t"                                                                                              \
    "sub r1, r10, #16\n\t"                                                                                             \
    "mov r2, r6\n\t"                                                                                                   \
    "mov r3, #4\n\t"                                                                                                   \
    "blx r7\n\t"                                                                                                       \
    "vldrw.u32 q0, [r5, #-16]\n\t"                                                                                     \
    "ldrd r0, r1, [sp, #64]\n\t"                                                                                       \
    "ldrd r2, r3, [sp, #72]\n\t"                                                                                       \
    "ldr r12, [sp, #80]\n\t"                                                                                           \
    "b 9b\n\t"
#endif

/* r0 = line, r1 = input of 16 lanes, r2 = lanes left, r3 = weights, r4 = steps, r7 = input of a tap, r8 = pixels, r9 =
 * bias, r10 = scales, r11 = output, r12 = offset. MASK, LOAD and STORE are nothing, vldrb and vstrb, or predicated. */
#define MCUGEN_DEPTHWISE_CORE(MASK, LOAD, STORE)                                                                       \
    __asm__(".syntax unified\n\t"                                                                                      \
            "push {r4-r11, lr}\n\t"                                                                                    \
            "vpush {d8-d15}\n\t"                                                                                       \
            "ldrd r8, r2, [r0, #16]\n\t"                                                                               \
            "ldr r12, [r0, #48]\n"                                                                                     \
                                                                                                                       \
            "1:\n\t" /* a pixel */ MCUGEN_DEPTHWISE_START                                                              \
            "ldrd r9, r10, [r0, #40]\n\t"                                                                              \
            "ldr r1, [r0]\n\t"                                                                                         \
            "ldr r11, [r0, #8]\n\t"                                                                                    \
            "ldr r3, [r0, #24]\n"                                                                                      \
                                                                                                                       \
            "2:\n\t" /* 16 lanes */                                                                                    \
            "vld40.32 {q0, q1, q2, q3}, [r9]\n\t"                                                                      \
            "vld41.32 {q0, q1, q2, q3}, [r9]\n\t"                                                                      \
            "vld42.32 {q0, q1, q2, q3}, [r9]\n\t"                                                                      \
            "vld43.32 {q0, q1, q2, q3}, [r9]!\n\t" MASK                                                                \
            "ldrd r4, r5, [r0, #28]\n\t"                                                                               \
            "mov r7, r1\n\t"                                                                                           \
            "cbz r5, 3f\n\t" LOAD "q4, [r7]\n\t"                                                                       \
            "vldrb.u8 q5, [r3], #16\n\t"                                                                               \
            "ldr r5, [r4], #4\n\t"                                                                                     \
            "vmullb.s8 q6, q4, q5\n\t"                                                                                 \
            "vmullt.s8 q4, q4, q5\n\t"                                                                                 \
            "add r7, r7, r5\n\t" MCUGEN_DEPTHWISE_ADD "\n"                                                             \
            "3:\n\t"                                                                                                   \
            "ldr r6, [r0, #36]\n\t"                                                                                    \
            "wls lr, r6, 5f\n"                                                                                         \
                                                                                                                       \
            "4:\n\t" LOAD "q4, [r7]\n\t"                                                                               \
            "ldrd r5, r6, [r4], #8\n\t"                                                                                \
            "vldrb.u8 q5, [r3], #16\n\t"                                                                               \
            "vmullb.s8 q6, q4, q5\n\t"                                                                                 \
            "add r7, r7, r5\n\t"                                                                                       \
            "vmullt.s8 q4, q4, q5\n\t" LOAD "q5, [r7]\n\t"                                                             \
            "vldrb.u8 q7, [r3]\n\t"                                                                                    \
            "vmullb.s8 q7, q5, q7\n\t"                                                                                 \
            "add r7, r7, r6\n\t"                                                                                       \
            "vadd.i16 q6, q6, q7\n\t"                                                                                  \
            "vldrb.u8 q7, [r3], #16\n\t"                                                                               \
            "vmullt.s8 q5, q5, q7\n\t"                                                                                 \
            "vadd.i16 q4, q4, q5\n\t" MCUGEN_DEPTHWISE_ADD                                                             \
            "le lr, 4b\n"                                                                                              \
                                                                                                                       \
            "5:\n\t"                                                                                                   \
            MCUGEN_DEPTHWISE_OUTPUT(STORE)                                                                             \
            "bgt 2b\n\t"                                                                                               \
                                                                                                                       \
            "ldrd r1, r2, [r0]\n\t"                                                                                    \
            "ldrd r5, r6, [r0, #8]\n\t"                                                                                \
            "add r1, r1, r2\n\t"                                                                                       \
            "add r5, r5, r6\n\t"                                                                                       \
            "str r1, [r0]\n\t"                                                                                         \
            "str r5, [r0, #8]\n\t"                                                                                     \
            "ldr r2, [r0, #20]\n\t"                                                                                    \
            "subs r8, r8, #1\n\t"                                                                                      \
            "bne 1b\n\t"                                                                                               \
            "vpop {d8-d15}\n\t"                                                                                        \
            "pop {r4-r11, pc}\n\t" MCUGEN_DEPTHWISE_EXACT)

MCUGEN_NAKED void mcugen_depthwise_full(mcugen_depthwise_line *line __attribute__((unused)))
{
    MCUGEN_DEPTHWISE_CORE("", "vldrb.u8 ", "vstrb.8 ");
}

MCUGEN_NAKED void mcugen_depthwise_masked(mcugen_depthwise_line *line __attribute__((unused)))
{
    MCUGEN_DEPTHWISE_CORE("vctp.8 r2\n\t", "vpst\n\tvldrbt.u8 ", "vpst\n\tvstrbt.8 ");
}

/* `pixels` times `shared` pixels from the line's input on. */
MCUGEN_ALWAYS_INLINE void mcugen_depthwise_pixels(mcugen_depthwise_line line, int32_t pixels, int32_t shared,
                                                  int32_t channels)
{
    if (pixels == 0) {
        return;
    }
    line.pixels = pixels;
    line.lanes = shared * channels;
    line.input_step *= shared;
    line.output_step *= shared;
    if (line.lanes % 16 == 0) {
        mcugen_depthwise_full(&line);
    } else {
        mcugen_depthwise_masked(&line);
    }
}

/* From each tap of a window to the next, whose rows are row_step apart. */
MCUGEN_ALWAYS_INLINE void mcugen_depthwise_steps(const mcugen_layer *p, int32_t column_step, int32_t row_step,
                                                 int32_t *steps)
{
    for (int32_t i = 0; i < p->filter_h; i++) {
        for (int32_t j = 0; j < p->filter_w; j++) {
            if (p->unroll == 2) {
                *steps++ = 0;
            }
            *steps++ = j + 1 < p->filter_w ? column_step : row_step - (p->filter_w - 1) * column_step;
        }
    }
    steps[-1] = 0;
}
#endif

MCUGEN_ALWAYS_INLINE void mcugen_depthwise_mve(const cmsis_nn_context *scratch,
                                               const mcugen_layer *p,
                                               const mcugen_rows *r,
                                               const int8_t *input,
                                               const int8_t *weights,
                                               const int32_t *bias,
                                               const int32_t *multiplier,
                                               int8_t *output)
{
    const int32_t input_row = p->input_w * p->input_c, taps = p->filter_h * p->filter_w * p->unroll;
    int8_t *const copy = scratch->buf;
#if defined(MCUGEN_HELIUM)
    const int32_t shared = p->stride_w == 1 && p->input_c < 16 ? 16 / p->input_c : 1;
    int32_t of_input[MCUGEN_DEPTHWISE_TAPS], of_copy[MCUGEN_DEPTHWISE_TAPS];
    int32_t shared_bias[16], shared_scales[16];
#if !defined(MCUGEN_REQUANT_MVE)
    int32_t same[4], shared_shifts[16];
#endif
    mcugen_depthwise_line line = {.input_step = p->stride_w * p->input_c,
                                  .output_step = p->input_c,
                                  .weights = weights,
                                  .odd = taps % 2,
                                  .pairs = taps / 2,
                                  .bias = bias,
                                  .scales = multiplier,
                                  .offset = p->output_zero,
                                  .low = p->output_min,
                                  .high = p->output_max};
#if !defined(MCUGEN_REQUANT_MVE)
    line.shifts = mcugen_mve_shifts_of(p, same);
#endif
    if (shared > 1) {
        for (int32_t lane = 0; lane < 16; lane++) {
            shared_bias[lane] = bias[lane % p->input_c];
            shared_scales[lane] = multiplier[lane % p->input_c];
        }
#if !defined(MCUGEN_REQUANT_MVE)
        if (p->shifts != NULL) {
            for (int32_t lane = 0; lane < 16; lane++) {
                shared_shifts[lane] = p->shifts[lane % p->input_c];
            }
            line.shifts.first = shared_shifts;
        }
#endif
        line.bias = shared_bias;
        line.scales = shared_scales;
    }
    mcugen_depthwise_steps(p, p->dilation_w * p->input_c, p->dilation_h * input_row, of_input);
    mcugen_depthwise_steps(p, p->input_c, p->filter_w * p->input_c, of_copy);

    for (int32_t n = 0; n < p->batch; n++, input += r->input_h * input_row) {
        for (int32_t y = 0; y < r->output_h; y++) {
            for (int32_t x = 0; x < p->output_w;) {
                const mcugen_window at = mcugen_window_at(p, r, y, x);
                int32_t count = mcugen_windows_inside(p, r, y, x);
                line.output = output;
                if (count == 0) {
                    mcugen_mve_window_copy(p, r->input_h, input, at, copy);
                    line.input = copy;
                    line.steps = of_copy;
                    mcugen_depthwise_pixels(line, 1, 1, p->input_c);
                    count = 1;
                } else {
                    const int32_t whole = count / shared, rest = count % shared;
                    line.input = input + at.y * input_row + at.x * p->input_c;
                    line.steps = of_input;
                    mcugen_depthwise_pixels(line, whole, shared, p->input_c);
                    line.input += whole * shared * line.input_step;
                    line.output += whole * shared * line.output_step;
                    mcugen_depthwise_pixels(line, rest != 0, rest, p->input_c);
                }
                x += count;
                output += count * p->input_c;
            }
        }
    }
#else
    for (int32_t n = 0; n < p->batch; n++, input += r->input_h * input_row) {
        for (int32_t y = 0; y < r->output_h; y++) {
            for (int32_t x = 0; x < p->output_w; x++, output += p->output_c) {
                const mcugen_window at = mcugen_window_at(p, r, y, x);
                const int8_t *window = input + at.y * input_row + at.x * p->input_c;
                int32_t row_step = p->dilation_h * input_row, column_step = p->dilation_w * p->input_c;
                if (!at.inside) {
                    mcugen_window_copy(p, r->input_h, input, at, copy);
                    window = copy;
                    row_step = p->filter_w * p->input_c;
                    column_step = p->input_c;
                }
                for (int32_t c = 0; c < p->input_c; c++) {
                    const int8_t *const filter = weights + c / 16 * taps * 16 + c % 16;
                    int32_t acc = bias[c];
                    for (int32_t i = 0; i < p->filter_h * p->filter_w; i++) {
                        const int8_t *const tap = window + i / p->filter_w * row_step + i % p->filter_w * column_step;
                        acc += tap[c] * filter[i * p->unroll * 16];
                    }
                    output[c] = mcugen_layer_output(p, acc, multiplier[c], c);
                }
            }
        }
    }
#endif
}

#endif
