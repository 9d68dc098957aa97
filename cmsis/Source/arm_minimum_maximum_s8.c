/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

#define MAX_AXES 4

/* One axis of the loops over the output, innermost first, with the inputs' steps in bytes: 0 where one is repeated. */
typedef struct
{
    int32_t count;
    int32_t a_step;
    int32_t b_step;
} axis;

#if defined(MCUGEN_NN_MVE_ASM)
/* Of `count` values; the second ones are lane by lane those of q1, or loaded into it. */
#define CHOOSE(operation, load)                                                                                  \
    __asm__ volatile("vdup.8 q1, %[value]\n"                                                                     \
                     "wlstp.8 lr, %[count], 2f\n"                                                                \
                     "1:\n"                                                                                      \
                     "vldrb.u8 q0, [%[a]], #16\n" load operation " q0, q0, q1\n"                                 \
                     "vstrb.8 q0, [%[output]], #16\n"                                                            \
                     "letp lr, 1b\n"                                                                             \
                     "2:"                                                                                        \
                     : [a] "+r"(a), [b] "+r"(b), [output] "+r"(output)                                           \
                     : [value] "r"(*b), [count] "r"(count)                                                       \
                     : "lr", "q0", "q1", "memory")
#define LOAD "vldrb.u8 q1, [%[b]], #16\n"

MCUGEN_INLINE void choose(const int8_t *a, const int8_t *b, int8_t *output, int32_t count, int fixed, int larger)
{
    if (larger && fixed)
    {
        CHOOSE("vmax.s8", "");
    }
    else if (larger)
    {
        CHOOSE("vmax.s8", LOAD);
    }
    else if (fixed)
    {
        CHOOSE("vmin.s8", "");
    }
    else
    {
        CHOOSE("vmin.s8", LOAD);
    }
}
#else
MCUGEN_INLINE int8_t chosen(int8_t a, int8_t b, int larger) { return (larger ? a > b : a < b) ? a : b; }

/* Of `count` values of a, and as many of b, or the only one. */
MCUGEN_INLINE void choose(const int8_t *a, const int8_t *b, int8_t *output, int32_t count, int fixed, int larger)
{
#if defined(MCUGEN_NN_DSP)
    uint32_t right = (uint32_t)(uint8_t)*b * 0x01010101u;
    for (; count >= 4; count -= 4)
    {
        right = fixed ? right : mcugen_load4(b);
        const uint32_t word = larger ? mcugen_larger4(mcugen_load4(a), right) : mcugen_smaller4(mcugen_load4(a), right);
        memcpy(output, &word, sizeof word);
        a += 4;
        b += fixed ? 0 : 4;
        output += 4;
    }
#else
    const int8_t same = *b;
    for (; count >= 4; count -= 4)
    {
        output[0] = chosen(a[0], fixed ? same : b[0], larger);
        output[1] = chosen(a[1], fixed ? same : b[1], larger);
        output[2] = chosen(a[2], fixed ? same : b[2], larger);
        output[3] = chosen(a[3], fixed ? same : b[3], larger);
        a += 4;
        b += fixed ? 0 : 4;
        output += 4;
    }
#endif
    for (; count > 0; --count)
    {
        *output++ = chosen(*a++, *b, larger);
        b += fixed ? 0 : 1;
    }
}
#endif

/* Lines of `count` values, with the steps from one to the next. */
MCUGEN_INLINE void choose_lines(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *output,
                                int32_t count, int32_t lines, int fixed, int larger)
{
    for (; lines > 0; --lines)
    {
        choose(a, b, output, count, fixed, larger);
        a += a_step;
        b += b_step;
        output += count;
    }
}

MCUGEN_INLINE arm_cmsis_nn_status broadcast(const int8_t *a, const cmsis_nn_dims *a_dims, const int8_t *b,
                                            const cmsis_nn_dims *b_dims, int8_t *output,
                                            const cmsis_nn_dims *output_dims, int larger)
{
    const int32_t a_sizes[MAX_AXES] = {a_dims->c, a_dims->w, a_dims->h, a_dims->n};
    const int32_t b_sizes[MAX_AXES] = {b_dims->c, b_dims->w, b_dims->h, b_dims->n};
    const int32_t sizes[MAX_AXES] = {output_dims->c, output_dims->w, output_dims->h, output_dims->n};
    axis loops[MAX_AXES] = {{1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}};
    axis *loop = loops;
    int32_t a_bytes = 1;
    int32_t b_bytes = 1;

    /* Axes along which both inputs go on as along the one within become one with it. */
    for (int32_t i = 0; i < MAX_AXES; ++i)
    {
        const axis next = {sizes[i], a_sizes[i] == 1 ? 0 : a_bytes, b_sizes[i] == 1 ? 0 : b_bytes};
        if ((a_sizes[i] != sizes[i] && a_sizes[i] != 1) || (b_sizes[i] != sizes[i] && b_sizes[i] != 1) ||
            sizes[i] != mcugen_max(a_sizes[i], b_sizes[i]))
        {
            return ARM_CMSIS_NN_ARG_ERROR;
        }
        a_bytes *= a_sizes[i];
        b_bytes *= b_sizes[i];
        if (loop->count == 1)
        {
            *loop = next;
        }
        else if (next.a_step == loop->count * loop->a_step && next.b_step == loop->count * loop->b_step)
        {
            loop->count *= next.count;
        }
        else if (next.count != 1)
        {
            *++loop = next;
        }
    }

    const int32_t count = loops[0].count;
    const int32_t lines = loops[1].count;
    for (int32_t i = 0; i < loops[3].count; ++i)
    {
        for (int32_t j = 0; j < loops[2].count; ++j)
        {
            const int8_t *line_a = a + i * loops[3].a_step + j * loops[2].a_step;
            const int8_t *line_b = b + i * loops[3].b_step + j * loops[2].b_step;
            /* Along the innermost axis steps are 0 or 1; both are 0 only where it has one value. */
            if (loops[0].b_step == 0)
            {
                choose_lines(line_a, loops[1].a_step, line_b, loops[1].b_step, output, count, lines, 1, larger);
            }
            else if (loops[0].a_step == 0)
            {
                choose_lines(line_b, loops[1].b_step, line_a, loops[1].a_step, output, count, lines, 1, larger);
            }
            else
            {
                choose_lines(line_a, loops[1].a_step, line_b, loops[1].b_step, output, count, lines, 0, larger);
            }
            output += count * lines;
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}

arm_cmsis_nn_status arm_minimum_s8(const cmsis_nn_context *ctx,
                                   const int8_t *input_1_data,
                                   const cmsis_nn_dims *input_1_dims,
                                   const int8_t *input_2_data,
                                   const cmsis_nn_dims *input_2_dims,
                                   int8_t *output_data,
                                   const cmsis_nn_dims *output_dims)
{
    (void)ctx;
    return broadcast(input_1_data, input_1_dims, input_2_data, input_2_dims, output_data, output_dims, 0);
}

arm_cmsis_nn_status arm_maximum_s8(const cmsis_nn_context *ctx,
                                   const int8_t *input_1_data,
                                   const cmsis_nn_dims *input_1_dims,
                                   const int8_t *input_2_data,
                                   const cmsis_nn_dims *input_2_dims,
                                   int8_t *output_data,
                                   const cmsis_nn_dims *output_dims)
{
    (void)ctx;
    return broadcast(input_1_data, input_1_dims, input_2_data, input_2_dims, output_data, output_dims, 1);
}
