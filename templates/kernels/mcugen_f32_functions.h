/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of one float32; not for users. See mcugen_kernels_f32.h for what they ask of the compiler. */
#ifndef MCUGEN_F32_FUNCTIONS_H
#define MCUGEN_F32_FUNCTIONS_H

#include "mcugen_arithmetic.h"

/* exp(x) for x <= 0, to 1 unit in the last place and in the very bits of ONNX Runtime's softmax: x = m ln 2 + r, a polynomial
 * in r, and m put into the exponent. Below -88.376 the result stays at its value there. */
static inline float mcugen_f32_exp_negative(float x)
{
    x = x > -88.3762626647949f ? x : -88.3762626647949f;
    const float shifted = mcugen_fma(x, 1.44269504088896341f, 12582912.0f), m = shifted - 12582912.0f;
    float r = mcugen_fma(m, -6.93145752e-1f, x);
    r = mcugen_fma(m, -1.42860677e-6f, r);
    float p = 0x1.694000p-10f;
    p = mcugen_fma(p, r, 0x1.125edcp-7f);
    p = mcugen_fma(p, r, 0x1.555b5ap-5f);
    p = mcugen_fma(p, r, 0x1.555450p-3f);
    p = mcugen_fma(p, r, 0x1.fffff6p-2f);
    p = mcugen_fma(p, r, 1.0f);
    p = mcugen_fma(p, r, 1.0f);
    const uint32_t bits = (uint32_t)((int32_t)m + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

#endif
