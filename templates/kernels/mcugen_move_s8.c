/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_kernels.h"

#include <string.h>

#if defined(__GNUC__)
#define WORD_ALIGNED(pointer) __builtin_assume_aligned(pointer, 4)
#else
#define WORD_ALIGNED(pointer) (pointer)
#endif

/* Read whole before it is written, so that the two places may overlap. */
typedef struct {
    uint32_t words[4];
} block;

static void move_block(const int8_t *input, int8_t *output)
{
    block held;
    memcpy(&held, WORD_ALIGNED(input), sizeof held);
    memcpy(WORD_ALIGNED(output), &held, sizeof held);
}

void mcugen_move_s8(const int8_t *input, int8_t *output, int32_t count)
{
    const int32_t aligned = (((uintptr_t)input | (uintptr_t)output) & 3u) == 0;
    const int32_t blocks = aligned ? count / (int32_t)sizeof(block) * (int32_t)sizeof(block) : 0;

    if ((uintptr_t)output <= (uintptr_t)input) {
        for (int32_t i = 0; i < blocks; i += (int32_t)sizeof(block)) {
            move_block(input + i, output + i);
        }
        for (int32_t i = blocks; i < count; i++) {
            output[i] = input[i];
        }
    } else {
        for (int32_t i = count; i > blocks; i--) {
            output[i - 1] = input[i - 1];
        }
        for (int32_t i = blocks; i > 0; i -= (int32_t)sizeof(block)) {
            move_block(input + i - sizeof(block), output + i - sizeof(block));
        }
    }
}
