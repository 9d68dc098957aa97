/* SPDX-License-Identifier: Apache-2.0 */
/* Windows times rows of weights, where they lie: for windows too large for a column, or whose taps are met rarely. */
#ifndef MCUGEN_NN_WINDOW_H
#define MCUGEN_NN_WINDOW_H

#include "mcugen_nn.h"

/* The taps of one output pixel that lie inside the input: rows of runs of adjacent bytes. A run is one tap's channels,
 * or a whole kernel row where taps and groups leave no gaps. Steps are in bytes, and may be negative. */
typedef struct
{
    int32_t rows;
    int32_t runs;
    int32_t run_bytes;
    int32_t input_row_step;
    int32_t input_run_step;
    int32_t filter_row_step;
    int32_t filter_run_step;
} mcugen_window;

/* What the windows of a layer share. */
typedef struct
{
    int32_t filter_step; /* from the weights of an output to those of the next, in bytes */
    int32_t input_offset;
    const int32_t *bias; /* or NULL */
    const int32_t *multiplier;
    const int32_t *shift;
    int32_t quant_step; /* 1, or 0: the first entry of both tables for all outputs */
    int32_t output_offset;
    const cmsis_nn_activation *clamp;
} mcugen_outputs;

/* Of one row of weights, or of two. */
typedef struct
{
    int32_t a;
    int32_t b;
} mcugen_sums2;

/* Upon the sums: of (input[i] + input_offset) * weights[i], i < count, and of the same with weights[step + i]. */
MCUGEN_INLINE void mcugen_run_sums(mcugen_sums2 *sums, int32_t rows, const int8_t *input, int32_t input_offset,
                                   const int8_t *weights, int32_t step, int32_t count)
{
    mcugen_sums2 sum = *sums;
#if defined(MCUGEN_NN_MVE_ASM)
    mcugen_sums2 of_weights = {0, 0};
    if (rows == 1)
    {
        __asm__("wlstp.8 lr, %[count], 2f\n"
                "1:\n"
                "vldrb.u8 q0, [%[input]], #16\n"
                "vldrb.u8 q1, [%[weights]], #16\n"
                "vmladava.s8 %[sum], q0, q1\n"
                "vaddva.s8 %[of_weights], q1\n"
                "letp lr, 1b\n"
                "2:"
                : [input] "+r"(input), [weights] "+r"(weights), [sum] "+Te"(sum.a), [of_weights] "+Te"(of_weights.a)
                : [count] "r"(count)
                : "lr", "q0", "q1", "memory");
    }
    else
    {
        const int8_t *second = weights + step;
        __asm__("wlstp.8 lr, %[count], 2f\n"
                "1:\n"
                "vldrb.u8 q0, [%[input]], #16\n"
                "vldrb.u8 q1, [%[weights]], #16\n"
                "vldrb.u8 q2, [%[second]], #16\n"
                "vmladava.s8 %[a], q0, q1\n"
                "vaddva.s8 %[of_a], q1\n"
                "vmladava.s8 %[b], q0, q2\n"
                "vaddva.s8 %[of_b], q2\n"
                "letp lr, 1b\n"
                "2:"
                : [input] "+r"(input), [weights] "+r"(weights), [second] "+r"(second), [a] "+Te"(sum.a),
                  [of_a] "+Te"(of_weights.a), [b] "+Te"(sum.b), [of_b] "+Te"(of_weights.b)
                : [count] "r"(count)
                : "lr", "q0", "q1", "q2", "memory");
        sum.b += of_weights.b * input_offset;
    }
    sum.a += of_weights.a * input_offset;
#else
    const int8_t *const end = input + count;
#if defined(MCUGEN_NN_DSP)
    const int16x2_t offsets = (int16x2_t)(((uint32_t)input_offset << 16) | ((uint32_t)input_offset & 0xFFFFu));
    for (const int8_t *const end4 = input + (count & ~3); input < end4; input += 4, weights += 4)
    {
        const uint32_t word = mcugen_load4(input);
        const int16x2_t even = __sxtab16(offsets, (int8x4_t)word);
        const int16x2_t odd = mcugen_odd_bytes_plus(offsets, word);
        sum.a = mcugen_dot4(sum.a, even, odd, weights);
        sum.b = rows == 2 ? mcugen_dot4(sum.b, even, odd, weights + step) : 0;
    }
#endif
    for (; input < end; ++input, ++weights)
    {
        const int32_t value = *input + input_offset;
        sum.a += value * weights[0];
        sum.b += rows == 2 ? value * weights[step] : 0;
    }
#endif
    *sums = sum;
}

/* The sums of one output, or of two. */
MCUGEN_INLINE mcugen_sums2 mcugen_window_sums(const mcugen_window *window, int32_t rows, const int8_t *input,
                                              int32_t input_offset, const int8_t *weights, int32_t step)
{
    mcugen_sums2 sums = {0, 0};
    for (int32_t left = window->rows; left > 0; --left)
    {
        const int8_t *values = input;
        const int8_t *taps = weights;
        for (int32_t runs = window->runs; runs > 0; --runs)
        {
            mcugen_run_sums(&sums, rows, values, input_offset, taps, step, window->run_bytes);
            values += window->input_run_step;
            taps += window->filter_run_step;
        }
        input += window->input_row_step;
        weights += window->filter_row_step;
    }
    return sums;
}

#if defined(MCUGEN_NN_MVE_ASM)
#define MCUGEN_WINDOW_PAD 15 /* pointers move by whole vectors */
#else
#define MCUGEN_WINDOW_PAD 0
#endif

/* A window for the functions below, which find the members by number: how far pointers move from the end of a run to
 * the next one, and from that of a row's last run to the next row. */
typedef struct
{
    int32_t run_bytes;       /*  0 */
    int32_t runs;            /*  4: at least one */
    int32_t rows;            /*  8: at least one */
    int32_t input_run_gap;   /* 12 */
    int32_t filter_run_gap;  /* 16 */
    int32_t input_row_gap;   /* 20 */
    int32_t filter_row_gap;  /* 24 */
} mcugen_walk;

MCUGEN_INLINE mcugen_walk mcugen_walk_of(const mcugen_window *w)
{
    const int some = w->rows > 0 && w->runs > 0;
    const int32_t passed = (w->run_bytes + MCUGEN_WINDOW_PAD) & ~MCUGEN_WINDOW_PAD;
    const mcugen_walk walk = {.run_bytes = some ? w->run_bytes : 0,
                              .runs = some ? w->runs : 1,
                              .rows = some ? w->rows : 1,
                              .input_run_gap = w->input_run_step - passed,
                              .filter_run_gap = w->filter_run_step - passed,
                              .input_row_gap = w->input_row_step - (w->runs - 1) * w->input_run_step - passed,
                              .filter_row_gap = w->filter_row_step - (w->runs - 1) * w->filter_run_step - passed};
    return walk;
}

#if defined(MCUGEN_NN_MVE_ASM)
#define MCUGEN_WINDOW_ASM 1

/* Sixteen values of each row; the flags say whether more are left. */
#define MCUGEN_WINDOW_CHUNK                                                                                      \
    "vctp.8 r11\n"                                                                                               \
    "vpstttt\n"                                                                                                  \
    "vldrbt.u8 q0, [r9], #16\n"                                                                                  \
    "vldrbt.u8 q1, [r1], #16\n"                                                                                  \
    "vldrbt.u8 q2, [r3], #16\n"                                                                                  \
    "vldrbt.u8 q3, [r5], #16\n"                                                                                  \
    "vmladava.s8 r0, q0, q1\n"                                                                                   \
    "vaddva.s8 r8, q1\n"                                                                                         \
    "vpst\n"                                                                                                     \
    "vldrbt.u8 q1, [r7], #16\n"                                                                                  \
    "vmladava.s8 r2, q0, q2\n"                                                                                   \
    "vaddva.s8 r10, q2\n"                                                                                        \
    "vmladava.s8 r4, q0, q3\n"                                                                                   \
    "vaddva.s8 r12, q3\n"                                                                                        \
    "vmladava.s8 r6, q0, q1\n"                                                                                   \
    "vaddva.s8 lr, q1\n"                                                                                         \
    "subs r11, r11, #16\n"

/* The walk lies on the stack, then what is left of runs and rows. Sums in r0, r2, r4, r6, of the weights alone in r8,
 * r10, r12, lr; rows r1, r3, r5, r7 (the first one given, and their step in r8); input r9; count r11. */
#define MCUGEN_WINDOW_SUMS                                                                                       \
    "add r3, r1, r8\n"                                                                                           \
    "add r5, r3, r8\n"                                                                                           \
    "add r7, r5, r8\n"                                                                                           \
    "ldr r11, [sp, #8]\n"                                                                                        \
    "str r11, [sp, #32]\n"                                                                                       \
    "mov r8, #0\n"                                                                                               \
    "mov r10, #0\n"                                                                                              \
    "mov r12, #0\n"                                                                                              \
    "mov lr, #0\n"                                                                                               \
    "2:\n"                                                                                                       \
    "ldr r11, [sp, #4]\n"                                                                                        \
    "str r11, [sp, #28]\n"                                                                                       \
    "3:\n"                                                                                                       \
    "ldr r11, [sp]\n"                                                                                            \
    "4:\n" MCUGEN_WINDOW_CHUNK                                                                                   \
    "bgt 4b\n"                                                                                                   \
    "ldr r11, [sp, #28]\n"                                                                                       \
    "subs r11, #1\n"                                                                                             \
    "beq 5f\n"                                                                                                   \
    "str r11, [sp, #28]\n"                                                                                       \
    "ldr r11, [sp, #16]\n"                                                                                       \
    "add r1, r11\n"                                                                                              \
    "add r3, r11\n"                                                                                              \
    "add r5, r11\n"                                                                                              \
    "add r7, r11\n"                                                                                              \
    "ldr r11, [sp, #12]\n"                                                                                       \
    "add r9, r11\n"                                                                                              \
    "b 3b\n"                                                                                                     \
    "5:\n"                                                                                                       \
    "ldr r11, [sp, #32]\n"                                                                                       \
    "subs r11, #1\n"                                                                                             \
    "beq 6f\n"                                                                                                   \
    "str r11, [sp, #32]\n"                                                                                       \
    "ldr r11, [sp, #24]\n"                                                                                       \
    "add r1, r11\n"                                                                                              \
    "add r3, r11\n"                                                                                              \
    "add r5, r11\n"                                                                                              \
    "add r7, r11\n"                                                                                              \
    "ldr r11, [sp, #20]\n"                                                                                       \
    "add r9, r11\n"                                                                                              \
    "b 2b\n"                                                                                                     \
    "6:\n"

#if defined(MCUGEN_REQUANT_MVE)
#define MCUGEN_WINDOW_BLOCKS 1
/* A window times blocks of four rows of weights. The function finds the members by number, and moves what it must. */
typedef struct
{
    const int8_t *weights;     /*  0 */
    int32_t step;              /*  4: between rows */
    const int32_t *bias;       /*  8 */
    const int8_t *input;       /* 12 */
    int32_t input_offset;      /* 16 */
    const int32_t *multiplier; /* 20: of four outputs */
    int32_t multiplier_bytes;  /* 24: to the next four */
    int32_t output_offset;     /* 28 */
    int32_t low;               /* 32 */
    int32_t high;              /* 36 */
    int8_t *output;            /* 40 */
    int32_t blocks;            /* 44: at least one */
    mcugen_walk walk;          /* 48 */
    int32_t bias_bytes;        /* 76: to the next four */
    int32_t extra;             /* 80: added to each sum */
} mcugen_blocks;

MCUGEN_ASSEMBLY void mcugen_blocks_mve(mcugen_blocks *blocks __attribute__((unused)))
{
    __asm__(".syntax unified\n"
            "push {r0, r4-r11, lr}\n"
            "add r0, #48\n"
            "ldm r0, {r0-r6}\n"
            "sub sp, #8\n"
            "push {r0-r6}\n"
            "1:\n"
            "ldr r11, [sp, #36]\n"
            "ldrd r1, r8, [r11]\n"
            "ldrd r2, r9, [r11, #8]\n"
            "add r10, r1, r8, lsl #2\n"
            "ldr r12, [r11, #76]\n"
            "add r12, r2\n"
            "str r10, [r11]\n"
            "str r12, [r11, #8]\n"
            "ldm r2, {r0, r2, r4, r6}\n" MCUGEN_WINDOW_SUMS
            "ldr r11, [sp, #36]\n"
            "ldrd r3, r1, [r11, #16]\n"
            "ldrd r5, r7, [r11, #24]\n"
            "mla r0, r8, r3, r0\n"
            "mla r2, r10, r3, r2\n"
            "mla r4, r12, r3, r4\n"
            "mla r6, lr, r3, r6\n"
            "vldrw.u32 q1, [r1]\n"
            "add r1, r1, r5\n"
            "str r1, [r11, #20]\n"
            "vmov d0, r0, r2\n"
            "vmov d1, r4, r6\n"
            "ldr r1, [r11, #80]\n"
            "ldrd r0, r2, [r11, #32]\n"
            "ldrd r4, r6, [r11, #40]\n"
            "vadd.i32 q0, q0, r1\n"
            "vcvt.f32.s32 q0, q0\n"
            "vmul.f32 q0, q0, q1\n"
            "vdup.32 q1, r0\n"
            "vcvtn.s32.f32 q0, q0\n"
            "vdup.32 q2, r2\n"
            "vadd.i32 q0, q0, r7\n"
            "vmax.s32 q0, q0, q1\n"
            "vmin.s32 q0, q0, q2\n"
            "vstrb.32 q0, [r4], #4\n"
            "subs r6, r6, #1\n"
            "strd r4, r6, [r11, #40]\n"
            "bne 1b\n"
            "add sp, #36\n"
            "pop {r0, r4-r11, pc}\n");
}
#else
/* The function finds the members by number. */
typedef struct
{
    mcugen_acc4 sums;      /*  0 */
    const int8_t *weights; /* 16 */
    int32_t step;          /* 20: between rows */
    const int8_t *input;   /* 24 */
    int32_t input_offset;  /* 28 */
    mcugen_walk walk;      /* 32 */
} mcugen_block;

/* Assembly because compilers spill what just fits the registers. */
MCUGEN_ASSEMBLY void mcugen_block_sums(mcugen_block *block __attribute__((unused)))
{
    __asm__(".syntax unified\n"
            "push {r0, r4-r11, lr}\n"
            "mov r11, r0\n"
            "add r0, #32\n"
            "ldm r0, {r0-r6}\n"
            "sub sp, #8\n"
            "push {r0-r6}\n"
            "ldrd r1, r8, [r11, #16]\n"
            "ldr r9, [r11, #24]\n"
            "ldm r11, {r0, r2, r4, r6}\n" MCUGEN_WINDOW_SUMS
            "ldr r1, [sp, #36]\n"
            "ldr r3, [r1, #28]\n"
            "mla r0, r8, r3, r0\n"
            "mla r2, r10, r3, r2\n"
            "mla r4, r12, r3, r4\n"
            "mla r6, lr, r3, r6\n"
            "stm r1, {r0, r2, r4, r6}\n"
            "add sp, #36\n"
            "pop {r0, r4-r11, pc}\n");
}
#endif

#elif defined(__GNUC__) && !defined(MCUGEN_NN_MVE) && (defined(MCUGEN_NN_DSP) || defined(MCUGEN_MAINLINE))
#define MCUGEN_WINDOW_ASM 1

/* The function finds the members by number. */
typedef struct
{
    mcugen_acc4 sums;      /*  0 */
    const int8_t *weights; /* 16 */
    int32_t step;          /* 20: between rows */
    const int8_t *input;   /* 24 */
    int32_t input_offset;  /* 28: with SMLAD in both halves */
    mcugen_walk walk;      /* 32 */
} mcugen_block;

/* Sums in r4 to r7; input r0; weights r1, their step r2 and three of it r3; offset r8. */
#define MCUGEN_WINDOW_TAP                                                                                        \
    "ldrsb r9, [r0], #1\n"                                                                                       \
    "ldrsb r10, [r1, r2]\n" MCUGEN_WINDOW_ADD                                                                    \
    "mla r5, r9, r10, r5\n"                                                                                      \
    "ldrsb r10, [r1, r2, lsl #1]\n"                                                                              \
    "mla r6, r9, r10, r6\n"                                                                                      \
    "ldrsb r10, [r1, r3]\n"                                                                                      \
    "mla r7, r9, r10, r7\n"                                                                                      \
    "ldrsb r10, [r1], #1\n"                                                                                      \
    "mla r4, r9, r10, r4\n"
#if defined(MCUGEN_NN_DSP)
#define MCUGEN_WINDOW_ADD "sxtah r9, r9, r8\n"
#define MCUGEN_WINDOW_ROW(from, sum)                                                                             \
    "ldr r12, [r1" from "\n"                                                                                     \
    "sxtb16 r11, r12\n"                                                                                          \
    "sxtb16 r12, r12, ror #8\n"                                                                                  \
    "smlad " sum ", r9, r11, " sum "\n"                                                                          \
    "smlad " sum ", r10, r12, " sum "\n"
#define MCUGEN_WINDOW_GROUP                                                                                      \
    "ldr r10, [r0], #4\n"                                                                                        \
    "sxtab16 r9, r8, r10\n"                                                                                      \
    "sxtab16 r10, r8, r10, ror #8\n" MCUGEN_WINDOW_ROW(", r2]", "r5") MCUGEN_WINDOW_ROW(", r2, lsl #1]", "r6")   \
        MCUGEN_WINDOW_ROW(", r3]", "r7") MCUGEN_WINDOW_ROW("], #4", "r4")
#else
#define MCUGEN_WINDOW_ADD "add r9, r8\n"
#define MCUGEN_WINDOW_GROUP MCUGEN_WINDOW_TAP MCUGEN_WINDOW_TAP MCUGEN_WINDOW_TAP MCUGEN_WINDOW_TAP
#endif

/* Assembly because compilers spill what just fits the registers. On the stack: runs left, rows left, the block. */
MCUGEN_ASSEMBLY void mcugen_block_sums(mcugen_block *block __attribute__((unused)))
{
    __asm__(".syntax unified\n"
            "push {r0, r4-r11, lr}\n"
            "ldrd r9, r10, [r0, #36]\n"
            "ldm r0, {r4-r7}\n"
            "ldrd r1, r2, [r0, #16]\n"
            "push {r9, r10}\n"
            "add r3, r2, r2, lsl #1\n"
            "mov r12, r0\n"
            "ldrd r0, r8, [r0, #24]\n"
            "1:\n"
            "ldr r11, [r12, #32]\n"
            "bic lr, r11, #3\n"
            "adds lr, lr, r0\n"
            "cmp lr, r0\n"
            "beq 3f\n"
            "2:\n" MCUGEN_WINDOW_GROUP
            "cmp r0, lr\n"
            "bne 2b\n"
            "ldr r12, [sp, #8]\n"
            "ldr r11, [r12, #32]\n"
            "3:\n"
            "ands r11, #3\n"
            "beq 5f\n"
            "4:\n" MCUGEN_WINDOW_TAP
            "subs r11, #1\n"
            "bne 4b\n"
            "5:\n"
            "ldr r11, [sp]\n"
            "subs r11, #1\n"
            "beq 6f\n"
            "ldrd r9, r10, [r12, #44]\n"
            "str r11, [sp]\n"
            "add r0, r9\n"
            "add r1, r10\n"
            "b 1b\n"
            "6:\n"
            "ldr r11, [sp, #4]\n"
            "subs r11, #1\n"
            "beq 7f\n"
            "str r11, [sp, #4]\n"
            "ldrd r9, r10, [r12, #52]\n"
            "ldr r11, [r12, #36]\n"
            "add r0, r9\n"
            "add r1, r10\n"
            "str r11, [sp]\n"
            "b 1b\n"
            "7:\n"
            "stm r12, {r4-r7}\n"
            "add sp, #8\n"
            "pop {r0, r4-r11, pc}\n");
}
#endif

#if !defined(MCUGEN_WINDOW_ASM)
/* Upon the sums, a window times four rows of weights, `step` bytes apart. */
MCUGEN_INLINE void mcugen_block_sums(mcugen_acc4 *acc, const mcugen_window *window, const int8_t *input,
                                     int32_t input_offset, const int8_t *weights, int32_t step)
{
    for (int32_t row = 0; row < window->rows; ++row)
    {
        const int8_t *run = input + row * window->input_row_step;
        const int8_t *taps = weights + row * window->filter_row_step;
        for (int32_t left = window->runs; left > 0; --left)
        {
            const int8_t *values = run;
            const int8_t *a = taps;
            const int8_t *b = a + step;
            const int8_t *c = b + step;
            const int8_t *d = c + step;
            for (const int8_t *const end = values + window->run_bytes; values < end;)
            {
                const int32_t value = *values++ + input_offset;
                acc->a += value * *a++;
                acc->b += value * *b++;
                acc->c += value * *c++;
                acc->d += value * *d++;
            }
            run += window->input_run_step;
            taps += window->filter_run_step;
        }
    }
}
#endif

MCUGEN_INLINE int8_t mcugen_output_of(const mcugen_outputs *p, int32_t sum, int32_t extra, int32_t i)
{
    const int32_t bias = p->bias != NULL ? p->bias[i] : 0;
    return mcugen_output(sum + bias + extra, p->multiplier[i * p->quant_step], p->shift[i * p->quant_step],
                         p->output_offset, p->clamp, 1);
}

/* mcugen_window_outputs, two at a time. */
static inline void mcugen_few_outputs(const mcugen_outputs *p, const mcugen_window *window, const int8_t *input,
                                      const int8_t *weights, int32_t extra, int32_t first, int32_t count,
                                      int8_t *output)
{
    const int32_t step = p->filter_step;
    const int32_t end = first + count;
    int32_t i = first;
    weights += i * step;
    for (; i + 2 <= end; i += 2)
    {
        const mcugen_sums2 sums = mcugen_window_sums(window, 2, input, p->input_offset, weights, step);
        output[i] = mcugen_output_of(p, sums.a, extra, i);
        output[i + 1] = mcugen_output_of(p, sums.b, extra, i + 1);
        weights += 2 * step;
    }
    if (i < end)
    {
        const mcugen_sums2 sums = mcugen_window_sums(window, 1, input, p->input_offset, weights, step);
        output[i] = mcugen_output_of(p, sums.a, extra, i);
    }
}

/* mcugen_window_outputs, of at least four. */
MCUGEN_OUT_OF_LINE static void mcugen_many_outputs(const mcugen_outputs *shared, const mcugen_window *window,
                                                   const int8_t *input, const int8_t *weights, int32_t extra,
                                                   int32_t first, int32_t count, int8_t *output)
{
    const mcugen_outputs p = *shared; /* a copy: output cannot alias it */
#if defined(MCUGEN_WINDOW_BLOCKS)
    const int32_t one = *p.multiplier;
    const int32_t same[4] = {one, one, one, one};
    const int32_t none[4] = {0, 0, 0, 0};
    const int32_t *const bias = p.bias != NULL ? p.bias + first : none;
    const int32_t *const multiplier = p.quant_step != 0 ? p.multiplier + first : same;
    mcugen_blocks blocks = {.weights = weights + first * p.filter_step,
                            .step = p.filter_step,
                            .bias = bias,
                            .input = input,
                            .input_offset = p.input_offset,
                            .multiplier = multiplier,
                            .multiplier_bytes = 16 * p.quant_step,
                            .output_offset = p.output_offset,
                            .low = p.clamp->min,
                            .high = p.clamp->max,
                            .output = output + first,
                            .blocks = count / 4,
                            .walk = mcugen_walk_of(window),
                            .bias_bytes = p.bias != NULL ? 16 : 0,
                            .extra = extra};
    mcugen_blocks_mve(&blocks);
    if (count % 4 != 0) /* the last four again */
    {
        const int32_t back = 4 - count % 4;
        blocks.weights -= back * p.filter_step;
        blocks.bias -= p.bias != NULL ? back : 0;
        blocks.multiplier -= back * p.quant_step;
        blocks.output -= back;
        blocks.blocks = 1;
        mcugen_blocks_mve(&blocks);
    }
#else
    const int32_t end = first + count;
    const int narrow = mcugen_is_narrow(p.clamp);
#if defined(MCUGEN_WINDOW_ASM)
    mcugen_block block = {.step = p.filter_step, .input = input, .input_offset = p.input_offset};
    block.walk = mcugen_walk_of(window);
#if defined(MCUGEN_NN_DSP)
    block.input_offset = (int32_t)(((uint32_t)p.input_offset << 16) | ((uint32_t)p.input_offset & 0xFFFFu));
#endif
#endif
    for (int32_t next = first; next < end; next += MCUGEN_NN_BLOCK)
    {
        const int32_t row = mcugen_min(next, end - MCUGEN_NN_BLOCK); /* some again, if outputs are left over */
        const int32_t at = row * p.quant_step;
        mcugen_acc4 acc = mcugen_block_bias(p.bias != NULL ? p.bias + row : NULL, MCUGEN_NN_BLOCK - 1);
        acc.a += extra;
        acc.b += extra;
        acc.c += extra;
        acc.d += extra;
#if defined(MCUGEN_WINDOW_ASM)
        block.sums = acc;
        block.weights = weights + row * p.filter_step;
        mcugen_block_sums(&block);
        acc = block.sums;
#else
        mcugen_block_sums(&acc, window, input, p.input_offset, weights + row * p.filter_step, p.filter_step);
#endif
        mcugen_block_store_as(output + row, &acc, p.multiplier + at, p.shift + at, p.quant_step,
                              p.output_offset, p.clamp, narrow);
    }
#endif
}

/* Outputs `first` to first + count - 1 of a window. input and weights point at its first valid tap, weights at that of
 * output 0; extra is added to each sum. */
MCUGEN_INLINE void mcugen_window_outputs(const mcugen_outputs *shared, const mcugen_window *window,
                                         const int8_t *input, const int8_t *weights, int32_t extra, int32_t first,
                                         int32_t count, int8_t *output)
{
    if (count < MCUGEN_NN_BLOCK)
    {
        mcugen_few_outputs(shared, window, input, weights, extra, first, count, output);
    }
    else
    {
        mcugen_many_outputs(shared, window, input, weights, extra, first, count, output);
    }
}

#endif
