/* SPDX-License-Identifier: Apache-2.0 */
/* The inline requantizations over arrays, for the tests; built into the library under test. */
#include "arm_nnfunctions.h"
#include "mcugen_requant.h"
#ifndef MCUGEN_BUNDLED_CMSIS_NN
#include "arm_nnsupportfunctions.h"
#endif

/* mcugen_requant, its table entry made here. */
void requant_many(int32_t *result, const int32_t *acc, int32_t count, int32_t mantissa_q31, int32_t shift)
{
    const int32_t multiplier = MCUGEN_MULTIPLIER(mantissa_q31, shift);
    for (int32_t i = 0; i < count; ++i)
    {
        result[i] = mcugen_requantize(acc[i], multiplier, shift);
    }
}

void requant_wide_many(int32_t *result, const int32_t *acc, int32_t count, int32_t mantissa_q31, int32_t shift)
{
    for (int32_t i = 0; i < count; ++i)
    {
        result[i] = mcugen_requant_wide(acc[i], mantissa_q31, shift);
    }
}

void requant_stock_many(int32_t *result, const int32_t *acc, int32_t count, int32_t multiplier_q31, int32_t shift)
{
    for (int32_t i = 0; i < count; ++i)
    {
        result[i] = mcugen_requant_stock(acc[i], multiplier_q31, shift);
    }
}

#ifndef MCUGEN_BUNDLED_CMSIS_NN
/* Arm's own rounding. */
void requant_library_many(int32_t *result, const int32_t *acc, int32_t count, int32_t multiplier_q31, int32_t shift)
{
    for (int32_t i = 0; i < count; ++i)
    {
        result[i] = arm_nn_requantize(acc[i], multiplier_q31, shift);
    }
}
#endif

int32_t multiplier_entry(int32_t mantissa_q31, int32_t shift)
{
    (void)shift; /* unused by the integer macro */
    return MCUGEN_MULTIPLIER(mantissa_q31, shift);
}
