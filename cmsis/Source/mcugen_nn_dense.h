/* SPDX-License-Identifier: Apache-2.0 */
/* Columns times rows of weights: what convolution and fully connected have in common.
 *
 * The window of a pixel, or a vector, becomes a column: values that are adjacent, whatever the window's shape, with
 * the input's zero point where it leaves the input. One or two columns meet rows of weights. Without MVE a column
 * holds int16 with the input offset added; with SMLAD its groups of four are in the order that SXTB16 takes bytes out
 * of a word (0, 2, 1, 3), and what is left over is in its own order. With MVE it holds bytes, the vectors of two
 * columns in turns. */
#ifndef MCUGEN_NN_DENSE_H
#define MCUGEN_NN_DENSE_H

#include "mcugen_nn.h"

/* The outputs of one or two columns: of `rows` >= 4 rows of weights, each `depth` values. */
typedef struct
{
    const int8_t *weights;
    int32_t depth;
    int32_t rows;
    int32_t channels;    /* of an output pixel */
    const int32_t *bias; /* or NULL; with MVE of mcugen_dense_prepare */
    int32_t extra[2];    /* added to every bias for the first column, for the second; without MVE */
    const int32_t *multiplier;
    const int32_t *shift;
    int32_t quant_step; /* 1, or 0: the first entry of both for all rows */
    int32_t at;         /* where the columns begin, a multiple of MCUGEN_COLUMN_ALIGN values */
    int32_t output_offset;
    cmsis_nn_activation clamp;
} mcugen_dense;

/* The longest column; it lies on the stack. */
#if defined(MCUGEN_NN_MVE)
#define MCUGEN_COLUMN 640
#define MCUGEN_COLUMN_ALIGN 16
#else
#define MCUGEN_COLUMN 320
#define MCUGEN_COLUMN_ALIGN 4
#endif

#if defined(MCUGEN_NN_MVE_ASM) && defined(MCUGEN_REQUANT_MVE)
#define MCUGEN_NN_DENSE 1

/* The most rows of weights, whose sums lie on the stack. */
#define MCUGEN_DENSE_ROWS 256
#define MCUGEN_DENSE_SUMS (MCUGEN_DENSE_ROWS + 4) /* what mcugen_dense_prepare makes: sums and four multipliers */

typedef struct
{
    int8_t pairs[2 * MCUGEN_COLUMN]; /* a vector of the one column, a vector of the other */
    int8_t copy[MCUGEN_COLUMN];
} mcugen_columns;

MCUGEN_INLINE int32_t mcugen_columns_at_once(int32_t depth) { return depth <= MCUGEN_COLUMN ? 2 : 0; }

MCUGEN_INLINE int8_t *mcugen_column_bytes(mcugen_columns *columns, int32_t which, int32_t at, int32_t depth)
{
    (void)which;
    (void)at;
    (void)depth;
    return columns->copy;
}

MCUGEN_INLINE void mcugen_copy(int8_t *to, const int8_t *from, int32_t bytes) { mcugen_memcpy(to, from, bytes); }

static inline void mcugen_fill_column(mcugen_columns *columns, int32_t which, int32_t at, const int8_t *bytes,
                                      int32_t depth, int32_t offset)
{
    int8_t *to = columns->pairs + 2 * at + 16 * which;
    (void)offset;
    __asm__ volatile("wlstp.8 lr, %[depth], 2f\n"
                     "1:\n"
                     "vldrb.u8 q0, [%[bytes]], #16\n"
                     "vstrb.8 q0, [%[to]], #32\n"
                     "letp lr, 1b\n"
                     "2:"
                     : [to] "+r"(to), [bytes] "+r"(bytes)
                     : [depth] "r"(depth)
                     : "lr", "q0", "memory");
}

/* Bias and input offset times the weights, for each row; of one multiplier a vector. */
static inline void mcugen_dense_prepare(mcugen_dense *dense, int32_t input_offset, int32_t *sums)
{
    for (int32_t next = 0; next < dense->rows; next += 4)
    {
        const int32_t row = mcugen_min(next, dense->rows - 4); /* some again, if rows are left over */
        const int8_t *a = dense->weights + row * dense->depth;
        const int8_t *b = a + dense->depth;
        const int8_t *c = b + dense->depth;
        const int8_t *d = c + dense->depth;
        mcugen_acc4 sum = {0, 0, 0, 0};
        __asm__("wlstp.8 lr, %[depth], 2f\n"
                "1:\n"
                "vldrb.u8 q0, [%[a]], #16\n"
                "vldrb.u8 q1, [%[b]], #16\n"
                "vaddva.s8 %[sum_a], q0\n"
                "vldrb.u8 q0, [%[c]], #16\n"
                "vaddva.s8 %[sum_b], q1\n"
                "vldrb.u8 q1, [%[d]], #16\n"
                "vaddva.s8 %[sum_c], q0\n"
                "vaddva.s8 %[sum_d], q1\n"
                "letp lr, 1b\n"
                "2:"
                : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [sum_a] "+Te"(sum.a), [sum_b] "+Te"(sum.b),
                  [sum_c] "+Te"(sum.c), [sum_d] "+Te"(sum.d)
                : [depth] "r"(dense->depth)
                : "lr", "q0", "q1", "memory");
        const int32x4_t of_weights = {sum.a, sum.b, sum.c, sum.d};
        const int32x4_t bias = dense->bias != NULL ? vldrwq_s32(dense->bias + row) : vdupq_n_s32(0);
        vstrwq_s32(sums + row, vmlaq_n_s32(bias, of_weights, input_offset));
    }
    dense->bias = sums;
    if (dense->quant_step == 0)
    {
        vstrwq_s32(sums + MCUGEN_DENSE_ROWS, vdupq_n_s32(*dense->multiplier));
        dense->multiplier = sums + MCUGEN_DENSE_ROWS;
    }
}

/* The same sum and multiplier for all rows, of which there are at most MCUGEN_DENSE_ROWS. */
static inline void mcugen_dense_same(mcugen_dense *dense, int32_t sum, int32_t *sums)
{
    for (int32_t i = 0; i < dense->rows; i += 4)
    {
        vstrwq_s32(sums + i, vdupq_n_s32(sum));
    }
    vstrwq_s32(sums + MCUGEN_DENSE_ROWS, vdupq_n_s32(*dense->multiplier));
    dense->bias = sums;
    dense->multiplier = sums + MCUGEN_DENSE_ROWS;
    dense->quant_step = 0;
}

/* Blocks of four rows times two columns. The function finds the members by number, and moves what it must. */
typedef struct
{
    const int8_t *weights;     /*  0 */
    int32_t depth;             /*  4 */
    const int8_t *columns;     /*  8 */
    const int32_t *sums;       /* 12 */
    const int32_t *multiplier; /* 16 */
    int32_t output_offset;     /* 20 */
    int32_t low;               /* 24 */
    int32_t high;              /* 28 */
    int8_t *output;            /* 32 */
    int8_t *output2;           /* 36 */
    int32_t blocks;            /* 40: at least one */
    int32_t multiplier_bytes;  /* 44: to the next four */
} mcugen_pair;

/* Sixteen values of each row and column; `if_any` says that the loads of the rows are predicated. */
#define MCUGEN_PAIR_CHUNK(if_any, load)                                                                          \
    if_any load ".u8 q2, [r1], #16\n" load ".u8 q3, [r3], #16\n"                                                 \
                "vldrb.u8 q1, [r9, #16]\n"                                                                       \
                "vldrb.u8 q0, [r9], #32\n"                                                                       \
                "vmladava.s8 r0, q0, q2\n"                                                                       \
                "vmladava.s8 r8, q1, q2\n"                                                                       \
                "vmladava.s8 r2, q0, q3\n"                                                                       \
                "vmladava.s8 r10, q1, q3\n" if_any load ".u8 q2, [r5], #16\n" load ".u8 q3, [r7], #16\n"        \
                "vmladava.s8 r4, q0, q2\n"                                                                       \
                "vmladava.s8 r12, q1, q2\n"                                                                      \
                "vmladava.s8 r6, q0, q3\n"                                                                       \
                "vmladava.s8 lr, q1, q3\n"

/* Sums of the first column in r0, r2, r4, r6, of the second in r8, r10, r12, lr; rows r1, r3, r5, r7. */
MCUGEN_ASSEMBLY void mcugen_pair_mve(mcugen_pair *pair __attribute__((unused)))
{
    __asm__(".syntax unified\n"
            "push {r0, r4-r11, lr}\n"
            "1:\n"
            "ldr r11, [sp]\n"
            "ldrd r1, r8, [r11]\n"
            "ldrd r9, r12, [r11, #8]\n"
            "add r3, r1, r8\n"
            "add r5, r3, r8\n"
            "add r7, r5, r8\n"
            "add r10, r7, r8\n"
            "str r10, [r11]\n"
            "ldm r12!, {r0, r2, r4, r6}\n"
            "str r12, [r11, #12]\n"
            "mov r11, r8\n"
            "mov r8, r0\n"
            "mov r10, r2\n"
            "mov r12, r4\n"
            "mov lr, r6\n"
            "subs r11, r11, #16\n"
            "blt 3f\n"
            "2:\n" MCUGEN_PAIR_CHUNK("", "vldrb")
            "subs r11, r11, #16\n"
            "bge 2b\n"
            "3:\n"
            "adds r11, r11, #16\n"
            "beq 4f\n"
            "vctp.8 r11\n" MCUGEN_PAIR_CHUNK("vpstt\n", "vldrbt")
            "4:\n"
            "ldr r11, [sp]\n"
            "vmov d0, r0, r2\n"
            "vmov d1, r4, r6\n"
            "vmov d2, r8, r10\n"
            "vmov d3, r12, lr\n"
            "ldrd r1, r3, [r11, #16]\n"
            "ldrd r5, r7, [r11, #24]\n"
            "ldrd r4, r6, [r11, #40]\n"
            "vldrw.u32 q2, [r1]\n"
            "add r1, r6\n"
            "str r1, [r11, #16]\n"
            "vcvt.f32.s32 q0, q0\n"
            "vcvt.f32.s32 q1, q1\n"
            "vmul.f32 q0, q0, q2\n"
            "vmul.f32 q1, q1, q2\n"
            "vdup.32 q2, r5\n"
            "vdup.32 q3, r7\n"
            "vcvtn.s32.f32 q0, q0\n"
            "vcvtn.s32.f32 q1, q1\n"
            "vadd.i32 q0, q0, r3\n"
            "vadd.i32 q1, q1, r3\n"
            "vmax.s32 q0, q0, q2\n"
            "vmax.s32 q1, q1, q2\n"
            "vmin.s32 q0, q0, q3\n"
            "vmin.s32 q1, q1, q3\n"
            "ldrd r0, r2, [r11, #32]\n"
            "vstrb.32 q0, [r0], #4\n"
            "vstrb.32 q1, [r2], #4\n"
            "strd r0, r2, [r11, #32]\n"
            "subs r4, r4, #1\n"
            "str r4, [r11, #40]\n"
            "bne 1b\n"
            "pop {r0, r4-r11, pc}\n");
}

/* All outputs of the columns; the last four rows again, if rows are left over. Of one column, the copy takes what the
 * other would be. */
MCUGEN_INLINE void mcugen_dense_outputs(const mcugen_dense *dense, mcugen_columns *columns, int32_t held,
                                        int8_t *output)
{
    mcugen_pair pair = {.weights = dense->weights,
                        .depth = dense->depth,
                        .columns = columns->pairs + 2 * dense->at,
                        .sums = dense->bias,
                        .multiplier = dense->multiplier,
                        .output_offset = dense->output_offset,
                        .low = dense->clamp.min,
                        .high = dense->clamp.max,
                        .output = output,
                        .output2 = held == 2 ? output + dense->channels : columns->copy,
                        .blocks = dense->rows / 4,
                        .multiplier_bytes = 16 * dense->quant_step};
    mcugen_pair_mve(&pair);
    if (dense->rows % 4 != 0)
    {
        const int32_t back = 4 - dense->rows % 4;
        pair.weights -= back * dense->depth;
        pair.sums -= back;
        pair.multiplier -= back * dense->quant_step;
        pair.output -= back;
        pair.output2 -= held == 2 ? back : 0;
        pair.blocks = 1;
        mcugen_pair_mve(&pair);
    }
}

#elif !defined(MCUGEN_NN_MVE)
#define MCUGEN_NN_DENSE 1
#define MCUGEN_DENSE_ROWS INT32_MAX
#define MCUGEN_DENSE_SUMS 1 /* none */

/* Where the second of two columns begins, of int16; the assembly knows the distance. */
#define MCUGEN_COLUMN_PAIR (MCUGEN_COLUMN / 2)

typedef struct
{
    uint32_t words[MCUGEN_COLUMN / 2];
} mcugen_columns;

#if defined(MCUGEN_NN_DSP)
#define MCUGEN_PAIR_ROWS 2 /* that two columns meet at a time */
#elif defined(__GNUC__) && defined(MCUGEN_MAINLINE)
#define MCUGEN_PAIR_ROWS 3
#endif

/* How many columns of a length are made at once; 0: it is too long. */
MCUGEN_INLINE int32_t mcugen_columns_at_once(int32_t depth)
{
#if defined(MCUGEN_PAIR_ROWS)
    return depth <= MCUGEN_COLUMN_PAIR ? 2 : depth <= MCUGEN_COLUMN ? 1 : 0;
#else
    return depth <= MCUGEN_COLUMN ? 1 : 0;
#endif
}

/* May a word be loaded from, or stored at, this address? */
MCUGEN_INLINE int mcugen_word_access(const int8_t *bytes)
{
#if defined(MCUGEN_BASELINE) || !defined(__GNUC__)
    return ((uintptr_t)bytes & 3u) == 0;
#else
    (void)bytes;
    return 1;
#endif
}

/* Few bytes, which a function of the C library may copy one by one. */
static inline void mcugen_copy(int8_t *to, const int8_t *from, int32_t count)
{
    if (mcugen_word_access(to) && mcugen_word_access(from))
    {
        for (; count >= 4; count -= 4)
        {
#if defined(__GNUC__) && defined(MCUGEN_BASELINE)
            memcpy(__builtin_assume_aligned(to, 4), __builtin_assume_aligned(from, 4), 4);
#else
            memcpy(to, from, 4);
#endif
            to += 4;
            from += 4;
        }
    }
    for (; count > 0; --count)
    {
        *to++ = *from++;
    }
}

/* Where the bytes of column `which` may lie until it is filled: no value is overwritten before it is read. */
MCUGEN_INLINE int8_t *mcugen_column_bytes(mcugen_columns *columns, int32_t which, int32_t at, int32_t depth)
{
    return (int8_t *)columns->words + 2 * (which * MCUGEN_COLUMN_PAIR + at) + depth;
}

static inline void mcugen_fill_column(mcugen_columns *columns, int32_t which, int32_t at, const int8_t *bytes,
                                      int32_t depth, int32_t offset)
{
    int16_t *const column = (int16_t *)(void *)columns->words + which * MCUGEN_COLUMN_PAIR + at;
    int32_t i = 0;
#if defined(MCUGEN_NN_DSP)
    const int16x2_t offsets = (int16x2_t)(((uint32_t)offset << 16) | ((uint32_t)offset & 0xFFFFu));
    int16x2_t *pairs = (int16x2_t *)(void *)column;
    for (; i + 4 <= depth; i += 4)
    {
        const uint32_t word = mcugen_load4(bytes + i);
        *pairs++ = __sxtab16(offsets, (int8x4_t)word);
        *pairs++ = mcugen_odd_bytes_plus(offsets, word);
    }
#endif
    for (; i < depth; ++i)
    {
        column[i] = (int16_t)(bytes[i] + offset);
    }
}

/* Rows of weights, `step` bytes apart, times a column, or two: the sums of the first one, then those of the second. The
 * functions below find the members by number. */
typedef struct
{
    const int16_t *column; /*  0 */
    const int8_t *weights; /*  4 */
    int32_t groups;        /*  8: of MCUGEN_DOT_GROUP_VALUES */
    int32_t step;          /* 12 */
    int32_t sums[7];       /* 16 */
    int32_t rest;          /* 44: values behind the groups */
} mcugen_dot;

#if defined(MCUGEN_PAIR_ROWS)
#define MCUGEN_DOT_ASM 1
#define MCUGEN_DOT_GROUP_VALUES 4

/* Sums in r5, r6, r8, r9; column r0 to r4, weights r1, step r2. */
#define MCUGEN_DOT_BEGIN                                                                                         \
    ".syntax unified\n"                                                                                          \
    "push {r0, r4-r11, lr}\n"                                                                                    \
    "ldrd r12, r1, [r0]\n"                                                                                       \
    "ldrd r4, r2, [r0, #8]\n"                                                                                    \
    "ldrd r5, r6, [r0, #16]\n"                                                                                   \
    "ldrd r8, r9, [r0, #24]\n"                                                                                   \
    "tst r4, #1\n"                                                                                               \
    "mov r0, r12\n"                                                                                              \
    "add lr, r2, r2, lsl #1\n"                                                                                   \
    "add r4, r0, r4, lsl #3\n"                                                                                   \
    "bne 2f\n"                                                                                                   \
    "cmp r0, r4\n"                                                                                               \
    "beq 3f\n"

/* Two groups at a time, of an odd number the first one alone; then the rest tap by tap. */
#define MCUGEN_DOT_LOOP(group, tap)                                                                              \
    MCUGEN_DOT_BEGIN                                                                                             \
    "1:\n" group "2:\n" group "cmp r0, r4\n"                                                                     \
    "bne 1b\n"                                                                                                   \
    "3:\n"                                                                                                       \
    "ldr r12, [sp]\n"                                                                                            \
    "ldr r4, [r12, #44]\n"                                                                                       \
    "cbz r4, 5f\n"                                                                                               \
    "4:\n" tap "subs r4, #1\n"                                                                                   \
    "bne 4b\n"                                                                                                   \
    "5:\n"                                                                                                       \
    "pop {r12}\n"                                                                                                \
    "strd r5, r6, [r12, #16]\n"                                                                                  \
    "strd r8, r9, [r12, #24]\n"                                                                                  \
    "pop {r4-r11, pc}\n"

#define MCUGEN_DOT_TAP                                                                                           \
    "ldrsh r10, [r0], #2\n"                                                                                      \
    "ldrsb r11, [r1, r2]\n"                                                                                      \
    "ldrsb r12, [r1, r2, lsl #1]\n"                                                                              \
    "mla r6, r10, r11, r6\n"                                                                                     \
    "ldrsb r11, [r1, lr]\n"                                                                                      \
    "mla r8, r10, r12, r8\n"                                                                                     \
    "ldrsb r12, [r1], #1\n"                                                                                      \
    "mla r9, r10, r11, r9\n"                                                                                     \
    "mla r5, r10, r12, r5\n"
#define MCUGEN_DOT_TAP2                                                                                          \
    "ldrsh r10, [r0], #2\n"                                                                                      \
    "ldrsb r11, [r1, r2]\n"                                                                                      \
    "ldrsb r12, [r1], #1\n"                                                                                      \
    "mla r6, r10, r11, r6\n"                                                                                     \
    "mla r5, r10, r12, r5\n"
#if defined(MCUGEN_NN_DSP)
#define MCUGEN_DOT_ROW(from, sum)                                                                                \
    "ldr r12, [r1" from "\n"                                                                                     \
    "sxtb16 r7, r12\n"                                                                                           \
    "sxtb16 r12, r12, ror #8\n"                                                                                  \
    "smlad " sum ", r10, r7, " sum "\n"                                                                          \
    "smlad " sum ", r11, r12, " sum "\n"
#define MCUGEN_DOT_GROUP                                                                                         \
    "ldrd r10, r11, [r0], #8\n" MCUGEN_DOT_ROW(", r2]", "r6") MCUGEN_DOT_ROW(", r2, lsl #1]", "r8")              \
        MCUGEN_DOT_ROW(", lr]", "r9") MCUGEN_DOT_ROW("], #4", "r5")
#define MCUGEN_DOT_GROUP2                                                                                        \
    "ldrd r10, r11, [r0], #8\n" MCUGEN_DOT_ROW(", r2]", "r6") MCUGEN_DOT_ROW("], #4", "r5")
#else
#define MCUGEN_DOT_GROUP MCUGEN_DOT_TAP MCUGEN_DOT_TAP MCUGEN_DOT_TAP MCUGEN_DOT_TAP
#define MCUGEN_DOT_GROUP2 MCUGEN_DOT_TAP2 MCUGEN_DOT_TAP2 MCUGEN_DOT_TAP2 MCUGEN_DOT_TAP2
#endif

MCUGEN_ASSEMBLY void mcugen_dot_groups(mcugen_dot *dot __attribute__((unused)))
{
    __asm__(MCUGEN_DOT_LOOP(MCUGEN_DOT_GROUP, MCUGEN_DOT_TAP));
}

/* Of the first two rows. */
MCUGEN_ASSEMBLY void mcugen_dot_groups2(mcugen_dot *dot __attribute__((unused)))
{
    __asm__(MCUGEN_DOT_LOOP(MCUGEN_DOT_GROUP2, MCUGEN_DOT_TAP2));
}

#if defined(MCUGEN_NN_DSP)
/* Two rows times two columns: sums of rows 0 and 1 with the first column, then with the second. */
#define MCUGEN_DOT_PAIR(from, first, second)                                                                     \
    "ldr lr, [r1" from "\n"                                                                                      \
    "sxtb16 r7, lr\n"                                                                                            \
    "sxtb16 lr, lr, ror #8\n"                                                                                    \
    "smlad " first ", r10, r7, " first "\n"                                                                      \
    "smlad " second ", r3, r7, " second "\n"                                                                     \
    "smlad " first ", r11, lr, " first "\n"                                                                      \
    "smlad " second ", r12, lr, " second "\n"
#define MCUGEN_DOT_PAIRS                                                                                         \
    "ldrd r3, r12, [r0, #320]\n"                                                                                 \
    "ldrd r10, r11, [r0], #8\n" MCUGEN_DOT_PAIR(", r2]", "r6", "r9") MCUGEN_DOT_PAIR("], #4", "r5", "r8")
#define MCUGEN_DOT_PAIR_TAP                                                                                      \
    "ldrsh r3, [r0, #320]\n"                                                                                     \
    "ldrsh r10, [r0], #2\n"                                                                                      \
    "ldrsb lr, [r1, r2]\n"                                                                                       \
    "ldrsb r7, [r1], #1\n"                                                                                       \
    "mla r6, r10, lr, r6\n"                                                                                      \
    "mla r9, r3, lr, r9\n"                                                                                       \
    "mla r5, r10, r7, r5\n"                                                                                      \
    "mla r8, r3, r7, r8\n"

MCUGEN_ASSEMBLY void mcugen_dot_pairs(mcugen_dot *dot __attribute__((unused)))
{
    __asm__(MCUGEN_DOT_LOOP(MCUGEN_DOT_PAIRS, MCUGEN_DOT_PAIR_TAP));
}
#else
/* Three rows times two columns. */
#define MCUGEN_DOT_PAIR(from, first, second)                                                                     \
    "ldrsb lr, [r1" from "\n"                                                                                    \
    "mla " first ", r11, lr, " first "\n"                                                                        \
    "mla " second ", r12, lr, " second "\n"
#define MCUGEN_DOT_PAIRS                                                                                         \
    "ldrsh r12, [r0, #320]\n"                                                                                    \
    "ldrsh r11, [r0], #2\n" MCUGEN_DOT_PAIR(", r2]", "r5", "r9") MCUGEN_DOT_PAIR(", r2, lsl #1]", "r6", "r10")   \
        MCUGEN_DOT_PAIR("], #1", "r4", "r8")

MCUGEN_ASSEMBLY void mcugen_dot_pairs(mcugen_dot *dot __attribute__((unused)))
{
    __asm__(".syntax unified\n"
            "push {r0, r4-r11, lr}\n"
            "add r12, r0, #16\n"
            "ldrd r3, r2, [r0, #8]\n"
            "ldrd r0, r1, [r0]\n"
            "ldmia r12, {r4, r5, r6, r8, r9, r10}\n"
            "add r3, r0, r3, lsl #3\n"
            "cmp r0, r3\n"
            "beq 2f\n"
            "1:\n" MCUGEN_DOT_PAIRS MCUGEN_DOT_PAIRS MCUGEN_DOT_PAIRS MCUGEN_DOT_PAIRS "cmp r0, r3\n"
            "bne 1b\n"
            "2:\n"
            "ldr r12, [sp]\n"
            "ldr r3, [r12, #44]\n"
            "cbz r3, 4f\n"
            "3:\n" MCUGEN_DOT_PAIRS "subs r3, #1\n"
            "bne 3b\n"
            "4:\n"
            "pop {r12}\n"
            "adds r12, #16\n"
            "stmia r12, {r4, r5, r6, r8, r9, r10}\n"
            "pop {r4-r11, pc}\n");
}
#endif

#elif defined(__GNUC__) && defined(MCUGEN_BASELINE)
#define MCUGEN_DOT_ASM 1

/* Sums in r8 to r11; rows r1, r2, r4, r5 end where the index r3 becomes 0; the column r0 moves with it. Four taps at a
 * time; the first time those that are over, of any number. */
#define MCUGEN_DOT_GROUP_VALUES 1
#define MCUGEN_DOT_ROW(row, sum)                                                                                 \
    "ldrsb r7, [" row ", r3]\n"                                                                                  \
    "muls r7, r6\n"                                                                                              \
    "add " sum ", r7\n"
#define MCUGEN_DOT_NEXT                                                                                          \
    "adds r0, #1\n"                                                                                              \
    "adds r3, #1\n"
#define MCUGEN_DOT_TAP2 "ldrsh r6, [r0, r3]\n" MCUGEN_DOT_ROW("r1", "r8") MCUGEN_DOT_ROW("r2", "r9") MCUGEN_DOT_NEXT
#define MCUGEN_DOT_TAP                                                                                           \
    "ldrsh r6, [r0, r3]\n" MCUGEN_DOT_ROW("r1", "r8") MCUGEN_DOT_ROW("r2", "r9") MCUGEN_DOT_ROW("r4", "r10")     \
        MCUGEN_DOT_ROW("r5", "r11") MCUGEN_DOT_NEXT
#define MCUGEN_DOT_LOOP(tap)                                                                                     \
    ".syntax unified\n"                                                                                          \
    "push {r0, r4-r7, lr}\n"                                                                                     \
    "mov r4, r8\n"                                                                                               \
    "mov r5, r9\n"                                                                                               \
    "mov r6, r10\n"                                                                                              \
    "mov r7, r11\n"                                                                                              \
    "push {r4-r7}\n"                                                                                             \
    "ldr r4, [r0, #16]\n"                                                                                        \
    "ldr r5, [r0, #20]\n"                                                                                        \
    "ldr r6, [r0, #24]\n"                                                                                        \
    "ldr r7, [r0, #28]\n"                                                                                        \
    "mov r8, r4\n"                                                                                               \
    "mov r9, r5\n"                                                                                               \
    "mov r10, r6\n"                                                                                              \
    "mov r11, r7\n"                                                                                              \
    "ldr r6, [r0, #12]\n"                                                                                        \
    "ldr r3, [r0, #8]\n"                                                                                         \
    "ldr r1, [r0, #4]\n"                                                                                         \
    "ldr r0, [r0]\n"                                                                                             \
    "adds r0, r3\n"                                                                                              \
    "adds r1, r3\n"                                                                                              \
    "adds r2, r1, r6\n"                                                                                          \
    "adds r4, r2, r6\n"                                                                                          \
    "adds r5, r4, r6\n"                                                                                          \
    "rsbs r3, r3, #0\n"                                                                                          \
    "lsls r6, r3, #30\n"                                                                                         \
    "lsrs r6, r6, #29\n"                                                                                         \
    "add pc, r6\n"                                                                                               \
    "nop\n"                                                                                                      \
    "b 1f\n"                                                                                                     \
    "b 2f\n"                                                                                                     \
    "b 3f\n"                                                                                                     \
    "b 4f\n"                                                                                                     \
    "1:\n" tap "2:\n" tap "3:\n" tap "4:\n" tap                                                                  \
    "bne 1b\n"                                                                                                   \
    "ldr r0, [sp, #16]\n"                                                                                        \
    "mov r4, r8\n"                                                                                               \
    "mov r5, r9\n"                                                                                               \
    "mov r6, r10\n"                                                                                              \
    "mov r7, r11\n"                                                                                              \
    "adds r0, #16\n"                                                                                             \
    "stmia r0!, {r4-r7}\n"                                                                                       \
    "pop {r4-r7}\n"                                                                                              \
    "mov r8, r4\n"                                                                                               \
    "mov r9, r5\n"                                                                                               \
    "mov r10, r6\n"                                                                                              \
    "mov r11, r7\n"                                                                                              \
    "pop {r0, r4-r7, pc}\n"

MCUGEN_ASSEMBLY void mcugen_dot_groups(mcugen_dot *dot __attribute__((unused)))
{
    __asm__(MCUGEN_DOT_LOOP(MCUGEN_DOT_TAP));
}

/* Of the first two rows. */
MCUGEN_ASSEMBLY void mcugen_dot_groups2(mcugen_dot *dot __attribute__((unused)))
{
    __asm__(MCUGEN_DOT_LOOP(MCUGEN_DOT_TAP2));
}
#endif

#if !defined(MCUGEN_DOT_GROUP_VALUES)
#define MCUGEN_DOT_GROUP_VALUES 1
#endif

/* Two rows, or four, times one column, upon the sums. */
MCUGEN_INLINE void mcugen_dot_column(mcugen_dot *dot, int32_t rows)
{
#if defined(MCUGEN_DOT_ASM)
    if (rows == 2)
    {
        mcugen_dot_groups2(dot);
    }
    else
    {
        mcugen_dot_groups(dot);
    }
#else
    for (int32_t i = 0; i < dot->groups; ++i)
    {
        const int8_t *weight = dot->weights + i;
        for (int32_t row = 0; row < rows; ++row)
        {
            dot->sums[row] += dot->column[i] * weight[row * dot->step];
        }
    }
#endif
}

static inline void mcugen_dense_prepare(mcugen_dense *dense, int32_t input_offset, int32_t *sums)
{
    (void)dense;
    (void)input_offset;
    (void)sums;
}

static inline void mcugen_dense_same(mcugen_dense *dense, int32_t sum, int32_t *sums)
{
    (void)sums;
    dense->bias = NULL;
    dense->extra[0] = sum;
    dense->quant_step = 0;
}

/* The first column; the sums are not set yet. */
MCUGEN_INLINE void mcugen_dot_begin(mcugen_dot *dot, const mcugen_dense *dense, const mcugen_columns *columns)
{
    dot->column = (const int16_t *)(const void *)columns->words + dense->at;
    dot->groups = dense->depth / MCUGEN_DOT_GROUP_VALUES;
    dot->rest = dense->depth % MCUGEN_DOT_GROUP_VALUES;
    dot->step = dense->depth;
}

/* Two rows from `row` on, or four, times a column. */
MCUGEN_INLINE void mcugen_dense_rows(const mcugen_dense *d, mcugen_dot *dot, int32_t row, int32_t rows)
{
    const mcugen_acc4 bias = mcugen_block_bias(d->bias != NULL ? d->bias + row : NULL, rows - 1);
    dot->weights = d->weights + row * d->depth;
    dot->sums[0] = bias.a + d->extra[0];
    dot->sums[1] = bias.b + d->extra[0];
    dot->sums[2] = bias.c + d->extra[0];
    dot->sums[3] = bias.d + d->extra[0];
    mcugen_dot_column(dot, rows);
}

/* All outputs of the first column. */
MCUGEN_SHARED static void mcugen_dense_column(const mcugen_dense *dense, const mcugen_columns *columns, int8_t *output)
{
    const mcugen_dense d = *dense; /* a copy: output cannot alias it */
    int32_t row = 0;
    mcugen_dot dot;
    mcugen_dot_begin(&dot, &d, columns);
    for (; row + 4 <= d.rows; row += 4)
    {
        mcugen_dense_rows(&d, &dot, row, 4);
        const mcugen_acc4 made = {dot.sums[0], dot.sums[1], dot.sums[2], dot.sums[3]};
        mcugen_block_store(output + row, &made, d.multiplier + row * d.quant_step,
                           d.shift + row * d.quant_step, d.quant_step, d.output_offset, &d.clamp);
    }
    if (row < d.rows)
    {
        const int32_t rows = d.rows - row > 2 ? 4 : 2;
        const int32_t from = d.rows - rows; /* some again */
        dot.sums[4] = dot.sums[5] = dot.sums[6] = 0; /* read, never stored */
        mcugen_dense_rows(&d, &dot, from, rows);
        const int32_t *const sums = dot.sums + (row - from);
        const mcugen_acc4 made = {sums[0], sums[1], sums[2], sums[3]};
        mcugen_rest_store(output + row, &made, d.rows - row - 1, d.multiplier + row * d.quant_step,
                          d.shift + row * d.quant_step, d.quant_step, d.output_offset, &d.clamp);
    }
}

#if defined(MCUGEN_PAIR_ROWS)
/* The outputs of MCUGEN_PAIR_ROWS rows and two columns; the first `again` rows are done, if that counts. */
MCUGEN_INLINE void mcugen_dense_store(const mcugen_dense *d, int32_t row, int32_t again, const int32_t *sums,
                                      int narrow, int8_t *output)
{
    const int32_t step = d->quant_step;
    const int32_t *const multiplier = d->multiplier + row * step;
    const int32_t *const shift = d->shift + row * step;
#if defined(MCUGEN_NN_PACK)
    (void)again;
    const int32_t values[] = {mcugen_requantize(sums[0], multiplier[0], shift[0]),
                              mcugen_requantize(sums[1], multiplier[step], shift[step]),
                              mcugen_requantize(sums[2], multiplier[0], shift[0]),
                              mcugen_requantize(sums[3], multiplier[step], shift[step])};
    const uint32_t word = mcugen_pack4(values, d->output_offset, &d->clamp, narrow);
    const uint16_t first = (uint16_t)word;
    const uint16_t second = (uint16_t)(word >> 16);
    memcpy(output, &first, sizeof first);
    memcpy(output + d->channels, &second, sizeof second);
#else
    int8_t *const output2 = output + d->channels;
    for (int32_t i = again; i < MCUGEN_PAIR_ROWS; ++i)
    {
        const int32_t m = multiplier[i * step];
        const int32_t s = shift[i * step];
        const int32_t second = sums[MCUGEN_PAIR_ROWS + i];
#if defined(MCUGEN_NN_FIXED)
        if (!narrow)
        {
            const mcugen_fixed by = mcugen_fixed_shift(s);
            output[i] = (int8_t)mcugen_output_fixed(sums[i], m, by, s, d->output_offset);
            output2[i] = (int8_t)mcugen_output_fixed(second, m, by, s, d->output_offset);
            continue;
        }
#endif
        output[i] = mcugen_output(sums[i], m, s, d->output_offset, &d->clamp, narrow);
        output2[i] = mcugen_output(second, m, s, d->output_offset, &d->clamp, narrow);
    }
#endif
}

/* All outputs of two columns; those of the second are `channels` behind. */
MCUGEN_SHARED static void mcugen_dense_pair(const mcugen_dense *dense, const mcugen_columns *columns,
                                            int8_t *output)
{
    mcugen_dense d = *dense;
    const int narrow = mcugen_is_narrow(&d.clamp);
    mcugen_dot dot;
    mcugen_dot_begin(&dot, &d, columns);
    for (int32_t next = 0; next < d.rows; next += MCUGEN_PAIR_ROWS)
    {
        const int32_t row = mcugen_min(next, d.rows - MCUGEN_PAIR_ROWS);
        dot.weights = d.weights + row * d.depth;
        const mcugen_acc4 bias = mcugen_block_bias(d.bias != NULL ? d.bias + row : NULL, MCUGEN_PAIR_ROWS - 1);
        dot.sums[0] = bias.a + d.extra[0];
        dot.sums[1] = bias.b + d.extra[0];
        dot.sums[MCUGEN_PAIR_ROWS] = bias.a + d.extra[1];
        dot.sums[MCUGEN_PAIR_ROWS + 1] = bias.b + d.extra[1];
#if MCUGEN_PAIR_ROWS == 3
        dot.sums[2] = bias.c + d.extra[0];
        dot.sums[5] = bias.c + d.extra[1];
#endif
        mcugen_dot_pairs(&dot);
        mcugen_dense_store(&d, row, next - row, dot.sums, narrow, output + row);
    }
}
#endif

/* All outputs of the first `held` columns. */
static inline void mcugen_dense_outputs(const mcugen_dense *dense, mcugen_columns *columns, int32_t held,
                                        int8_t *output)
{
#if defined(MCUGEN_PAIR_ROWS)
    if (held == 2)
    {
        mcugen_dense_pair(dense, columns, output);
        return;
    }
#endif
    (void)held;
    mcugen_dense_column(dense, columns, output);
}

#endif

#if defined(MCUGEN_NN_DENSE)
/* mcugen_dense_outputs, once for all who need it less often. */
MCUGEN_SHARED static void mcugen_dense_outputs_call(const mcugen_dense *dense, mcugen_columns *columns, int32_t held,
                                                    int8_t *output)
{
    mcugen_dense_outputs(dense, columns, held, output);
}

/* The outputs of vectors of `depth` values each, one behind the other. filter_offset is added to the weights: to each
 * sum it adds that of the vector's values times the offset. With MVE it is 0. A function of its own, whose columns are
 * not on the stack while windows are made into others. */
MCUGEN_SHARED static void mcugen_dense_vectors(mcugen_dense *dense, const int8_t *input, int32_t vectors,
                                               int32_t input_offset, int32_t filter_offset, int8_t *output)
{
    const int32_t at_once = mcugen_columns_at_once(dense->depth);
    mcugen_columns columns;
    while (vectors > 0)
    {
        const int32_t held = mcugen_min(at_once, vectors);
        for (int32_t which = 0; which < held; ++which)
        {
            mcugen_fill_column(&columns, which, 0, input, dense->depth, input_offset);
            dense->extra[which] =
                filter_offset != 0 ? mcugen_vector_sum(input, dense->depth, input_offset) * filter_offset : 0;
            input += dense->depth;
        }
        mcugen_dense_outputs(dense, &columns, held, output);
        output += held * dense->channels;
        vectors -= held;
    }
}
#endif
#endif
