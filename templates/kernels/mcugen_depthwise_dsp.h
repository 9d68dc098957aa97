/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution, one output per input channel, for cores with SMLAD.
 *
 * Four channels at once: the words of two taps become four pairs of int16, and meet four pairs of weights. Taps count
 * row by row; the last of an odd number has no partner. weights int16 [input_c / 4, taps, 4], for each pair of taps
 * channel by channel (tap, next tap), for a last single tap the channels 0, 2, 1, 3. Missing channels are zeros, in
 * every table. Order: pixel by pixel.
 *
 * Scratch, if the layer has borders or dilation: a window copy, or (by_address) the addresses of a window's taps and
 * the pixel of zero points where those outside are found. */
#ifndef MCUGEN_DEPTHWISE_DSP_H
#define MCUGEN_DEPTHWISE_DSP_H

#include "mcugen_layer.h"

#define MCUGEN_ADDRESS_BYTES 8 /* of the widest host: the plan is the same for every core */

/* The sums of four adjacent channels. */
typedef struct {
    int32_t a, b, c, d;
} mcugen_lanes;

/* One to four bytes; what lies beyond is not read. */
MCUGEN_ALWAYS_INLINE uint32_t mcugen_load_lanes(const int8_t *bytes, int32_t lanes)
{
    if (lanes == 4) {
        return mcugen_load_word(bytes);
    }
    uint32_t word = (uint8_t)bytes[0];
    word |= lanes > 1 ? (uint32_t)(uint8_t)bytes[1] << 8 : 0u;
    word |= lanes > 2 ? (uint32_t)(uint8_t)bytes[2] << 16 : 0u;
    return word;
}

#if !defined(MCUGEN_ASM_DSP)
/* Byte i of a word. */
MCUGEN_ALWAYS_INLINE int32_t mcugen_lane(uint32_t word, int32_t i)
{
    return (int8_t)(uint8_t)(word >> (8 * i));
}
#endif

/* The words x and y of two taps; returns the next weights. */
MCUGEN_ALWAYS_INLINE const int16_t *mcugen_tap_pair(mcugen_lanes *s, uint32_t x, uint32_t y, const int16_t *weights)
{
#if defined(MCUGEN_ASM_DSP)
    uint32_t t, v, w;
    __asm__("pkhbt %[t], %[x], %[y], lsl #16\n\t"
            "pkhtb %[y], %[y], %[x], asr #16\n\t"
            "ldrd %[v], %[w], [%[weights]], #8\n\t"
            "sxtb16 %[x], %[t]\n\t"
            "sxtb16 %[t], %[t], ror #8\n\t"
            "smlad %[a], %[x], %[v], %[a]\n\t"
            "smlad %[b], %[t], %[w], %[b]\n\t"
            "ldrd %[v], %[w], [%[weights]], #8\n\t"
            "sxtb16 %[x], %[y]\n\t"
            "sxtb16 %[y], %[y], ror #8\n\t"
            "smlad %[c], %[x], %[v], %[c]\n\t"
            "smlad %[d], %[y], %[w], %[d]"
            : [a] "+r"(s->a), [b] "+r"(s->b), [c] "+r"(s->c), [d] "+r"(s->d), [x] "+r"(x), [y] "+r"(y), [t] "=&r"(t),
              [v] "=&r"(v), [w] "=&r"(w), [weights] "+r"(weights)
            :
            : "memory");
    return weights;
#else
    s->a += mcugen_lane(x, 0) * weights[0] + mcugen_lane(y, 0) * weights[1];
    s->b += mcugen_lane(x, 1) * weights[2] + mcugen_lane(y, 1) * weights[3];
    s->c += mcugen_lane(x, 2) * weights[4] + mcugen_lane(y, 2) * weights[5];
    s->d += mcugen_lane(x, 3) * weights[6] + mcugen_lane(y, 3) * weights[7];
    return weights + 8;
#endif
}

/* The word x of one tap; returns the next weights. */
MCUGEN_ALWAYS_INLINE const int16_t *mcugen_tap_single(mcugen_lanes *s, uint32_t x, const int16_t *weights)
{
#if defined(MCUGEN_ASM_DSP)
    uint32_t t, v, w;
    __asm__("ldrd %[v], %[w], [%[weights]], #8\n\t"
            "sxtb16 %[t], %[x]\n\t"
            "sxtb16 %[x], %[x], ror #8\n\t"
            "smlabb %[a], %[t], %[v], %[a]\n\t"
            "smlabb %[b], %[x], %[w], %[b]\n\t"
            "smlatt %[c], %[t], %[v], %[c]\n\t"
            "smlatt %[d], %[x], %[w], %[d]"
            : [a] "+r"(s->a), [b] "+r"(s->b), [c] "+r"(s->c), [d] "+r"(s->d), [x] "+r"(x), [t] "=&r"(t), [v] "=&r"(v),
              [w] "=&r"(w), [weights] "+r"(weights)
            :
            : "memory");
#else
    s->a += mcugen_lane(x, 0) * weights[0];
    s->b += mcugen_lane(x, 1) * weights[2];
    s->c += mcugen_lane(x, 2) * weights[1];
    s->d += mcugen_lane(x, 3) * weights[3];
    weights += 4;
#endif
    return weights;
}

/* Requantizes and stores the first `lanes` of four channels from `channel` on. */
MCUGEN_ALWAYS_INLINE void mcugen_store_lanes(const mcugen_layer *p, const mcugen_lanes *s, const int32_t *multiplier,
                                             int32_t channel, int32_t lanes, int8_t *output)
{
    const int32_t *const m = multiplier + channel * p->multiplier_step;
    const int32_t step = p->multiplier_step;
#if defined(MCUGEN_ASM_DSP)
    if (lanes == 4 && p->output_min == -128 && p->output_max == 127) {
        const uint32_t even = mcugen_saturate_pair(p, mcugen_layer_requant(p, s->a, m[0], channel),
                                                   mcugen_layer_requant(p, s->c, m[2 * step], channel + 2));
        const uint32_t odd = mcugen_saturate_pair(p, mcugen_layer_requant(p, s->b, m[step], channel + 1),
                                                  mcugen_layer_requant(p, s->d, m[3 * step], channel + 3));
        mcugen_store_word(output, (even | odd << 8) ^ 0x80808080u);
        return;
    }
#endif
    output[0] = mcugen_layer_output(p, s->a, m[0], channel);
    if (lanes > 1) {
        output[1] = mcugen_layer_output(p, s->b, m[step], channel + 1);
    }
    if (lanes > 2) {
        output[2] = mcugen_layer_output(p, s->c, m[2 * step], channel + 2);
    }
    if (lanes > 3) {
        output[3] = mcugen_layer_output(p, s->d, m[3 * step], channel + 3);
    }
}

/* Tap i of a window: the addresses of its taps, or their rows. */
MCUGEN_ALWAYS_INLINE const int8_t *mcugen_tap(const mcugen_layer *p, const int8_t *window, int32_t row_stride,
                                              int32_t i)
{
    if (p->by_address) {
        const int8_t *tap;
        memcpy(&tap, window + i * MCUGEN_ADDRESS_BYTES, sizeof tap);
        return tap;
    }
    return window + i / p->filter_w * row_stride + i % p->filter_w * p->input_c;
}

/* `lanes` channels of one pixel. */
MCUGEN_ALWAYS_INLINE const int16_t *
mcugen_depthwise_lanes(const mcugen_layer *p, const int8_t *window, int32_t row_stride, const int16_t *weights,
                       const int32_t *bias, const int32_t *multiplier, int32_t channel, int32_t lanes, int8_t *output)
{
    const int32_t taps = p->filter_h * p->filter_w;
    mcugen_lanes s = {bias[channel], bias[channel + 1], bias[channel + 2], bias[channel + 3]};
    MCUGEN_UNROLLED
    for (int32_t i = 0; i + 1 < taps; i += 2) {
        const int8_t *const tap = mcugen_tap(p, window, row_stride, i) + channel;
        const int8_t *const next = mcugen_tap(p, window, row_stride, i + 1) + channel;
        weights = mcugen_tap_pair(&s, mcugen_load_lanes(tap, lanes), mcugen_load_lanes(next, lanes), weights);
    }
    if (taps % 2 != 0) {
        const int8_t *const tap = mcugen_tap(p, window, row_stride, taps - 1) + channel;
        weights = mcugen_tap_single(&s, mcugen_load_lanes(tap, lanes), weights);
    }
    mcugen_store_lanes(p, &s, multiplier, channel, lanes, output);
    return weights;
}

/* The addresses of a window's taps; one outside the input is the pixel `outside`. */
MCUGEN_ALWAYS_INLINE void mcugen_find_taps(const mcugen_layer *p, int32_t input_h, const int8_t *image,
                                           mcugen_window w, const int8_t *outside, int8_t *addresses)
{
    if (w.inside) {
        const int8_t *const first = image + (w.y * p->input_w + w.x) * p->input_c;
        MCUGEN_UNROLLED
        for (int32_t i = 0; i < p->filter_h * p->filter_w; i++) {
            const int32_t y = i / p->filter_w * p->dilation_h, x = i % p->filter_w * p->dilation_w;
            const int8_t *const tap = first + (y * p->input_w + x) * p->input_c;
            memcpy(addresses + i * MCUGEN_ADDRESS_BYTES, &tap, sizeof tap);
        }
        return;
    }
    for (int32_t i = 0, y = w.y; i < p->filter_h; i++, y += p->dilation_h) {
        const int32_t row_inside = y >= 0 && y < input_h;
        for (int32_t j = 0, x = w.x; j < p->filter_w; j++, x += p->dilation_w, addresses += MCUGEN_ADDRESS_BYTES) {
            const int32_t inside = row_inside && x >= 0 && x < p->input_w;
            const int8_t *const tap = inside ? image + (y * p->input_w + x) * p->input_c : outside;
            memcpy(addresses, &tap, sizeof tap);
        }
    }
}

MCUGEN_ALWAYS_INLINE void mcugen_depthwise_dsp(const cmsis_nn_context *scratch,
                                               const mcugen_layer *p,
                                               const mcugen_rows *r,
                                               const int8_t *input,
                                               const int16_t *weights,
                                               const int32_t *bias,
                                               const int32_t *multiplier,
                                               int8_t *output)
{
    const int32_t input_row = p->input_w * p->input_c, rest = p->input_c % 4;
    int8_t *copy = scratch->buf; /* or addresses */
#if defined(MCUGEN_ASM_DSP)
    /* Else the code, and its speed, would change with the places that the plan finds for the tensors. */
    __asm__("" : "+r"(copy), "+r"(input), "+r"(output));
#endif
    int8_t *const outside = p->by_address ? copy + p->filter_h * p->filter_w * MCUGEN_ADDRESS_BYTES : NULL;

    if (p->by_address) {
        mcugen_copy_bytes(outside, NULL, p->input_zero, p->input_c);
    }
    for (int32_t n = 0; n < p->batch; n++, input += r->input_h * input_row) {
        for (int32_t y = 0; y < r->output_h; y++) {
            for (int32_t x = 0; x < p->output_w; x++, output += p->output_c) {
                const mcugen_window at = mcugen_window_at(p, r, y, x);
                const int8_t *window = copy;
                int32_t row_stride = p->filter_w * p->input_c;
                if (p->by_address) {
                    mcugen_find_taps(p, r->input_h, input, at, outside, copy);
                } else if (at.inside && p->dilation_w == 1) {
                    window = input + at.y * input_row + at.x * p->input_c;
                    row_stride = input_row * p->dilation_h;
                } else {
                    mcugen_window_copy(p, r->input_h, input, at, copy);
                }
                const int16_t *next = weights;
                int32_t c = 0;
                for (; c < p->input_c - rest; c += 4) {
                    next = mcugen_depthwise_lanes(p, window, row_stride, next, bias, multiplier, c, 4, output + c);
                }
                if (rest != 0) {
                    mcugen_depthwise_lanes(p, window, row_stride, next, bias, multiplier, c, rest, output + c);
                }
            }
        }
    }
}

#endif
