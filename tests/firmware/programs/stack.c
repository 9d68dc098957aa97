/* Prints the high-water mark after no call, after a call that fills 1000 bytes, and after 5000 bytes. */
#include "board.h"

#include <string.h>

static __attribute__((noinline)) void use(uint32_t bytes)
{
    uint8_t local[bytes];
    memset(local, 1, bytes);
    __asm volatile("" ::"r"(local) : "memory");
}

static void report(void)
{
    board_put_u64(board_stack_used());
    board_puts("\n");
}

int main(void)
{
    board_init();
    board_stack_paint();
    const uint32_t none = board_stack_used();
    board_put_u64(none);
    board_puts("\n");
    board_stack_paint();
    use(1000);
    report();
    use(5000);
    report();
    use(1000); /* a mark does not sink again */
    report();
    return 0;
}
