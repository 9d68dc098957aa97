/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#endif

void mcugen_lut_s8(const int8_t *table, const int8_t *input, int8_t *output, int32_t count)
{
#if defined(__ARM_FEATURE_MVE)
    const uint8x16_t sign = vdupq_n_u8(0x80); /* what it is flipped to is x + 128 */
    for (; count > 0; count -= 16, input += 16, output += 16) {
        const mve_pred16_t rest = vctp8q((uint32_t)count);
        const uint8x16_t index = veorq_u8(vreinterpretq_u8_s8(vldrbq_z_s8(input, rest)), sign);
        vstrbq_p_s8(output, vldrbq_gather_offset_z_s8(table, index, rest), rest);
    }
#else
    for (int32_t i = 0; i < count; i++) {
        output[i] = table[input[i] + 128];
    }
#endif
}
