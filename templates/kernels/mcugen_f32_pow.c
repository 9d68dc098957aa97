/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_f32_functions.h"

/* log2 of a positive, finite float, to about 50 bits: m 2^e with m near 1, and 2 artanh((m - 1) / (m + 1)) / ln 2. */
static double binary_logarithm(float x)
{
    const double wide = (double)x; /* subnormal floats are normal doubles */
    uint64_t bits;
    memcpy(&bits, &wide, sizeof bits);
    int32_t exponent = (int32_t)(bits >> 52) - 1023;
    bits = (bits & 0xFFFFFFFFFFFFFu) | 0x3FF0000000000000u;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    const double s = (m - 1.0) / (m + 1.0), z = s * s;
    double tail = 0.0;
    for (int32_t n = 21; n >= 1; n -= 2) {
        tail = tail * z + 1.0 / (double)n;
    }
    return (double)exponent + 2.0 * s * tail * 1.4426950408889634;
}

/* 2^x for |x| < 1000: 2^n e^(f ln 2) with |f| <= 1/2. */
static double binary_power(double x)
{
    const int32_t n = (int32_t)(x < 0.0 ? x - 0.5 : x + 0.5);
    const double f = (x - (double)n) * 0.6931471805599453;
    double p = 1.0;
    for (int32_t k = 13; k >= 1; k--) {
        p = 1.0 + p * f / (double)k;
    }
    const uint64_t bits = (uint64_t)(n + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

/* C's powf, special values included. */
static float power(float x, float y)
{
    const float size = x < 0.0f ? -x : x, whole = mcugen_real_whole(y), steps = y < 0.0f ? -y : y;
    const int is_whole = whole == y, is_odd = is_whole && steps < 16777216.0f && ((int32_t)steps & 1);
    uint32_t sign;
    memcpy(&sign, &x, sizeof sign);
    const float factor = (sign >> 31) && is_odd ? -1.0f : 1.0f;
    if (y == 0.0f || x == 1.0f) {
        return 1.0f;
    }
    if (x != x || y != y) {
        return x + y;
    }
    if (size == 0.0f || size > 3.4028235e38f) {
        return factor * ((size == 0.0f) == (y < 0.0f) ? INFINITY : 0.0f);
    }
    if (size == 1.0f && steps > 3.4028235e38f) {
        return 1.0f;
    }
    if (x < 0.0f && !is_whole) {
        return NAN;
    }
    const double scaled = binary_logarithm(size) * (double)y;
    if (scaled >= 128.0 || scaled < -151.0) {
        return factor * (scaled > 0.0 ? INFINITY : 0.0f);
    }
    return factor * (float)binary_power(scaled);
}

#define MCUGEN_F32_OPERATION(x, y) power(x, y)
#include "mcugen_f32_binary.h"

void mcugen_f32_pow(const mcugen_f32_binary_params *params, const float *a, const float *b, float *output)
{
    mcugen_f32_binary(params, a, b, output);
}
