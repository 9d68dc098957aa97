/* Says so and never ends. */
#include "board.h"

int main(void)
{
    board_init();
    board_puts("waiting\n");
    for (;;) {
        __asm volatile("nop");
    }
}
