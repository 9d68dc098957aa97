/* Prints through every board_put function and returns 42. */
#include "board.h"

int main(void)
{
    board_init();
    board_puts("hello ");
    board_put_u64(0);
    board_puts(" ");
    board_put_u64(UINT64_MAX);
    board_puts(" ");
    board_put_u32_hex(0x0123ABCDu);
    board_puts("\n");
    return 42;
}
