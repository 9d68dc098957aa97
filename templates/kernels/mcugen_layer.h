/* SPDX-License-Identifier: Apache-2.0 */
/* What the specialised kernels share. Their contract:
 *
 * - A kernel mcugen_NAME is an always-inlined function in mcugen_NAME.h. The generated code calls it with the address
 *   of a constant mcugen_layer, so the compiler folds sizes, strides, borders, zero points and clamps into the code.
 *   mcugen_rows is constant too, or holds what bands of one layer that share its code pass; its address stays in the
 *   kernel.
 * - `weights` is a table whose order the kernel's header defines and mcugen/ops/specialised.py writes. `bias` holds
 *   bias - input_zero * (sum of the channel's weights): kernels multiply the raw bytes, and a padded tap is
 *   input_zero. `multiplier` is one entry per channel, or one for all if multiplier_step is 0.
 * - `scratch` is memory of the size that specialised.py states, aligned to 4 bytes; tables are aligned to 4 bytes too.
 *   Activations have any alignment.
 * - Every path (asm, C) gives the same bytes on the same tables: a project for one core runs on every other. */
#ifndef MCUGEN_LAYER_H
#define MCUGEN_LAYER_H

#include <stdint.h>
#include <string.h>

#include "arm_nn_types.h"
#include "mcugen_add.h"
#include "mcugen_requant.h"

#if defined(__GNUC__)
#define MCUGEN_ALWAYS_INLINE static inline __attribute__((always_inline))
#define MCUGEN_UNROLLED _Pragma("GCC unroll 32")
#else
#define MCUGEN_ALWAYS_INLINE static inline
#define MCUGEN_UNROLLED
#endif

/* The asm blocks take literals that only an optimizing compiler finds. */
#if defined(__GNUC__) && defined(__OPTIMIZE__) && defined(__ARM_FEATURE_DSP)
#define MCUGEN_ASM_DSP 1
#elif defined(__GNUC__) && defined(__OPTIMIZE__) && defined(MCUGEN_MAINLINE)
#define MCUGEN_ASM_V7M 1
#elif defined(__GNUC__) && defined(__OPTIMIZE__) && defined(MCUGEN_BASELINE)
#define MCUGEN_ASM_V6M 1
#endif

#if defined(MCUGEN_ASM_DSP) || defined(MCUGEN_ASM_V7M) || defined(MCUGEN_ASM_V6M)
/* Compilers measure an asm block by its lines (branches and literal pools must reach over it) and do not see .rept:
 * these empty lines stand for the instructions it repeats, 128 at most. */
#define MCUGEN_ROOM_16 "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"
#define MCUGEN_ROOM                                                                                                    \
    MCUGEN_ROOM_16 MCUGEN_ROOM_16 MCUGEN_ROOM_16 MCUGEN_ROOM_16                                                        \
    MCUGEN_ROOM_16 MCUGEN_ROOM_16 MCUGEN_ROOM_16 MCUGEN_ROOM_16
#endif

/* A convolution of any kind; fully connected is a 1x1 filter on an input of width `rows`. */
typedef struct {
    int32_t batch, input_w, input_c, filter_h, filter_w, output_w, output_c;
    int32_t stride_h, stride_w, pad_left, dilation_h, dilation_w;
    int32_t groups;    /* of channels that meet only each other, where the kernel knows them; 0: all meet all */
    int32_t pointwise; /* 1: a filter of one pixel that meets every pixel once */
    int32_t input_zero, output_zero, output_min, output_max;
    int32_t multiplier_step; /* 1, or 0: one multiplier for all channels */
    int32_t shift;           /* of all channels (see MCUGEN_MULTIPLIER_AT) ... */
    const int32_t *shifts;   /* ... or, where they lie too far apart, one for each; else NULL */
    int32_t weight_bytes;    /* 1 or 2: int8 or int16 weights, where the kernel knows both */
    int32_t paired;          /* 1: an int16 holds the weights of two channels, where the kernel knows it */
    int32_t unroll;          /* of the innermost loop: divides its length */
    int32_t compact;         /* 1: code of the requantization is shared with other layers, where it is long */
    int32_t by_address;      /* 1: a window is the addresses of its taps, where the kernel knows them */
    int32_t adds;            /* 1, 2: the layer's values are a, b of `add`, the others stand at output; 0: no Add */
    mcugen_add_params add;
} mcugen_layer;

/* The rows of a layer, or of a band of them: all in which the bands of one layer differ. */
typedef struct {
    int32_t input_h, output_h, pad_top;
} mcugen_rows;

/* Not inlined; only cores to which it means many instructions call it. */
MCUGEN_OUT_OF_LINE static int32_t mcugen_layer_requant_call(int32_t acc, int32_t multiplier, int32_t shift)
{
    return mcugen_requant_at(acc, multiplier, shift);
}

MCUGEN_ALWAYS_INLINE int32_t mcugen_layer_requant(const mcugen_layer *p, int32_t acc, int32_t multiplier,
                                                  int32_t channel)
{
    const int32_t shift = p->shifts != NULL ? p->shifts[channel] : p->shift;
#if defined(MCUGEN_BASELINE)
    if (p->compact) {
        return mcugen_layer_requant_call(acc, multiplier, shift);
    }
#endif
    return mcugen_requant_at(acc, multiplier, shift);
}

/* Adds the zero point and clamps. */
MCUGEN_ALWAYS_INLINE int8_t mcugen_layer_clamp(const mcugen_layer *p, int32_t value)
{
    value += p->output_zero;
#if defined(MCUGEN_ASM_DSP) || defined(MCUGEN_ASM_V7M)
    if (p->output_min == -128 && p->output_max == 127) {
        __asm__("ssat %0, #8, %0" : "+r"(value) : : "cc");
        return (int8_t)value;
    }
#endif
    value = value < p->output_min ? p->output_min : value;
    return (int8_t)(value > p->output_max ? p->output_max : value);
}

/* An accumulator becomes an output. */
MCUGEN_ALWAYS_INLINE int8_t mcugen_layer_output(const mcugen_layer *p, int32_t acc, int32_t multiplier, int32_t channel)
{
#if defined(MCUGEN_ASM_V6M)
    if (p->shifts == NULL && p->shift < 0 && p->shift >= -16 && p->output_min == -128 && p->output_max == 127) {
        return (int8_t)mcugen_requant_output_v6m(acc, multiplier, 15 - p->shift, p->output_zero);
    }
#endif
    return mcugen_layer_clamp(p, mcugen_layer_requant(p, acc, multiplier, channel));
}

#if defined(MCUGEN_ASM_DSP)
/* Two requantized values with the zero point, clamped to int8 and then 128 too high, in the halves of a word: so that
 * saturation is unsigned and leaves clean bytes. */
MCUGEN_ALWAYS_INLINE uint32_t mcugen_saturate_pair(const mcugen_layer *p, int32_t low, int32_t high)
{
    const uint32_t zero = (uint32_t)(p->output_zero + 128) * 0x10001u;
    uint32_t pair;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(low), "r"(high));
    if (zero != 0) {
        __asm__("qadd16 %0, %0, %1" : "+r"(pair) : "r"(zero));
    }
    __asm__("usat16 %0, #8, %0" : "+r"(pair) : : "cc");
    return pair;
}
#endif

/* `count` values of the layer, added to those at output. */
MCUGEN_OUT_OF_LINE static void mcugen_layer_add(const mcugen_layer *p, const int8_t *values, int8_t *output,
                                                int32_t count)
{
    const int8_t *const a = p->adds == 1 ? values : output;
    mcugen_add_values(&p->add, a, a == values ? output : values, output, count);
}

/* Four bytes at any address, and back. */
MCUGEN_ALWAYS_INLINE uint32_t mcugen_load_word(const int8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

MCUGEN_ALWAYS_INLINE void mcugen_store_word(int8_t *bytes, uint32_t word)
{
    memcpy(bytes, &word, sizeof word);
}

/* May a word be loaded and stored at these addresses? */
MCUGEN_ALWAYS_INLINE int mcugen_word_access(const int8_t *to, const int8_t *from)
{
#if defined(MCUGEN_BASELINE)
    return (((uintptr_t)to | (uintptr_t)from) & 3u) == 0;
#else
    (void)to;
    (void)from;
    return 1;
#endif
}

MCUGEN_ALWAYS_INLINE void mcugen_copy_word(int8_t *to, const int8_t *from)
{
#if defined(MCUGEN_BASELINE) && defined(__GNUC__)
    memcpy(__builtin_assume_aligned(to, 4), __builtin_assume_aligned(from, 4), 4);
#else
    mcugen_store_word(to, mcugen_load_word(from));
#endif
}

/* Copies `from`, or repeats `fill` where it is NULL; returns the end of what it wrote. */
MCUGEN_ALWAYS_INLINE int8_t *mcugen_copy_bytes(int8_t *to, const int8_t *from, int32_t fill, int32_t count)
{
    if (from == NULL) {
        for (; count > 0; count--) {
            *to++ = (int8_t)fill;
        }
        return to;
    }
    if (mcugen_word_access(to, from)) {
        for (; count >= 16; count -= 16, to += 16, from += 16) {
            mcugen_copy_word(to, from);
            mcugen_copy_word(to + 4, from + 4);
            mcugen_copy_word(to + 8, from + 8);
            mcugen_copy_word(to + 12, from + 12);
        }
        for (; count >= 4; count -= 4, to += 4, from += 4) {
            mcugen_copy_word(to, from);
        }
    }
    for (; count > 0; count--) {
        *to++ = *from++;
    }
    return to;
}

/* Where the window of one output pixel starts in the input, and whether all of it lies inside. */
typedef struct {
    int32_t y, x, inside;
} mcugen_window;

MCUGEN_ALWAYS_INLINE mcugen_window mcugen_window_at(const mcugen_layer *p, const mcugen_rows *r, int32_t y, int32_t x)
{
    mcugen_window w;
    w.y = y * p->stride_h - r->pad_top;
    w.x = x * p->stride_w - p->pad_left;
    w.inside = p->pointwise ||
               ((r->pad_top == 0 || w.y >= 0) && (p->pad_left == 0 || w.x >= 0) &&
                ((r->output_h - 1) * p->stride_h - r->pad_top + (p->filter_h - 1) * p->dilation_h < r->input_h ||
                 w.y + (p->filter_h - 1) * p->dilation_h < r->input_h) &&
                ((p->output_w - 1) * p->stride_w - p->pad_left + (p->filter_w - 1) * p->dilation_w < p->input_w ||
                 w.x + (p->filter_w - 1) * p->dilation_w < p->input_w));
    return w;
}

/* The window as an array [filter_h, filter_w, input_c], with input_zero where it leaves the input. */
MCUGEN_OUT_OF_LINE static void
mcugen_window_copy(const mcugen_layer *p, int32_t input_h, const int8_t *image, mcugen_window w, int8_t *copy)
{
    for (int32_t i = 0, y = w.y; i < p->filter_h; i++, y += p->dilation_h) {
        const int32_t row_inside = y >= 0 && y < input_h;
        int32_t run; /* taps that are adjacent in the input, or outside together */
        for (int32_t j = 0, x = w.x; j < p->filter_w; j += run, x += run * p->dilation_w) {
            const int32_t inside = row_inside && x >= 0 && x < p->input_w;
            const int32_t left = p->filter_w - j;
            const int32_t ahead = !row_inside ? left : x < 0 ? -x : inside ? p->input_w - x : left;
            run = p->dilation_w > 1 ? 1 : ahead < left ? ahead : left;
            copy = mcugen_copy_bytes(copy, inside ? image + (y * p->input_w + x) * p->input_c : NULL, p->input_zero,
                                     run * p->input_c);
        }
    }
}

/* The same, group by group of channels: [groups, filter_h, filter_w, input_c / groups], groups `step` bytes apart. */
MCUGEN_OUT_OF_LINE static void mcugen_group_windows(const mcugen_layer *p, int32_t input_h, const int8_t *image,
                                                    mcugen_window w, int8_t *copy, int32_t step)
{
    const int32_t channels = p->input_c / p->groups;
    for (int32_t i = 0, y = w.y; i < p->filter_h; i++, y += p->dilation_h) {
        for (int32_t j = 0, x = w.x; j < p->filter_w; j++, x += p->dilation_w, copy += channels) {
            const int32_t inside = w.inside || (y >= 0 && y < input_h && x >= 0 && x < p->input_w);
            const int8_t *const pixel = inside ? image + (y * p->input_w + x) * p->input_c : NULL;
            for (int32_t g = 0; g < p->groups; g++) {
                mcugen_copy_bytes(copy + g * step, inside ? pixel + g * channels : NULL, p->input_zero, channels);
            }
        }
    }
}

#endif
