/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of one float32; not for users. See mcugen_kernels_f32.h for what they ask of the compiler. */
#ifndef MCUGEN_F32_FUNCTIONS_H
#define MCUGEN_F32_FUNCTIONS_H

#include <math.h>

#include "mcugen_arithmetic.h"

/* 2^n for -126 <= n <= 127. */
static inline float mcugen_real_power_of_two(int32_t n)
{
    const uint32_t bits = (uint32_t)(n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* exp(x) for x <= 0, to 1 unit in the last place and in the very bits of ONNX Runtime's softmax: x = m ln 2 + r, a
 * polynomial in r, times 2^m. Below -103.97 the result is 0. */
static inline float mcugen_real_exp_negative(float x)
{
    x = x > -103.9720840454f ? x : -103.9720840454f;
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
    const int32_t n = (int32_t)m;
    if (n < -126) {
        return p * mcugen_real_power_of_two(n + 64) * 0x1p-64f; /* a subnormal result is rounded once */
    }
    return p * mcugen_real_power_of_two(n);
}

/* All below are within 4 units in the last place of the largest result, over the whole range. */
static inline float mcugen_real_exp(float x)
{
    if (!(x > -104.0f)) {
        return x != x ? x : 0.0f;
    }
    if (x > 88.8f) {
        return INFINITY;
    }
    const float m = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
    const float r = (x - m * 0.693145752f) - m * 1.42860677e-6f;
    float p = 1.3984e-3f;
    p = p * r + 8.3739e-3f;
    p = p * r + 4.16668e-2f;
    p = p * r + 1.666657e-1f;
    p = p * r + 0.5f;
    p = (p * r) * r + r + 1.0f;
    const int32_t n = (int32_t)m, half = n / 2; /* in two steps, as 2^n alone may be out of range */
    return p * mcugen_real_power_of_two(half) * mcugen_real_power_of_two(n - half);
}

static inline float mcugen_real_log(float x)
{
    if (!(x > 0.0f)) {
        return x == 0.0f ? -INFINITY : NAN;
    }
    if (x > 3.4028235e38f) {
        return x;
    }
    int32_t exponent = 0;
    if (x < 1.1754944e-38f) { /* subnormal */
        x *= 8388608.0f;
        exponent = -23;
    }
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    exponent += (int32_t)(bits >> 23) - 127;
    bits = (bits & 0x7FFFFFu) | 0x3F800000u;
    memcpy(&x, &bits, sizeof x);
    if (x > 1.41421356f) {
        x *= 0.5f;
        exponent++;
    }
    /* log x = 2 (s + s^3 / 3 + s^5 / 5 + ...) with s = (x - 1) / (x + 1), |s| < 0.172 */
    const float s = (x - 1.0f) / (x + 1.0f), z = s * s, e = (float)exponent;
    const float tail = z * (0.333333333f + z * (0.2f + z * (0.142857143f + z * 0.111111111f)));
    return e * 0.693145752f + (2.0f * (s + s * tail) + e * 1.42860677e-6f);
}

/* log(1 + exp x) */
static inline float mcugen_real_softplus(float x)
{
    return (x > 0.0f ? x : 0.0f) + mcugen_real_log(1.0f + mcugen_real_exp(x < 0.0f ? x : -x));
}

static inline float mcugen_real_sigmoid(float x)
{
    const float e = mcugen_real_exp(x < 0.0f ? x : -x);
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* x + x^3 P(x^2) near 0; P fits tanh at Chebyshev's nodes. */
static inline float mcugen_real_tanh(float x)
{
    const float u = x * x;
    if (u < 0.4f) {
        float p = 2.2727e-3f;
        p = p * u - 8.32639e-3f;
        p = p * u + 2.176363e-2f;
        p = p * u - 5.395862e-2f;
        p = p * u + 1.3333301e-1f;
        p = p * u - 3.3333333e-1f;
        return x + x * u * p;
    }
    const float t = 1.0f - 2.0f / (mcugen_real_exp(2.0f * (x < 0.0f ? -x : x)) + 1.0f);
    return x < 0.0f ? -t : t;
}

/* x P(x^2) up to 1; behind it 1 - exp(-x^2 + Q(x)); both fitted at Chebyshev's nodes. */
static inline float mcugen_real_erf(float x)
{
    const float u = x * x;
    if (u <= 1.0f) {
        float p = -9.67359045e-6f;
        p = p * u + 1.12682538e-4f;
        p = p * u - 8.48439653e-4f;
        p = p * u + 5.22105341e-3f;
        p = p * u - 2.68654383e-2f;
        p = p * u + 1.12837826e-1f;
        p = p * u - 3.76126385e-1f;
        p = p * u + 1.12837917f;
        return x * p;
    }
    const float a = x < 0.0f ? -x : x;
    float t = 1.0f;
    if (a < 4.0f) {
        float q = 1.61406161e-6f;
        q = q * a - 4.55906226e-5f;
        q = q * a + 5.92769539e-4f;
        q = q * a - 4.74022235e-3f;
        q = q * a + 2.63647174e-2f;
        q = q * a - 1.09978245e-1f;
        q = q * a + 3.68062906e-1f;
        q = q * a - 1.13016668f;
        q = q * a + 3.03212975e-4f;
        t = 1.0f - mcugen_real_exp(q - u);
    } else if (x != x) {
        return x;
    }
    return x < 0.0f ? -t : t;
}

/* Newton's iteration, the last one in double, so that the result is the rounded root. */
static inline float mcugen_real_sqrt(float x)
{
    if (!(x > 0.0f) || x > 3.4028235e38f) {
        return x < 0.0f ? NAN : x;
    }
    const int tiny = x < 1.1754944e-38f;
    const float scaled = tiny ? x * 16777216.0f : x;
    uint32_t bits;
    memcpy(&bits, &scaled, sizeof bits);
    bits = (bits >> 1) + 0x1FBD1DF5u;
    float y;
    memcpy(&y, &bits, sizeof y);
    for (int32_t i = 0; i < 3; i++) {
        y = 0.5f * (y + scaled / y);
    }
    const double root = 0.5 * ((double)y + (double)scaled / (double)y);
    return (float)(tiny ? root * (1.0 / 4096.0) : root);
}

/* x without its fraction, towards 0, with the sign of x. */
static inline float mcugen_real_whole(float x)
{
    const float size = x < 0.0f ? -x : x;
    if (!(size < 8388608.0f)) {
        return x;
    }
    const float whole = (float)(int32_t)size;
    uint32_t bits, sign;
    memcpy(&bits, &whole, sizeof bits);
    memcpy(&sign, &x, sizeof sign);
    bits |= sign & 0x80000000u;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

static inline float mcugen_real_floor_of(float x)
{
    const float whole = mcugen_real_whole(x);
    return whole > x ? whole - 1.0f : whole;
}

/* The nearest whole number, halves to even. */
static inline float mcugen_real_round(float x)
{
    const float whole = mcugen_real_whole(x), part = x - whole, size = part < 0.0f ? -part : part;
    const int up = size > 0.5f || (size == 0.5f && ((int32_t)whole & 1));
    return up ? (x < 0.0f ? whole - 1.0f : whole + 1.0f) : whole;
}

static inline float mcugen_real_unit(float x)
{
    return x < 0.0f ? 0.0f : (x > 1.0f ? 1.0f : x);
}

#endif
