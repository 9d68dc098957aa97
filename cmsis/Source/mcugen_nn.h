/* SPDX-License-Identifier: Apache-2.0 */
/* What the bundled kernels share: valid kernel ranges, multiply-accumulate, the way to int8. */
#ifndef MCUGEN_NN_H
#define MCUGEN_NN_H

#include <stdint.h>
#include <string.h>

#include "arm_nn_types.h"
#include "mcugen_bytes.h"
#include "mcugen_requant.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define MCUGEN_NN_MVE 1
#if defined(__GNUC__)
#define MCUGEN_NN_MVE_ASM 1
#endif
#elif defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
#define MCUGEN_NN_DSP 1
#include <arm_acle.h>
#endif

#if defined(__GNUC__)
#define MCUGEN_INLINE static inline __attribute__((always_inline))
#else
#define MCUGEN_INLINE static inline
#endif

/* A function for all its callers, not one more for those whose arguments are known. */
#if defined(__GNUC__) && !defined(__clang__)
#define MCUGEN_SHARED __attribute__((noinline, noclone, unused))
#else
#define MCUGEN_SHARED MCUGEN_OUT_OF_LINE
#endif

#if defined(__GNUC__)
/* Weak: one for all files of an image whose linker drops the sections that nobody calls. */
#define MCUGEN_ASSEMBLY __attribute__((naked, noinline, weak))
#endif

/* The loop behind it stays one. */
#if defined(__GNUC__) && !defined(__clang__)
#define MCUGEN_ROLLED _Pragma("GCC unroll 1")
#else
#define MCUGEN_ROLLED
#endif

/* Outputs computed together, to read each input once for all of them. */
#define MCUGEN_NN_BLOCK 4

/* Their sums, each a variable of its own so that it lives in a register. */
typedef struct
{
    int32_t a;
    int32_t b;
    int32_t c;
    int32_t d;
} mcugen_acc4;

/* Kernel taps [begin, end) along one axis. */
typedef struct
{
    int32_t begin;
    int32_t end;
} mcugen_taps;

static inline int32_t mcugen_min(int32_t a, int32_t b) { return a < b ? a : b; }

static inline int32_t mcugen_max(int32_t a, int32_t b) { return a > b ? a : b; }

/* The number of k >= 0 with k * step < distance. */
static inline int32_t mcugen_steps_below(int32_t distance, int32_t step)
{
    if (distance <= 0)
    {
        return 0;
    }
    return step == 1 ? distance : (distance + step - 1) / step;
}

/* The taps k of `count` whose position origin + k * dilation lies in [0, size). */
static inline mcugen_taps mcugen_valid_taps(int32_t origin, int32_t size, int32_t count, int32_t dilation)
{
    mcugen_taps taps = {0, count};
    if (origin >= 0 && origin + (count - 1) * dilation < size)
    {
        return taps; /* most windows */
    }
    taps.begin = mcugen_min(count, mcugen_steps_below(-origin, dilation));
    taps.end = mcugen_max(taps.begin, mcugen_min(count, mcugen_steps_below(size - origin, dilation)));
    return taps;
}

static inline int32_t mcugen_clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : (value > high ? high : value);
}

/* A clamp to all of int8 is one instruction, where there is one. */
static inline int mcugen_is_narrow(const cmsis_nn_activation *clamp)
{
    return clamp->min != -128 || clamp->max != 127;
}

#if defined(__GNUC__) && defined(MCUGEN_MAINLINE) && !MCUGEN_REQUANT_FPU && !MCUGEN_REQUANT_STOCK
#define MCUGEN_NN_FIXED 1
/* How far accumulators of one shift go left before the product with the multiplier, and its upper word right after. */
typedef struct
{
    int32_t left;
    int32_t right;
} mcugen_fixed;

MCUGEN_INLINE mcugen_fixed mcugen_fixed_shift(int32_t shift)
{
    const int32_t up = shift + 15;
    int32_t left;
    __asm__("usat %0, #5, %1" : "=r"(left) : "r"(up) : "cc");
    const mcugen_fixed by = {left, left - up};
    return by;
}

MCUGEN_COLD static int32_t mcugen_output_wide(int32_t acc, int32_t multiplier, int32_t shift, int32_t offset)
{
    return mcugen_clamp(mcugen_requant_wide(acc, multiplier, shift) + offset, -128, 127);
}

/* Requantizes, adds the zero point, clamps to int8. As mcugen_requant, of whose fraction 14 bits are kept: the float
 * roundings move them by less than half a unit. |acc * s| < 2^15, so no bit of acc is lost to the left. */
MCUGEN_INLINE int32_t mcugen_output_fixed(int32_t acc, int32_t multiplier, mcugen_fixed by, int32_t shift,
                                          int32_t offset)
{
    const int32_t scaled = (int32_t)((uint32_t)acc << by.left);
    const int32_t high = (int32_t)(((int64_t)scaled * multiplier) >> 32);
    const int32_t fixed = (high >> by.right) + (offset * (1 << 14) + 0x2000);
    int32_t value;
    if (MCUGEN_RARELY((((uint32_t)fixed + 1u) & 0x3FFEu) == 0))
    {
        return mcugen_output_wide(acc, multiplier, shift, offset);
    }
    __asm__("ssat %0, #8, %1, asr #14" : "=r"(value) : "r"(fixed) : "cc");
    return value;
}
#endif

#if defined(MCUGEN_REQUANT_V6M) && !MCUGEN_REQUANT_STOCK
#define MCUGEN_NN_V6M 1
MCUGEN_OUT_OF_LINE static int32_t mcugen_output_any(int32_t acc, int32_t multiplier, int32_t shift, int32_t offset)
{
    return mcugen_clamp(mcugen_requant(acc, multiplier, shift) + offset, -128, 127);
}
#endif

/* Requantizes, adds the zero point, clamps. */
MCUGEN_INLINE int8_t mcugen_output(int32_t acc, int32_t multiplier, int32_t shift, int32_t offset,
                                   const cmsis_nn_activation *clamp, int narrow)
{
#if defined(MCUGEN_NN_FIXED)
    const int32_t value = mcugen_output_fixed(acc, multiplier, mcugen_fixed_shift(shift), shift, offset);
#elif defined(MCUGEN_NN_V6M)
    const int32_t value = (uint32_t)shift + 16u < 16u ? mcugen_requant_output_v6m(acc, multiplier, 15 - shift, offset)
                                                      : mcugen_output_any(acc, multiplier, shift, offset);
#else
    int32_t value = mcugen_requantize(acc, multiplier, shift) + offset;
#if defined(__GNUC__) && defined(MCUGEN_MAINLINE)
    __asm__("ssat %0, #8, %0" : "+r"(value) : : "cc");
#else
    narrow = 1;
#endif
#endif
    return (int8_t)(narrow ? mcugen_clamp(value, clamp->min, clamp->max) : value);
}

#if defined(MCUGEN_NN_MVE)
static inline int32x4_t mcugen_clamp_mve(int32x4_t values, int32_t low, int32_t high)
{
    return vminq_s32(vmaxq_s32(values, vdupq_n_s32(low)), vdupq_n_s32(high));
}

#if MCUGEN_REQUANT_STOCK || defined(MCUGEN_REQUANT_MVE) || !MCUGEN_REQUANT_FPU
#define MCUGEN_NN_REQUANTIZE_MVE 1
/* Four of mcugen_requantize. */
static inline int32x4_t mcugen_requantize_mve(int32x4_t acc, int32_t multiplier, int32_t shift)
{
#if MCUGEN_REQUANT_STOCK
    return mcugen_requant_stock_mve(acc, multiplier, shift);
#elif defined(MCUGEN_REQUANT_MVE)
    (void)shift;
    return mcugen_requant_mve(acc, vdupq_n_s32(multiplier));
#else
    /* As mcugen_requant, of whose fraction 14 bits are kept: see mcugen_output_fixed. */
    const int32_t up = shift + 15;
    const int32_t left = mcugen_max(up, 0);
    const int32x4_t high = vmulhq_s32(vshlq_r_s32(acc, left), vdupq_n_s32(multiplier));
    const int32x4_t fixed = vaddq_n_s32(vshlq_r_s32(high, up - left), 0x2000);
    const int32x4_t fractions = vandq_s32(vaddq_n_s32(fixed, 1), vdupq_n_s32(0x3FFE));
    if (MCUGEN_RARELY(vminvq_s32(0x3FFE, fractions) == 0)) /* not vcmpeqq: GCC 12 fails on it with -Os */
    {
        int32_t lanes[4];
        vstrwq_s32(lanes, acc);
        for (int32_t i = 0; i < 4; ++i)
        {
            lanes[i] = mcugen_requant(lanes[i], multiplier, shift);
        }
        return vldrwq_s32(lanes);
    }
    return vshrq_n_s32(fixed, 14);
#endif
}
#endif
#endif

#if defined(MCUGEN_NN_DSP)
/* Four bytes at any address. */
static inline uint32_t mcugen_load4(const int8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Byte by byte, signed. */
static inline uint32_t mcugen_larger4(uint32_t a, uint32_t b)
{
    uint32_t larger;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(larger) : "r"(a), "r"(b));
    return larger;
}

static inline uint32_t mcugen_smaller4(uint32_t a, uint32_t b)
{
    uint32_t smaller;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(smaller) : "r"(a), "r"(b));
    return smaller;
}

/* The second and the fourth byte as two int16. */
static inline int16x2_t mcugen_odd_bytes(uint32_t word)
{
    int16x2_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}

static inline int16x2_t mcugen_odd_bytes_plus(int16x2_t addend, uint32_t word)
{
    int16x2_t pair;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(pair) : "r"(addend), "r"(word));
    return pair;
}

static inline int32_t mcugen_dot4(int32_t acc, int16x2_t even, int16x2_t odd, const int8_t *weights)
{
    const uint32_t word = mcugen_load4(weights);
    return __smlad(odd, mcugen_odd_bytes(word), __smlad(even, __sxtb16((int8x4_t)word), acc));
}
#endif

/* The sum of `count` values, with the offset added to each. */
static inline int32_t mcugen_vector_sum(const int8_t *values, int32_t count, int32_t offset)
{
    int32_t sum = count * offset;
    int32_t i = 0;
#if defined(MCUGEN_NN_MVE)
    for (; i < count; i += 16)
    {
        sum = vaddvaq_s8(sum, vldrbq_z_s8(values + i, vctp8q((uint32_t)(count - i))));
    }
#else
#if defined(MCUGEN_NN_DSP)
    const int16x2_t ones = 0x00010001;
    for (; i + 4 <= count; i += 4)
    {
        const uint32_t word = mcugen_load4(values + i);
        sum = __smlad(mcugen_odd_bytes(word), ones, __smlad(__sxtb16((int8x4_t)word), ones, sum));
    }
#endif
    for (; i < count; ++i)
    {
        sum += values[i];
    }
#endif
    return sum;
}

/* A block may be partial: `last` < 3 is its last output, and the missing ones repeat that. */
static inline mcugen_acc4 mcugen_block_bias(const int32_t *bias, int32_t last)
{
    mcugen_acc4 acc = {0, 0, 0, 0};
    if (bias != NULL)
    {
        acc.a = bias[0];
        acc.b = bias[mcugen_min(1, last)];
        acc.c = bias[mcugen_min(2, last)];
        acc.d = bias[mcugen_min(3, last)];
    }
    return acc;
}

#if defined(MCUGEN_NN_DSP) && !MCUGEN_REQUANT_STOCK
#define MCUGEN_NN_PACK 1
/* Four requantized values, which fit 16 bits, as bytes of a word: with the zero point, clamped. */
MCUGEN_INLINE uint32_t mcugen_pack4(const int32_t values[4], int32_t offset, const cmsis_nn_activation *clamp,
                                    int narrow)
{
    const uint32_t offsets = ((uint32_t)offset << 16) | ((uint32_t)offset & 0xFFFFu);
    uint32_t even;
    uint32_t odd;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(even) : "r"(values[0]), "r"(values[2]));
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(odd) : "r"(values[1]), "r"(values[3]));
    __asm__("qadd16 %0, %0, %1\n\tssat16 %0, #8, %0\n\tuxtb16 %0, %0" : "+r"(even) : "r"(offsets) : "cc");
    __asm__("qadd16 %0, %0, %1\n\tssat16 %0, #8, %0\n\tuxtb16 %0, %0" : "+r"(odd) : "r"(offsets) : "cc");
    const uint32_t word = even | odd << 8;
    return narrow ? mcugen_smaller4(mcugen_larger4(word, (uint32_t)(uint8_t)clamp->min * 0x01010101u),
                                    (uint32_t)(uint8_t)clamp->max * 0x01010101u)
                  : word;
}
#endif

/* Outputs 0 to `last` of a block: requantizes, adds the zero point, clamps. Each has an entry in the tables, or all
 * share the first one (quant_step 0). */
MCUGEN_INLINE void mcugen_rest_store(int8_t *output, const mcugen_acc4 *acc, int32_t last, const int32_t *multiplier,
                                     const int32_t *shift, int32_t quant_step, int32_t offset,
                                     const cmsis_nn_activation *clamp)
{
#if defined(MCUGEN_REQUANT_MVE)
    const mve_pred16_t lanes = vctp32q((uint32_t)last + 1u);
    const int32x4_t sums = {acc->a, acc->b, acc->c, acc->d};
    const int32x4_t scales = quant_step != 0 ? vldrwq_z_s32(multiplier, lanes) : vdupq_n_s32(*multiplier);
    const int32x4_t values = vaddq_n_s32(mcugen_requant_mve(sums, scales), offset);
    (void)shift;
    vstrbq_p_s32(output, mcugen_clamp_mve(values, clamp->min, clamp->max), lanes);
#else
    const int32_t sums[MCUGEN_NN_BLOCK] = {acc->a, acc->b, acc->c, acc->d};
    MCUGEN_ROLLED
    for (int32_t i = 0; i <= last; ++i)
    {
        output[i] = mcugen_output(sums[i], *multiplier, *shift, offset, clamp, 1);
        multiplier += quant_step;
        shift += quant_step;
    }
#endif
}

#if !defined(MCUGEN_REQUANT_MVE) && !defined(MCUGEN_NN_PACK)
/* The four of a block, where they must be clamped to less than int8. */
MCUGEN_SHARED static void mcugen_narrow_store(int8_t *output, const mcugen_acc4 *acc, const int32_t *multiplier,
                                              const int32_t *shift, int32_t quant_step, int32_t offset,
                                              const cmsis_nn_activation *clamp)
{
    mcugen_rest_store(output, acc, MCUGEN_NN_BLOCK - 1, multiplier, shift, quant_step, offset, clamp);
}
#endif

/* All outputs of a block. narrow: mcugen_is_narrow(clamp). */
MCUGEN_INLINE void mcugen_block_store_as(int8_t *output, const mcugen_acc4 *acc, const int32_t *multiplier,
                                         const int32_t *shift, int32_t quant_step, int32_t offset,
                                         const cmsis_nn_activation *clamp, int narrow)
{
#if defined(MCUGEN_REQUANT_MVE)
    (void)narrow;
    mcugen_rest_store(output, acc, MCUGEN_NN_BLOCK - 1, multiplier, shift, quant_step, offset, clamp);
#elif defined(MCUGEN_NN_PACK)
    const int32_t values[] = {mcugen_requantize(acc->a, multiplier[0], shift[0]),
                              mcugen_requantize(acc->b, multiplier[quant_step], shift[quant_step]),
                              mcugen_requantize(acc->c, multiplier[2 * quant_step], shift[2 * quant_step]),
                              mcugen_requantize(acc->d, multiplier[3 * quant_step], shift[3 * quant_step])};
    const uint32_t word = mcugen_pack4(values, offset, clamp, narrow);
    memcpy(output, &word, sizeof word);
#else
    if (narrow)
    {
        mcugen_narrow_store(output, acc, multiplier, shift, quant_step, offset, clamp);
        return;
    }
    output[0] = mcugen_output(acc->a, multiplier[0], shift[0], offset, clamp, 0);
    output[1] = mcugen_output(acc->b, multiplier[quant_step], shift[quant_step], offset, clamp, 0);
    output[2] = mcugen_output(acc->c, multiplier[2 * quant_step], shift[2 * quant_step], offset, clamp, 0);
    output[3] = mcugen_output(acc->d, multiplier[3 * quant_step], shift[3 * quant_step], offset, clamp, 0);
#endif
}

static inline void mcugen_block_store(int8_t *output, const mcugen_acc4 *acc, const int32_t *multiplier,
                                      const int32_t *shift, int32_t quant_step, int32_t offset,
                                      const cmsis_nn_activation *clamp)
{
    mcugen_block_store_as(output, acc, multiplier, shift, quant_step, offset, clamp, mcugen_is_narrow(clamp));
}

#endif
