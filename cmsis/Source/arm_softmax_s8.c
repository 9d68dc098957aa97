/* SPDX-License-Identifier: Apache-2.0 */
/* The fixed-point softmax of TensorFlow Lite (its exponential and reciprocal are gemmlowp's), the same integers in
 * every build. Qm.n: n bits behind the point. */
#include "arm_nnfunctions.h"
#include "mcugen_nn.h"

#define SUM_INTEGER_BITS 12        /* of the sum of exponentials, Q12.19 */
#define QUARTER (INT32_C(1) << 24) /* in Q5.26 */

/* exp(-1/4), exp(-1/2), exp(-1), ..., exp(-16) in Q0.31. */
static const int32_t exponentials[] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};

/* exp(x) in Q0.31 for x <= 0 in Q5.26. */
static int32_t exponential(int32_t x)
{
    if (x == 0)
    {
        return INT32_MAX;
    }
    /* x = part - rest: exp(part) from its series around -1/8, times a factor for each bit of rest, in quarters. */
    const int32_t part = (x & (QUARTER - 1)) - QUARTER;
    const uint32_t rest = (uint32_t)(part - x) / QUARTER;
    const int32_t y = part * 32 + (INT32_C(1) << 28);
    const int32_t y2 = mcugen_high_product(y, y);
    const int32_t y4 = mcugen_high_product(y2, y2);
    const int32_t third = mcugen_high_product(mcugen_divide_by_power(y4, 2) + mcugen_high_product(y2, y), 715827883);
    const int32_t series = y + mcugen_divide_by_power(third + y2, 1); /* y + y^2 / 2 + y^3 / 6 + y^4 / 24 */
    int32_t result = 1895147668 + mcugen_high_product(1895147668, series); /* exp(-1/8) (1 + series) */
    for (int32_t bit = 0; (rest >> bit) != 0; ++bit)
    {
        if (((rest >> bit) & 1u) != 0)
        {
            result = mcugen_high_product(result, exponentials[bit]);
        }
    }
    return result;
}

static int32_t saturated(int64_t value) { return value > INT32_MAX ? INT32_MAX : (int32_t)value; }

/* 1 / (1 + x) in Q0.31 for x in [0, 1) in Q0.31: three steps of Newton's method for 1 / d, d = (1 + x) / 2. */
static int32_t reciprocal(int32_t x)
{
    const int32_t d = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
    int32_t z = 1515870810 + mcugen_high_product(d, -1010580540); /* 48/17 - 32/17 d, in Q2.29 */
    for (int32_t i = 0; i < 3; ++i)
    {
        const int32_t error = (INT32_C(1) << 29) - mcugen_high_product(d, z);
        z += saturated((int64_t)mcugen_high_product(z, error) * 4);
    }
    return saturated((int64_t)z * 2);
}

void arm_softmax_s8(const int8_t *input,
                    const int32_t num_rows,
                    const int32_t row_size,
                    const int32_t mult,
                    const int32_t shift,
                    const int32_t diff_min,
                    int8_t *output)
{
    const int32_t raise = INT32_C(1) << shift;
    for (int32_t row = 0; row < num_rows; ++row)
    {
        int32_t largest = input[0];
        int32_t sum = 0;
        int32_t headroom = 0;
        for (int32_t i = 1; i < row_size; ++i)
        {
            largest = mcugen_max(largest, input[i]);
        }
        for (int32_t i = 0; i < row_size; ++i)
        {
            const int32_t difference = input[i] - largest;
            if (difference >= diff_min)
            {
                const int32_t value = exponential(mcugen_high_product(difference * raise, mult));
                sum += mcugen_divide_by_power(value, SUM_INTEGER_BITS);
            }
        }
        headroom = 32 - mcugen_bit_length((uint32_t)sum);
        const int32_t scale = reciprocal((int32_t)(((uint32_t)sum << headroom) & INT32_MAX));
        for (int32_t i = 0; i < row_size; ++i)
        {
            const int32_t difference = input[i] - largest;
            int32_t value = 0;
            if (difference >= diff_min)
            {
                value = mcugen_high_product(scale, exponential(mcugen_high_product(difference * raise, mult)));
                value = mcugen_divide_by_power(value, 31 - 8 + SUM_INTEGER_BITS - headroom);
            }
            output[i] = (int8_t)(mcugen_min(value, 255) - 128);
        }
        input += row_size;
        output += row_size;
    }
}
