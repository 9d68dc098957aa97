/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"
#include "mcugen_requant.h"

#include <string.h>

#if defined(__ARM_FEATURE_MVE) && defined(__GNUC__)
#define LANES 1
#include <arm_mve.h>

/* Longest step for which the offsets of 16 lanes are bytes, and those of 8 are halfwords. */
#define STEP_OF_16 17
#define STEP_OF_8 9362

#define LINE(BITS, LOAD, STORE, NEXT)                                                                                  \
    __asm__ volatile("wlstp." BITS " lr, %[count], 2f\n1:\n\t" LOAD "\n\t" STORE "\n\t" NEXT "\n\tletp lr, 1b\n2:"     \
                     : [to] "+r"(to), [from] "+r"(from)                                                                \
                     : [count] "r"(count), [lanes] "w"(lanes), [bytes] "r"(bytes)                                      \
                     : "lr", "q0", "memory")

/* `count` adjacent bytes become bytes `step` apart. */
static void scatter(int8_t *to, int32_t step, const int8_t *from, int32_t count)
{
    if (step <= STEP_OF_16) {
        const uint8x16_t lanes = vmulq_n_u8(vidupq_n_u8(0, 1), (uint8_t)step);
        const int32_t bytes = 16 * step;
        LINE("8", "vldrb.u8 q0, [%[from]], #16", "vstrb.8 q0, [%[to], %q[lanes]]", "add %[to], %[bytes]");
    } else if (step <= STEP_OF_8) {
        const uint16x8_t lanes = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)step);
        const int32_t bytes = 8 * step;
        LINE("16", "vldrb.u16 q0, [%[from]], #8", "vstrb.16 q0, [%[to], %q[lanes]]", "add %[to], %[bytes]");
    } else {
        for (int32_t i = 0; i < count; i++) {
            to[i * step] = from[i];
        }
    }
}

/* `count` bytes `step` apart become adjacent. */
static void gather(int8_t *to, const int8_t *from, int32_t step, int32_t count)
{
    if (step <= STEP_OF_16) {
        const uint8x16_t lanes = vmulq_n_u8(vidupq_n_u8(0, 1), (uint8_t)step);
        const int32_t bytes = 16 * step;
        LINE("8", "vldrb.u8 q0, [%[from], %q[lanes]]", "vstrb.8 q0, [%[to]], #16", "add %[from], %[bytes]");
    } else if (step <= STEP_OF_8) {
        const uint16x8_t lanes = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)step);
        const int32_t bytes = 8 * step;
        LINE("16", "vldrb.u16 q0, [%[from], %q[lanes]]", "vstrb.16 q0, [%[to]], #8", "add %[from], %[bytes]");
    } else {
        for (int32_t i = 0; i < count; i++) {
            to[i] = from[i * step];
        }
    }
}
#else
MCUGEN_OUT_OF_LINE static void copy_line(int8_t *to, int32_t to_step, const int8_t *from, int32_t from_step,
                                         int32_t count)
{
    for (; count > 1; count -= 2) {
        const int8_t first = *from, second = from[from_step];
        *to = first;
        to[to_step] = second;
        to += 2 * to_step;
        from += 2 * from_step;
    }
    if (count > 0) {
        *to = *from;
    }
}

static inline void scatter(int8_t *to, int32_t step, const int8_t *from, int32_t count)
{
    copy_line(to, step, from, 1, count);
}

static inline void gather(int8_t *to, const int8_t *from, int32_t step, int32_t count)
{
    copy_line(to, 1, from, step, count);
}
#endif

#if !defined(LANES) && defined(__GNUC__) && defined(__ARM_FEATURE_DSP)
#define WORDS 1

static inline uint32_t load(const int8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static inline void store(int8_t *bytes, uint32_t word)
{
    memcpy(bytes, &word, sizeof word);
}

/* a0 b0 a2 b2, if b comes shifted up by a byte. */
static inline uint32_t even(uint32_t a, uint32_t b)
{
    b &= 0xFF00FF00u;
    __asm__("uxtab16 %0, %0, %1" : "+r"(b) : "r"(a));
    return b;
}

/* a1 b1 a3 b3 */
static inline uint32_t odd(uint32_t a, uint32_t b)
{
    b &= 0xFF00FF00u;
    __asm__("uxtab16 %0, %0, %1, ror #8" : "+r"(b) : "r"(a));
    return b;
}

/* The lower halves of two words. */
static inline uint32_t lower(uint32_t a, uint32_t b)
{
    __asm__("pkhbt %0, %1, %0, lsl #16" : "+r"(b) : "r"(a));
    return b;
}

/* The upper ones. */
static inline uint32_t upper(uint32_t a, uint32_t b)
{
    __asm__("pkhtb %0, %0, %1, asr #16" : "+r"(b) : "r"(a));
    return b;
}

/* Four pixels of three planes. */
static inline void interleave_three(const int8_t *red, const int8_t *green, const int8_t *blue, int8_t *output)
{
    const uint32_t r = load(red), g = load(green), b = load(blue);
    const uint32_t rg = even(r, g << 8), gb = odd(g, b), br = even(b, r); /* .. b0 r1 b2 r3 */
    uint32_t middle = rg;
    __asm__("pkhbt %0, %1, %0" : "+r"(middle) : "r"(gb));
    store(output, lower(rg, br));
    store(output + 4, middle);
    store(output + 8, upper(br, gb));
}

/* Four pixels of four planes. */
static inline void interleave_four(const int8_t *input, int32_t plane_bytes, int8_t *output, int32_t channels)
{
    const uint32_t a = load(input), b = load(input + plane_bytes);
    const uint32_t c = load(input + 2 * plane_bytes), d = load(input + 3 * plane_bytes);
    const uint32_t ab = even(a, b << 8), cd = even(c, d << 8), ab_odd = odd(a, b), cd_odd = odd(c, d);
    store(output, lower(ab, cd));
    store(output + channels, lower(ab_odd, cd_odd));
    store(output + 2 * channels, upper(ab, cd));
    store(output + 3 * channels, upper(ab_odd, cd_odd));
}
#elif !defined(LANES)
static inline void interleave_three(const int8_t *red, const int8_t *green, const int8_t *blue, int8_t *output)
{
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
    for (int32_t i = 0; i < 4; i++) {
        output[3 * i] = red[i];
        output[3 * i + 1] = green[i];
        output[3 * i + 2] = blue[i];
    }
}
#endif

void mcugen_interleave_s8(const int8_t *input, int8_t *output, int32_t plane_bytes, int32_t pixels, int32_t channels)
{
#if !defined(LANES)
    if (channels == 3) { /* the usual picture */
        for (; pixels >= 4; pixels -= 4, input += 4, output += 12) {
            interleave_three(input, input + plane_bytes, input + 2 * plane_bytes, output);
        }
    }
#endif
    int32_t channel = 0;
#if defined(WORDS)
    for (; pixels >= 4 && channel + 4 <= channels; channel += 4) {
        const int8_t *planes = input + channel * plane_bytes;
        int8_t *to = output + channel;
        int32_t left = pixels;
        for (; left >= 4; left -= 4, planes += 4, to += 4 * channels) {
            interleave_four(planes, plane_bytes, to, channels);
        }
        for (; left > 0; left--, planes++, to += channels) {
            gather(to, planes, plane_bytes, 4);
        }
    }
#endif
    if (pixels < channels - channel) {
        for (int32_t pixel = 0; pixel < pixels; pixel++) {
            gather(output + pixel * channels + channel, input + channel * plane_bytes + pixel, plane_bytes,
                   channels - channel);
        }
        return;
    }
    for (; channel < channels; channel++) {
        scatter(output + channel, channels, input + channel * plane_bytes, pixels);
    }
}
