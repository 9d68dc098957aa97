/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

#if defined(MCUGEN_REQUANT_MVE)
/* Bytes that a sum of 16 bits holds. */
#define PIXELS_AT_ONCE 255

/* Eight channels at a time, their sums in two vectors: even lanes and odd ones. */
static void average_lanes(const mcugen_global_average_pool_params *p,
                          const int8_t *input,
                          int8_t *output,
                          int32_t pixels,
                          int32_t channels)
{
    const int32x4_t multiplier = vdupq_n_s32(p->multiplier);
    for (int32_t c = 0; c < channels; c += 8) {
        const mve_pred16_t lanes = vctp16q((uint32_t)(channels - c));
        const int8_t *pixel = input + c;
        int32x4_t even = vdupq_n_s32(p->input_offset * pixels);
        int32x4_t odd = even;
        for (int32_t left = pixels; left > 0; left -= PIXELS_AT_ONCE) {
            int16x8_t sum = vdupq_n_s16(0);
            for (int32_t i = left < PIXELS_AT_ONCE ? left : PIXELS_AT_ONCE; i > 0; i--, pixel += channels) {
                sum = vaddq_s16(sum, vldrbq_z_s16(pixel, lanes));
            }
            even = vaddq_s32(even, vmovlbq_s16(sum));
            odd = vaddq_s32(odd, vmovltq_s16(sum));
        }
        /* Saturation to 16 bits comes before the zero point, and changes nothing beyond 8 bits. */
        int16x8_t average = vqmovnbq_s32(vdupq_n_s16(0), mcugen_requant_mve(even, multiplier));
        average = vqmovntq_s32(average, mcugen_requant_mve(odd, multiplier));
        average = vqaddq_n_s16(average, (int16_t)p->output_offset);
        average = vmaxq_s16(average, vdupq_n_s16((int16_t)p->activation.min));
        average = vminq_s16(average, vdupq_n_s16((int16_t)p->activation.max));
        vstrbq_p_s16(output + c, average, lanes);
    }
}
#endif

#if defined(__GNUC__) && defined(__ARM_FEATURE_DSP) && !defined(MCUGEN_REQUANT_MVE)
#define WORDS 1
/* Bytes that a sum of 16 bits holds. */
#define PIXELS_AT_ONCE 256

/* Adds `pixels` values of each of four adjacent channels to their sums. */
static void sum_words(const int8_t *pixel, int32_t pixels, int32_t channels, int32_t sums[4])
{
    while (pixels > 0) {
        uint32_t even = 0, odd = 0;
        int32_t count = pixels < PIXELS_AT_ONCE ? pixels : PIXELS_AT_ONCE;
        pixels -= count;
        for (; count > 0; count--, pixel += channels) {
            uint32_t word;
            memcpy(&word, pixel, sizeof word);
            __asm__("sxtab16 %0, %1, %2" : "=r"(even) : "r"(even), "r"(word));
            __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(odd) : "r"(odd), "r"(word));
        }
        sums[0] += (int16_t)(uint16_t)even;
        sums[1] += (int16_t)(uint16_t)odd;
        sums[2] += (int32_t)even >> 16;
        sums[3] += (int32_t)odd >> 16;
    }
}
#endif

void mcugen_global_average_pool_s8(const mcugen_global_average_pool_params *params,
                                   const int8_t *input,
                                   int8_t *output,
                                   int32_t pixels,
                                   int32_t channels)
{
#if defined(MCUGEN_REQUANT_MVE)
    average_lanes(params, input, output, pixels, channels);
#else
    const mcugen_global_average_pool_params p = *params; /* a copy: output cannot alias it */
    const int32_t offset = p.input_offset * pixels;
    int32_t c = 0;
#if defined(WORDS)
    for (; c + 4 <= channels; c += 4) {
        int32_t sums[4] = {offset, offset, offset, offset};
        sum_words(input + c, pixels, channels, sums);
        for (int32_t i = 0; i < 4; i++) {
            const int32_t average = mcugen_requant(sums[i], p.multiplier, p.shift) + p.output_offset;
            output[c + i] = mcugen_activate(average, &p.activation);
        }
    }
#endif
    for (; c < channels; c++) {
        int32_t sum = offset;
        const int8_t *pixel = input + c;
        for (int32_t i = 0; i < pixels; i++, pixel += channels) {
            sum += *pixel;
        }
        const int32_t average = mcugen_requant(sum, p.multiplier, p.shift) + p.output_offset;
        output[c] = mcugen_activate(average, &p.activation);
    }
#endif
}
