/* Loads from an address where no board has memory. */
#include "board.h"

int main(void)
{
    board_init();
    board_puts("before\n");
    return (int)*(volatile uint32_t *)0xF0000000u;
}
