/* Float arithmetic as IEEE 754 wants it, and the check that notices a changed rounding mode. */
#include "board.h"

static volatile float tiny = 1.0e-38f;
static volatile float one = 1.0f;
static volatile float half_ulp = 5.9604644775390625e-8f; /* 2^-24: a tie at 1, which goes to even */

int main(void)
{
    board_init();
    if (tiny / 16.0f == 0.0f || one + half_ulp != 1.0f) {
        return 1;
    }
#ifdef __ARM_FP
    __asm volatile("vmsr fpscr, %0" ::"r"(1u << 24)); /* flush to zero */
    if (board_fpscr_ok() || tiny / 16.0f != 0.0f) {
        return 2;
    }
    board_init(); /* exits with 1 after a message */
    return 3;
#else
    return board_fpscr_ok() ? 0 : 4;
#endif
}
