/* SPDX-License-Identifier: Apache-2.0 */
/* What the specialised kernels for Helium share. Their inner loops are assembly, because compilers spill what just
 * fits the registers; MCUGEN_HELIUM is defined where it can be built. Elsewhere plain C computes the same. */
#ifndef MCUGEN_MVE_H
#define MCUGEN_MVE_H

#include "mcugen_layer.h"

#if defined(MCUGEN_REQUANT_MVE) && defined(__GNUC__)
#define MCUGEN_HELIUM 1

/* A function of assembly alone: it saves what it uses and returns by itself. */
#define MCUGEN_NAKED __attribute__((naked, noinline)) static

MCUGEN_ALWAYS_INLINE void mcugen_mve_copy(int8_t *to, const int8_t *from, int32_t bytes)
{
    __asm__ volatile("wlstp.8 lr, %[bytes], 2f\n"
                     "1:\n\t"
                     "vldrb.u8 q0, [%[from]], #16\n\t"
                     "vstrb.8 q0, [%[to]], #16\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [to] "+r"(to), [from] "+r"(from)
                     : [bytes] "r"(bytes)
                     : "lr", "q0", "memory");
}

MCUGEN_ALWAYS_INLINE void mcugen_mve_fill(int8_t *to, int8_t value, int32_t bytes)
{
    __asm__ volatile("vdup.8 q0, %[value]\n\t"
                     "wlstp.8 lr, %[bytes], 2f\n"
                     "1:\n\t"
                     "vstrb.8 q0, [%[to]], #16\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [to] "+r"(to)
                     : [bytes] "r"(bytes), [value] "r"(value)
                     : "lr", "q0", "memory");
}

/* mcugen_window_copy, a row at a time. */
MCUGEN_OUT_OF_LINE static void
mcugen_mve_window_copy(const mcugen_layer *p, const int8_t *image, mcugen_window w, int8_t *copy)
{
    const int8_t zero = (int8_t)p->input_zero;
    const int32_t row_bytes = p->filter_w * p->input_c;
    const int32_t before = (w.x < 0 ? -w.x : 0) * p->input_c;
    const int32_t beyond = w.x + p->filter_w > p->input_w ? w.x + p->filter_w - p->input_w : 0;
    const int32_t inside = row_bytes - before - beyond * p->input_c;

    if (p->dilation_w != 1) {
        mcugen_window_copy(p, image, w, copy);
        return;
    }
    for (int32_t i = 0, y = w.y; i < p->filter_h; i++, y += p->dilation_h, copy += row_bytes) {
        if (y < 0 || y >= p->input_h || inside <= 0) {
            mcugen_mve_fill(copy, zero, row_bytes);
            continue;
        }
        mcugen_mve_fill(copy, zero, before);
        mcugen_mve_copy(copy + before, image + (y * p->input_w + w.x) * p->input_c + before, inside);
        mcugen_mve_fill(copy + before + inside, zero, beyond * p->input_c);
    }
}
#endif

/* How many windows from pixel x of row y on lie inside the input, side by side. */
MCUGEN_ALWAYS_INLINE int32_t mcugen_windows_inside(const mcugen_layer *p, int32_t y, int32_t x)
{
    const mcugen_window w = mcugen_window_at(p, y, x);
    if (!w.inside) {
        return 0;
    }
    const int32_t room = p->input_w - (p->filter_w - 1) * p->dilation_w - w.x;
    const int32_t count = (room - 1) / p->stride_w + 1;
    return count < p->output_w - x ? count : p->output_w - x;
}

#endif
