/* SPDX-License-Identifier: Apache-2.0 */
/* What the bundled kernels share: valid kernel ranges, multiply-accumulate, the way to int8. */
#ifndef MCUGEN_NN_H
#define MCUGEN_NN_H

#include <stdint.h>
#include <string.h>

#include "mcugen_requant.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define MCUGEN_NN_MVE 1
#include <arm_mve.h>
#elif defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
#define MCUGEN_NN_DSP 1
#include <arm_acle.h>
#endif

/* Outputs computed together, to read each input once for all of them. */
#define MCUGEN_NN_BLOCK 4

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
    mcugen_taps taps;
    taps.begin = mcugen_min(count, mcugen_steps_below(-origin, dilation));
    taps.end = mcugen_max(taps.begin, mcugen_min(count, mcugen_steps_below(size - origin, dilation)));
    return taps;
}

static inline int32_t mcugen_clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : (value > high ? high : value);
}

#if defined(MCUGEN_NN_DSP)
/* Four bytes at any address; their even and odd ones as two int16 each. */
static inline uint32_t mcugen_load4(const int8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

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

static inline int32_t mcugen_dot4(int32_t acc, int16x2_t even, int16x2_t odd, uint32_t weights)
{
    return __smlad(odd, mcugen_odd_bytes(weights), __smlad(even, __sxtb16((int8x4_t)weights), acc));
}
#endif

/* acc[j] += sum over i < count of (input[i] + input_offset) * weights[j * weights_step + i], j < lanes. */
static inline void mcugen_mac(int32_t *acc, int32_t lanes, const int8_t *input, int32_t input_offset,
                              const int8_t *weights, int32_t weights_step, int32_t count)
{
    int32_t i = 0;
#if defined(MCUGEN_NN_MVE)
    for (; i < count; i += 8)
    {
        const mve_pred16_t rest = vctp16q((uint32_t)(count - i));
        const int16x8_t values = vaddq_n_s16(vldrbq_z_s16(input + i, rest), (int16_t)input_offset);
        for (int32_t j = 0; j < lanes; ++j)
        {
            const int16x8_t row = vldrbq_z_s16(weights + j * weights_step + i, rest);
            acc[j] = vmladavaq_p_s16(acc[j], values, row, rest);
        }
    }
#else
#if defined(MCUGEN_NN_DSP)
    const int16x2_t offsets = (int16x2_t)(((uint32_t)input_offset << 16) | ((uint32_t)input_offset & 0xFFFFu));
    for (; i + 4 <= count; i += 4)
    {
        const uint32_t word = mcugen_load4(input + i);
        const int16x2_t even = __sxtab16(offsets, (int8x4_t)word);
        const int16x2_t odd = mcugen_odd_bytes_plus(offsets, word);
        for (int32_t j = 0; j < lanes; ++j)
        {
            acc[j] = mcugen_dot4(acc[j], even, odd, mcugen_load4(weights + j * weights_step + i));
        }
    }
#endif
    for (; i < count; ++i)
    {
        const int32_t value = input[i] + input_offset;
        for (int32_t j = 0; j < lanes; ++j)
        {
            acc[j] += value * weights[j * weights_step + i];
        }
    }
#endif
}

/* acc[j] = bias[j], or 0 where there is no bias. */
static inline void mcugen_load_bias(int32_t *acc, int32_t lanes, const int32_t *bias)
{
    for (int32_t j = 0; j < lanes; ++j)
    {
        acc[j] = bias != NULL ? bias[j] : 0;
    }
}

/* Requantizes, adds the zero point, clamps. Channel j uses entry j * step of the tables. */
static inline void mcugen_store(int8_t *output, const int32_t *acc, int32_t lanes, const int32_t *multiplier,
                                const int32_t *shift, int32_t step, int32_t offset, int32_t low, int32_t high)
{
    for (int32_t j = 0; j < lanes; ++j)
    {
        const int32_t value = mcugen_requantize(acc[j], multiplier[j * step], shift[j * step]) + offset;
        output[j] = (int8_t)mcugen_clamp(value, low, high);
    }
}

#endif
