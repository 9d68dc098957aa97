/* A driver-monitoring net's footprint (1 MB arena, 400 KB weights), every word of free RAM, and both ends of
 * the data region. Prints the bytes of free RAM. */
#include "board.h"

#define ARENA_WORDS (1024u * 1024u / 4u)
#define WEIGHT_WORDS (400u * 1024u / 4u)
#define DATA_WORDS (15u * 1024u * 1024u / 4u)

extern uint32_t board_zero_end[], board_stack_limit[];

__attribute__((section(".mcugen_arena"))) uint32_t arena[ARENA_WORDS];
__attribute__((section(".mcugen_weights"))) const uint32_t weights[WEIGHT_WORDS] = {[0] = 7, [WEIGHT_WORDS - 1] = 11};
__attribute__((section(".board_noinit"))) uint32_t scratch[DATA_WORDS];
__attribute__((section(".board_data"))) uint32_t loaded[2] = {0xCAFEu, 0xF00Du};
uint32_t initialised = 0x5EEDu;

static int holds(uint32_t *from, const uint32_t *to)
{
    for (uint32_t *word = from; word < to; word++) {
        *word = (uint32_t)(uintptr_t)word * 2654435761u;
    }
    for (const uint32_t *word = from; word < to; word++) {
        if (*word != (uint32_t)(uintptr_t)word * 2654435761u) {
            return 0;
        }
    }
    return 1;
}

int main(void)
{
    board_init();
    for (uint32_t i = 0; i < ARENA_WORDS; i++) {
        if (arena[i] != 0) {
            return 1;
        }
    }
    uint32_t sum = 0;
    for (uint32_t i = 0; i < WEIGHT_WORDS; i++) {
        sum += weights[i];
    }
    if (sum != 18 || initialised != 0x5EEDu || loaded[0] != 0xCAFEu || loaded[1] != 0xF00Du) {
        return 2;
    }
    if (!holds(arena, arena + ARENA_WORDS) || !holds(board_zero_end, board_stack_limit)) {
        return 3;
    }
    if (!holds(scratch, scratch + 1024) || !holds(scratch + DATA_WORDS - 1024, scratch + DATA_WORDS)) {
        return 4;
    }
    board_put_u64((uint64_t)(board_stack_limit - board_zero_end) * 4u);
    return 0;
}
