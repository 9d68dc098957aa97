/* Prints ticks and wraps of three calls: an empty function (the cost of measuring), 1,000,001 and
 * 30,000,001 instructions more than that. */
#include "board.h"

void empty(void);
void loop_1_000_001(void);
void loop_30_000_001(void);

__attribute__((naked, noinline)) void empty(void)
{
    __asm volatile("bx lr");
}

/* One load, two instructions per round, and the return that empty() has too. */
#define LOOP(rounds)                     \
    __asm volatile(".syntax unified\n\t" \
                   "ldr r0, =" #rounds "\n" \
                   "1:\n\t"              \
                   "subs r0, #1\n\t"     \
                   "bne 1b\n\t"          \
                   "bx lr\n\t"           \
                   ".ltorg")

__attribute__((naked, noinline)) void loop_1_000_001(void)
{
    LOOP(500000);
}

__attribute__((naked, noinline)) void loop_30_000_001(void)
{
    LOOP(15000000);
}

static void measure(void (*call)(void))
{
    const uint32_t wraps = board_counter_wraps();
    const uint64_t start = board_counter_ticks();
    call();
    const uint64_t end = board_counter_ticks();
    board_put_u64(end - start);
    board_puts(" ");
    board_put_u64(board_counter_wraps() - wraps);
    board_puts("\n");
}

int main(void)
{
    board_init();
    board_counter_start();
    measure(empty);
    measure(loop_1_000_001);
    measure(loop_30_000_001);
    return 0;
}
