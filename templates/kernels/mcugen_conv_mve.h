/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and fully connected for Helium: four output channels of two adjacent pixels at a time, their eight sums
 * in the even core registers.
 *
 * weights int8 [output_c / 4, chunks, 4, 16]: a channel's filter in its own order, zeros behind its end, in chunks of
 * 16 bytes that take turns with those of three other channels. So one pointer walks through the weights. Missing
 * channels are zeros; bias and multiplier have entries for them.
 *
 * The input is read where it is, row by row of the window, if the rows are of whole chunks (and not too many) or there
 * is only one. Other windows, and those that leave the input, become columns of whole chunks in scratch.
 *
 * Groups of channels are convolutions by themselves, with missing channels each: of pixels where they are if the filter
 * is pointwise, else of columns in scratch, one for every group.
 *
 * Order: two pixels at a time, from any pixel on.
 * Scratch: the values of MCUGEN_MVE_HELD pixels, in whole vectors, if the layer adds them to what stands at output;
 * then two columns, of every group, and 16 bytes, unless all windows are read where they are. */
#ifndef MCUGEN_CONV_MVE_H
#define MCUGEN_CONV_MVE_H

#include "mcugen_mve.h"

/* Pixels whose values wait for an Add: specialised.py knows it. */
#define MCUGEN_MVE_HELD 4

#if defined(MCUGEN_HELIUM)

/* Chunks that the core multiplies without a jump, and their code. */
#define MCUGEN_LADDER 16
#define MCUGEN_CHUNK_CODE_BYTES 56

/* Words of a program for `rows` runs of `bytes`, and room for it: specialised.py knows this limit. */
#define MCUGEN_PROGRAM_WORDS(rows, bytes) (2 * (rows) * ((bytes) / 16 / MCUGEN_LADDER + 1) + 4)
#define MCUGEN_PROGRAM_MOST 48

/* Pairs of pixels in a line. The core finds the members by number. */
typedef struct {
    const int32_t *bias;        /*  0: of the next block of channels; the core moves the first four members */
    const int32_t *scales;      /*  4 */
    int8_t *output;             /*  8 */
    int32_t left;               /* 12: channels */
    const int32_t *first_bias;  /* 16: the same for each pair */
    const int32_t *first_scales;/* 20 */
    int8_t *first_output;       /* 24: moved from pair to pair */
    int32_t channels;           /* 28 */
    int32_t output_step;        /* 32: to the other pixel of the pair, in bytes */
    int32_t pair_output_step;   /* 36 */
    const int8_t *input;        /* 40 */
    int32_t input_step;         /* 44 */
    int32_t pair_input_step;    /* 48 */
    int32_t pairs;              /* 52 */
    const uint32_t *program;    /* 56 */
    const int8_t *weights;      /* 60 */
    int32_t offset;             /* 64 */
    int32_t low;                /* 68 */
    int32_t high;               /* 72 */
#if !defined(MCUGEN_REQUANT_MVE)
    mcugen_mve_shifts shifts;   /* 76 */
#endif
} mcugen_mve_line;

/* Addresses in the core, of which a program is made. It says how to walk through one window:
 *     chunks_end - n * MCUGEN_CHUNK_CODE_BYTES, step    n <= MCUGEN_LADDER chunks
 *     masked, predicate, step                           one chunk, of the predicate's bytes
 *     done                                              the sums are complete
 * The inputs move on by step behind the chunks: at the end, back to the first. */
typedef struct {
    uint32_t chunks_end, masked, done;
} mcugen_mve_entries;

#define MCUGEN_MVE_MULTIPLY                                                                                            \
    "vldrb.u8 q2, [r1], #16\n\t"                                                                                       \
    "vmladava.s8 r0, q0, q2\n\t"                                                                                       \
    "vmladava.s8 r8, q1, q2\n\t"                                                                                       \
    "vldrb.u8 q3, [r1], #16\n\t"                                                                                       \
    "vmladava.s8 r2, q0, q3\n\t"                                                                                       \
    "vmladava.s8 r10, q1, q3\n\t"                                                                                      \
    "vldrb.u8 q2, [r1], #16\n\t"                                                                                       \
    "vmladava.s8 r4, q0, q2\n\t"                                                                                       \
    "vmladava.s8 r12, q1, q2\n\t"                                                                                      \
    "vldrb.u8 q3, [r1], #16\n\t"                                                                                       \
    "vmladava.s8 r6, q0, q3\n\t"                                                                                       \
    "vmladava.s8 lr, q1, q3\n\t"

#define MCUGEN_MVE_NEXT                                                                                                \
    "ldr r7, [r9], #4\n\t"                                                                                             \
    "add r3, r3, r7\n\t"                                                                                               \
    "add r5, r5, r7\n\t"                                                                                               \
    "ldr pc, [r9], #4\n\t"

#if defined(MCUGEN_REQUANT_MVE)
#define MCUGEN_MVE_LINE_START
#define MCUGEN_MVE_LINE_EXACT
#define MCUGEN_MVE_LINE_REQUANTIZE                                                                                     \
    "ldrd r7, r9, [r11]\n\t"                                                                                           \
    "vldrw.u32 q4, [r9], #16\n\t"                                                                                      \
    "vcvt.f32.s32 q0, q0\n\t"                                                                                          \
    "vcvt.f32.s32 q1, q1\n\t"                                                                                          \
    "vmul.f32 q0, q0, q4\n\t"                                                                                          \
    "vmul.f32 q1, q1, q4\n\t"                                                                                          \
    "vcvtn.s32.f32 q0, q0\n\t"                                                                                         \
    "vcvtn.s32.f32 q1, q1\n\t"                                                                                         \
    "ldrd r0, r2, [r11, #8]\n\t"                                                                                       \
    "vadd.i32 q0, q0, q5\n\t"                                                                                          \
    "vadd.i32 q1, q1, q5\n\t"
#else
/* Back to the first shifts. */
#define MCUGEN_MVE_LINE_START                                                                                          \
    "ldr r7, [r11, #84]\n\t"                                                                                           \
    "str r7, [r11, #76]\n\t"
#define MCUGEN_MVE_LINE_REQUANTIZE                                                                                     \
    "ldr r9, [r11, #4]\n\t"                                                                                            \
    "ldr r7, [r11, #76]\n\t"                                                                                           \
    "vldrw.u32 q4, [r9], #16\n\t"                                                                                      \
    "vldrw.u32 q2, [r7]\n\t" MCUGEN_MVE_SHIFTS("r7") MCUGEN_MVE_SCALE_DOWN("q0") MCUGEN_MVE_SCALE_DOWN("q1")           \
    "mov r7, #0\n\t" MCUGEN_MVE_NEAR("q0", "r7") MCUGEN_MVE_NEAR("q1", "r7") MCUGEN_MVE_IF_NEAR("r7", "8f")            \
    "vrshr.s32 q0, q0, #16\n\t"                                                                                        \
    "vrshr.s32 q1, q1, #16\n\t"                                                                                        \
                                                                                                                       \
    "9:\n\t"                                                                                                           \
    "ldrd r0, r2, [r11, #76]\n\t"                                                                                      \
    "ldr r4, [r11, #64]\n\t"                                                                                           \
    "add r0, r0, r2\n\t"                                                                                               \
    "str r0, [r11, #76]\n\t"                                                                                           \
    "vadd.i32 q0, q0, r4\n\t"                                                                                          \
    "vadd.i32 q1, q1, r4\n\t"                                                                                          \
    "ldr r7, [r11]\n\t"                                                                                                \
    "ldrd r0, r2, [r11, #8]\n\t"
/* The call takes the sums from the core registers, and leaves the results in their place. */
#define MCUGEN_MVE_LINE_EXACT                                                                                          \
    "8:\n\t"                                                                                                           \
    "sub sp, sp, #44\n\t" /* to a multiple of 8 */                                                                     \
    "strd r0, r2, [sp]\n\t"                                                                                            \
    "strd r4, r6, [sp, #8]\n\t"                                                                                        \
    "strd r8, r10, [sp, #16]\n\t"                                                                                      \
    "strd r12, lr, [sp, #24]\n\t"                                                                                      \
    "strd r1, r3, [sp, #32]\n\t"                                                                                       \
    "mov r0, sp\n\t"                                                                                                   \
    "sub r1, r9, #16\n\t"                                                                                              \
    "ldr r2, [r11, #76]\n\t"                                                                                           \
    "mov r3, #8\n\t"                                                                                                   \
    "ldr r7, [r11, #88]\n\t"                                                                                           \
    "blx r7\n\t"                                                                                                       \
    "vldrw.u32 q0, [sp]\n\t"                                                                                           \
    "vldrw.u32 q1, [sp, #16]\n\t"                                                                                      \
    "ldrd r1, r3, [sp, #32]\n\t"                                                                                       \
    "add sp, sp, #44\n\t"                                                                                              \
    "b 9b\n"
#endif

/* Computes a line; given entries, only writes down its addresses. r11 = line, r9 = program, r1 = weights, r3 and r5 =
 * inputs of the pair, q4 = scales, q5 = offset (in integers: work), q6 = low, q7 = high. At a whole word, as adr counts
 * from one: compilers that save space align a function to 2 bytes only. */
MCUGEN_NAKED __attribute__((aligned(4))) void mcugen_mve_line_core(mcugen_mve_line *line __attribute__((unused)),
                                                                   mcugen_mve_entries *entries __attribute__((unused)))
{
    __asm__(".syntax unified\n\t"
            "cbz r1, 1f\n\t"
            "adr.w r2, 4f\n\t"
            "adr.w r3, 3f\n\t"
            "adr.w r0, 5f\n\t"
            "orr r2, r2, #1\n\t" /* Thumb */
            "orr r3, r3, #1\n\t"
            "orr r0, r0, #1\n\t"
            "strd r2, r3, [r1]\n\t"
            "str r0, [r1, #8]\n\t"
            "bx lr\n"

            "1:\n\t"
            "push {r4-r11, lr}\n\t"
            "vpush {d8-d15}\n\t"
            "mov r11, r0\n\t"
            "ldrd r3, r5, [r11, #40]\n\t"
            "add r5, r5, r3\n\t"
            "ldrd r7, r9, [r11, #64]\n\t"
            "vdup.32 q5, r7\n\t"
            "vdup.32 q6, r9\n\t"
            "ldr r7, [r11, #72]\n\t"
            "vdup.32 q7, r7\n"

            "2:\n\t" /* a pair */
            MCUGEN_MVE_LINE_START
            "ldrd r7, r9, [r11, #16]\n\t"
            "ldrd r0, r2, [r11, #24]\n\t"
            "ldr r1, [r11, #60]\n"

            "6:\n\t" /* a block of four channels */
            "strd r0, r2, [r11, #8]\n\t"
            "ldm r7!, {r0, r2, r4, r6}\n\t"
            "strd r7, r9, [r11]\n\t"
            "mov r8, r0\n\t"
            "mov r10, r2\n\t"
            "mov r12, r4\n\t"
            "mov lr, r6\n\t"
            "ldr r9, [r11, #56]\n\t"
            "ldr pc, [r9], #4\n"

            "3:\n\t" /* masked */
            "ldr r7, [r9], #4\n\t"
            "vmsr p0, r7\n\t"
            "vpstt\n\t"
            "vldrbt.u8 q0, [r3], #16\n\t"
            "vldrbt.u8 q1, [r5], #16\n\t" MCUGEN_MVE_MULTIPLY MCUGEN_MVE_NEXT

            ".rept 16\n\t" /* MCUGEN_LADDER */
            "vldrb.u8 q0, [r3], #16\n\t"
            "vldrb.u8 q1, [r5], #16\n\t" MCUGEN_MVE_MULTIPLY ".endr\n"
            "4:\n\t" /* chunks_end */
            MCUGEN_MVE_NEXT "\n"

            "5:\n\t" /* done */
            "vmov d0, r0, r2\n\t"
            "vmov d1, r4, r6\n\t"
            "vmov d2, r8, r10\n\t"
            "vmov d3, r12, lr\n\t"
            MCUGEN_MVE_LINE_REQUANTIZE
            "ldr r4, [r11, #32]\n\t"
            "vmax.s32 q0, q0, q6\n\t"
            "vmax.s32 q1, q1, q6\n\t"
            "add r4, r4, r0\n\t"
            "vmin.s32 q0, q0, q7\n\t"
            "vmin.s32 q1, q1, q7\n\t"
            "vctp.32 r2\n\t"
            "vpstt\n\t"
            "vstrbt.32 q0, [r0], #4\n\t"
            "vstrbt.32 q1, [r4]\n\t"
            "subs r2, r2, #4\n\t"
            "bgt 6b\n\t"

            "ldrd r0, r2, [r11, #48]\n\t"
            "subs r2, r2, #1\n\t"
            "beq 7f\n\t"
            "add r3, r3, r0\n\t"
            "add r5, r5, r0\n\t"
            "str r2, [r11, #52]\n\t"
            "ldr r4, [r11, #36]\n\t"
            "ldr r6, [r11, #24]\n\t"
            "add r6, r6, r4\n\t"
            "str r6, [r11, #24]\n\t"
            "b 2b\n"
            "7:\n\t"
            "vpop {d8-d15}\n\t"
            "pop {r4-r11, pc}\n\t" MCUGEN_MVE_LINE_EXACT);
}

/* Four channels of a single vector at a time. The core finds the members by number. */
typedef struct {
    const int8_t *weights; /*  0 */
    const int8_t *input;   /*  4 */
    const int32_t *bias;   /*  8 */
    const int32_t *scales; /* 12 */
    int8_t *output;        /* 16 */
    int32_t channels;      /* 20 */
    int32_t count;         /* 24: of the vector's bytes */
    int32_t offset;        /* 28 */
    int32_t low;           /* 32 */
    int32_t high;          /* 36 */
#if !defined(MCUGEN_REQUANT_MVE)
    mcugen_mve_shifts shifts; /* 40 */
#endif
} mcugen_mve_vector;

#if defined(MCUGEN_REQUANT_MVE)
#define MCUGEN_MVE_VECTOR_START "push {r4-r11, lr}\n\t"
#define MCUGEN_MVE_VECTOR_END "pop {r4-r11, pc}\n\t"
#define MCUGEN_MVE_VECTOR_REQUANTIZE                                                                                   \
    "vldrw.u32 q1, [r10], #16\n\t"                                                                                     \
    "vcvt.f32.s32 q0, q0\n\t"                                                                                          \
    "vmul.f32 q0, q0, q1\n\t"                                                                                          \
    "vdup.32 q1, r11\n\t"                                                                                              \
    "vcvtn.s32.f32 q0, q0\n\t"                                                                                         \
    "vadd.i32 q0, q0, q2\n\t"                                                                                          \
    "vmax.s32 q0, q0, q3\n\t"
#else
#define MCUGEN_MVE_VECTOR_START                                                                                        \
    "push {r0, r4-r11, lr}\n\t"                                                                                        \
    "vpush {d8-d11}\n\t"
#define MCUGEN_MVE_VECTOR_REQUANTIZE                                                                                   \
    "ldr r9, [sp, #32]\n\t" /* the vector */                                                                           \
    "vldrw.u32 q4, [r10], #16\n\t"                                                                                     \
    "ldr lr, [r9, #40]\n\t"                                                                                            \
    "vldrw.u32 q2, [lr]\n\t"                                                                                           \
    MCUGEN_MVE_SHIFTS("lr") MCUGEN_MVE_SCALE_DOWN("q0")                                                                \
    "mov lr, #0\n\t"                                                                                                   \
    MCUGEN_MVE_NEAR("q0", "lr") MCUGEN_MVE_IF_NEAR("lr", "8f")                                                         \
    "vrshr.s32 q0, q0, #16\n\t"                                                                                        \
    "9:\n\t"                                                                                                           \
    "ldrd r0, r2, [r9, #40]\n\t"                                                                                       \
    "ldrd r4, r6, [r9, #28]\n\t"                                                                                       \
    "add r0, r0, r2\n\t"                                                                                               \
    "str r0, [r9, #40]\n\t"                                                                                            \
    "vadd.i32 q0, q0, r4\n\t"                                                                                          \
    "vdup.32 q1, r6\n\t"                                                                                               \
    "vmax.s32 q0, q0, q1\n\t"                                                                                          \
    "vdup.32 q1, r11\n\t"
/* The call takes the sums from the core registers, and leaves the results in their place. */
#define MCUGEN_MVE_VECTOR_END                                                                                          \
    "vpop {d8-d11}\n\t"                                                                                                \
    "pop {r0, r4-r11, pc}\n\t"                                                                                         \
                                                                                                                       \
    "8:\n\t"                                                                                                           \
    "sub sp, sp, #32\n\t"                                                                                              \
    "strd r0, r2, [sp]\n\t"                                                                                            \
    "strd r4, r6, [sp, #8]\n\t"                                                                                        \
    "strd r1, r3, [sp, #16]\n\t"                                                                                       \
    "str r12, [sp, #24]\n\t"                                                                                           \
    "mov r0, sp\n\t"                                                                                                   \
    "sub r1, r10, #16\n\t"                                                                                             \
    "ldr r2, [r9, #40]\n\t"                                                                                            \
    "mov r3, #4\n\t"                                                                                                   \
    "ldr r4, [r9, #52]\n\t"                                                                                            \
    "blx r4\n\t"                                                                                                       \
    "vldrw.u32 q0, [sp]\n\t"                                                                                           \
    "ldrd r1, r3, [sp, #16]\n\t"                                                                                       \
    "ldr r12, [sp, #24]\n\t"                                                                                           \
    "add sp, sp, #32\n\t"                                                                                              \
    "b 9b\n\t"
#endif

MCUGEN_NAKED void mcugen_mve_vector_core(mcugen_mve_vector *vector __attribute__((unused)))
{
    __asm__(".syntax unified\n\t" MCUGEN_MVE_VECTOR_START
            "ldrd r1, r3, [r0]\n\t"
            "ldrd r8, r10, [r0, #8]\n\t"
            "ldrd r5, r7, [r0, #16]\n\t"
            "ldrd r12, r2, [r0, #24]\n\t"
            "ldrd r4, r6, [r0, #32]\n\t"
            "vdup.32 q2, r2\n\t"
            "vdup.32 q3, r4\n"
            "mov r11, r6\n"

            "1:\n\t"
            "ldm r8!, {r0, r2, r4, r6}\n\t"
            "mov r9, r3\n\t"
            "dlstp.8 lr, r12\n"
            "2:\n\t"
            "vldrb.u8 q0, [r9], #16\n\t"
            "vldrb.u8 q1, [r1], #16\n\t"
            "vmladava.s8 r0, q0, q1\n\t"
            "vldrb.u8 q1, [r1], #16\n\t"
            "vmladava.s8 r2, q0, q1\n\t"
            "vldrb.u8 q1, [r1], #16\n\t"
            "vmladava.s8 r4, q0, q1\n\t"
            "vldrb.u8 q1, [r1], #16\n\t"
            "vmladava.s8 r6, q0, q1\n\t"
            "letp lr, 2b\n\t"
            "vmov d0, r0, r2\n\t"
            "vmov d1, r4, r6\n\t"
            MCUGEN_MVE_VECTOR_REQUANTIZE
            "vctp.32 r7\n\t"
            "vmin.s32 q0, q0, q1\n\t"
            "subs r7, r7, #4\n\t"
            "vpst\n\t"
            "vstrbt.32 q0, [r5], #4\n\t"
            "bgt 1b\n\t" MCUGEN_MVE_VECTOR_END);
}

/* A program for `rows` runs of `row_bytes` adjacent bytes, row_step apart. All but a single run are of whole chunks. */
MCUGEN_ALWAYS_INLINE void mcugen_mve_program(uint32_t *program, const mcugen_mve_entries *entries, int32_t rows,
                                             int32_t row_bytes, int32_t row_step)
{
    const int32_t chunks = (row_bytes + 15) / 16;
    for (int32_t row = 0; row < rows; row++) {
        for (int32_t left = row_bytes / 16; left > 0; left -= MCUGEN_LADDER) {
            const int32_t count = left < MCUGEN_LADDER ? left : MCUGEN_LADDER;
            *program++ = entries->chunks_end - (uint32_t)count * MCUGEN_CHUNK_CODE_BYTES;
            *program++ = 0;
        }
        if (row_bytes % 16 != 0) {
            *program++ = entries->masked;
            *program++ = (UINT32_C(1) << row_bytes % 16) - 1u;
            *program++ = 0;
        }
        program[-1] = (uint32_t)(row_step - 16 * chunks);
    }
    program[-1] = (uint32_t)(-(rows - 1) * row_step - 16 * chunks);
    *program = entries->done;
}

/* A window inside the input, as a column. */
MCUGEN_ALWAYS_INLINE void mcugen_mve_column(const mcugen_layer *p, const int8_t *window, int8_t *column)
{
    const int32_t row_bytes = p->filter_w * p->input_c;
    if (row_bytes <= 16) {
        /* Whole vectors are stored: the next row, or the 16 bytes behind the columns, take what is too much. */
        MCUGEN_UNROLLED
        for (int32_t i = 0; i < p->filter_h; i++, window += p->dilation_h * p->input_w * p->input_c) {
            vstrbq_s8(column + i * row_bytes, vldrbq_z_s8(window, vctp8q((uint32_t)row_bytes)));
        }
        return;
    }
    for (int32_t i = 0; i < p->filter_h; i++, window += p->dilation_h * p->input_w * p->input_c, column += row_bytes) {
        mcugen_memcpy(column, window, row_bytes);
    }
}
#endif

#if defined(MCUGEN_HELIUM)
/* Groups of channels: pairs of pixels, one group after the other. */
MCUGEN_ALWAYS_INLINE void mcugen_groups_mve(const mcugen_layer *p, const mcugen_rows *r, const int8_t *input,
                                            const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                                            int8_t *values, int8_t *columns, int8_t *output)
{
    const int32_t part_c = p->output_c / p->groups, depth = p->filter_h * p->filter_w * p->input_c / p->groups;
    const int32_t column_bytes = (depth + 15) / 16 * 16;
    const int32_t pixel_bytes = p->pointwise ? p->input_c : p->groups * column_bytes;
    const int32_t part_bytes = p->pointwise ? depth : column_bytes;
#if !defined(MCUGEN_REQUANT_MVE)
    int32_t same[4];
    const mcugen_mve_shifts shifts = mcugen_mve_shifts_of(p, same);
#endif
    mcugen_mve_entries entries;
    uint32_t program[MCUGEN_PROGRAM_MOST];
    mcugen_mve_line_core(NULL, &entries);
    mcugen_mve_program(program, &entries, 1, part_bytes, 0);
    mcugen_mve_line line = {.channels = part_c,
                            .pairs = 1,
                            .program = program,
                            .offset = p->output_zero,
                            .low = p->output_min,
                            .high = p->output_max};
    for (int32_t n = 0; n < p->batch; n++, input += r->input_h * p->input_w * p->input_c) {
        for (int32_t y = 0; y < r->output_h; y++) {
            for (int32_t x = 0, count; x < p->output_w; x += count, output += count * p->output_c) {
                const int8_t *pixels = p->pointwise ? input + (y * p->output_w + x) * p->input_c : columns;
                int8_t *const to = p->adds ? values : output;
                count = p->output_w - x < 2 ? 1 : 2;
                for (int32_t i = 0; !p->pointwise && i < count; i++) {
                    mcugen_group_windows(p, r->input_h, input, mcugen_window_at(p, r, y, x + i),
                                         columns + i * pixel_bytes, column_bytes);
                }
                line.input_step = count == 2 ? pixel_bytes : 0;
                line.output_step = count == 2 ? p->output_c : 0;
                for (int32_t part = 0; part < p->groups; part++) {
                    line.input = pixels + part * part_bytes;
                    line.weights = weights + part * ((part_c + 3) / 4 * 4) * column_bytes;
                    line.first_bias = bias + part * part_c;
                    line.first_scales = multiplier + part * part_c;
                    line.first_output = to + part * part_c;
#if !defined(MCUGEN_REQUANT_MVE)
                    line.shifts = shifts;
                    line.shifts.first += shifts.step != 0 ? part * part_c : 0;
#endif
                    mcugen_mve_line_core(&line, NULL);
                }
                if (p->adds) {
                    mcugen_layer_add(p, values, output, count * p->output_c);
                }
            }
        }
    }
}
#endif

MCUGEN_ALWAYS_INLINE void mcugen_conv_mve(const cmsis_nn_context *scratch,
                                          const mcugen_layer *p,
                                          const mcugen_rows *r,
                                          const int8_t *input,
                                          const int8_t *weights,
                                          const int32_t *bias,
                                          const int32_t *multiplier,
                                          int8_t *output)
{
    const int32_t row_bytes = p->filter_w * p->input_c, input_row = p->input_w * p->input_c;
    const int32_t column_bytes = p->filter_h * row_bytes;
    int8_t *const values = scratch->buf;
    int8_t *const columns = p->adds ? values + (MCUGEN_MVE_HELD * p->output_c + 15) / 16 * 16 : values;
#if defined(MCUGEN_HELIUM)
    if (p->groups > 1) {
        mcugen_groups_mve(p, r, input, weights, bias, multiplier, values, columns, output);
        return;
    }
    const int32_t chunks = (column_bytes + 15) / 16;
#if !defined(MCUGEN_REQUANT_MVE)
    int32_t same[4];
#endif
    const int in_place = (p->dilation_w == 1 || p->filter_w == 1) && (p->filter_h == 1 || row_bytes % 16 == 0) &&
                         MCUGEN_PROGRAM_WORDS(p->filter_h, row_bytes) <= MCUGEN_PROGRAM_MOST;
    if (in_place && p->batch * p->output_w == 1 && r->output_h == 1 && r->pad_top == 0 && p->pad_left == 0 &&
        column_bytes == p->input_c) {
        mcugen_mve_vector vector = {.weights = weights,
                                    .input = input,
                                    .bias = bias,
                                    .scales = multiplier,
                                    .output = p->adds ? values : output,
                                    .channels = p->output_c,
                                    .count = p->input_c,
                                    .offset = p->output_zero,
                                    .low = p->output_min,
                                    .high = p->output_max};
#if !defined(MCUGEN_REQUANT_MVE)
        vector.shifts = mcugen_mve_shifts_of(p, same);
#endif
        mcugen_mve_vector_core(&vector);
        if (p->adds) {
            mcugen_layer_add(p, values, output, p->output_c);
        }
        return;
    }
    mcugen_mve_entries entries;
    uint32_t of_input[MCUGEN_PROGRAM_MOST], of_columns[MCUGEN_PROGRAM_MOST];
    mcugen_mve_line_core(NULL, &entries);
    mcugen_mve_program(of_columns, &entries, 1, 16 * chunks, 0);
    if (in_place) {
        mcugen_mve_program(of_input, &entries, p->filter_h, row_bytes, p->dilation_h * input_row);
    }
    mcugen_mve_line line = {.first_bias = bias,
                            .first_scales = multiplier,
                            .channels = p->output_c,
                            .output_step = p->output_c,
                            .pair_output_step = 2 * p->output_c,
                            .weights = weights,
                            .offset = p->output_zero,
                            .low = p->output_min,
                            .high = p->output_max};
#if !defined(MCUGEN_REQUANT_MVE)
    line.shifts = mcugen_mve_shifts_of(p, same);
#endif
    /* A filter of one pixel that meets every pixel once sees the whole input as one line. */
    const int32_t images = p->pointwise ? 1 : p->batch, rows = p->pointwise ? 1 : r->output_h;
    const int32_t pixels = p->pointwise ? p->batch * r->output_h * p->output_w : p->output_w;

    for (int32_t n = 0; n < images; n++, input += r->input_h * input_row) {
        for (int32_t y = 0; y < rows; y++) {
            for (int32_t x = 0; x < pixels;) {
                const mcugen_window w = mcugen_window_at(p, r, y, x);
                const int32_t inside = !in_place ? 0 : p->pointwise ? pixels - x : mcugen_windows_inside(p, r, y, x);
                int32_t count = (p->adds && inside > MCUGEN_MVE_HELD ? MCUGEN_MVE_HELD : inside) & ~1;
                line.first_output = p->adds ? values : output;
                if (count > 0) {
                    line.program = of_input;
                    line.input = input + w.y * input_row + w.x * p->input_c;
                    line.input_step = p->pointwise ? p->input_c : p->stride_w * p->input_c;
                    line.pair_input_step = 2 * line.input_step;
                    line.pairs = count / 2;
                } else {
                    /* Two pixels as columns, or the last one by itself. */
                    count = pixels - x < 2 ? 1 : 2;
                    line.pairs = 1;
                    line.program = of_columns;
                    line.input = columns;
                    line.input_step = count == 2 ? 16 * chunks : 0;
                    line.output_step = count == 2 ? p->output_c : 0;
                    if (inside == 1 && count == 1) {
                        line.program = of_input;
                        line.input = input + w.y * input_row + w.x * p->input_c;
                    } else {
                        for (int32_t i = 0; i < count; i++) {
                            const mcugen_window at = mcugen_window_at(p, r, y, x + i);
                            int8_t *const column = columns + i * 16 * chunks;
                            if (at.inside && p->dilation_w == 1) {
                                mcugen_mve_column(p, input + at.y * input_row + at.x * p->input_c, column);
                            } else {
                                mcugen_mve_window_copy(p, r->input_h, input, at, column);
                            }
                        }
                    }
                }
                mcugen_mve_line_core(&line, NULL);
                if (p->adds) {
                    mcugen_layer_add(p, values, output, count * p->output_c);
                }
                line.output_step = p->output_c;
                output += count * p->output_c;
                x += count;
            }
        }
    }
#else
    const int32_t parts = p->groups > 1 ? p->groups : 1, part_c = p->output_c / parts, depth = column_bytes / parts;
    const int32_t part_chunks = (depth + 15) / 16;
    for (int32_t n = 0; n < p->batch; n++, input += r->input_h * input_row) {
        for (int32_t y = 0; y < r->output_h; y++) {
            for (int32_t x = 0; x < p->output_w; x++, output += p->output_c) {
                const mcugen_window at = mcugen_window_at(p, r, y, x);
                const int8_t *window = input + at.y * input_row + at.x * p->input_c;
                int32_t row_step = p->dilation_h * input_row;
                int32_t part_step = depth; /* to the next group in the window */
                if (parts > 1 && !p->pointwise) {
                    mcugen_group_windows(p, r->input_h, input, at, columns, part_chunks * 16);
                    window = columns;
                    part_step = part_chunks * 16;
                    row_step = row_bytes / parts;
                } else if (!at.inside || (p->dilation_w != 1 && p->filter_w != 1)) {
                    mcugen_window_copy(p, r->input_h, input, at, columns);
                    window = columns;
                    row_step = row_bytes;
                }
                int8_t *const to = p->adds ? values : output;
                for (int32_t c = 0; c < p->output_c; c++) {
                    const int32_t part = c / part_c, row = part * ((part_c + 3) / 4 * 4) + c % part_c;
                    const int8_t *const filter = weights + (row / 4 * part_chunks * 4 + row % 4) * 16;
                    const int8_t *const taps = window + part * part_step;
                    int32_t acc = bias[c];
                    for (int32_t i = 0; i < depth; i++) {
                        acc += taps[i / (row_bytes / parts) * row_step + i % (row_bytes / parts)] *
                               filter[i / 16 * 64 + i % 16];
                    }
                    to[c] = mcugen_layer_output(p, acc, multiplier[c], c);
                }
                if (p->adds) {
                    mcugen_layer_add(p, values, output, p->output_c);
                }
            }
        }
    }
#endif
}

#endif
