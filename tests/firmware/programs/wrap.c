/* Reads the counter closely across many wraps, each met in another phase: it must neither run backwards nor
 * leap. Last, a wrap while interrupts are masked must already show. */
#include "board.h"

#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define FULL_PERIOD 0xFFFFFFu
#define NEAR 1000u /* ticks */

/* Make this period end soon; the next ones are full again. */
static void wrap_soon(void)
{
    SYST_RVR = NEAR;
    SYST_CVR = 0;
    while (SYST_CVR == 0) {
    }
    SYST_RVR = FULL_PERIOD;
}

static void delay(uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++) {
        __asm volatile("nop");
    }
}

/* 1 if every reading until `wraps` wraps is a little later than the one before. */
static int runs_evenly(uint32_t wraps)
{
    uint64_t last = board_counter_ticks();
    while (last <= (uint64_t)wraps * (FULL_PERIOD + 1u)) {
        const uint64_t now = board_counter_ticks();
        if (now <= last || now - last > NEAR) {
            return 0;
        }
        last = now;
    }
    return 1;
}

int main(void)
{
    board_init();
    board_counter_start();
    uint32_t wraps = 0;
    while (wraps < 300) {
        wrap_soon();
        delay(wraps);
        wraps++;
        if (!runs_evenly(wraps) || board_counter_wraps() != wraps) {
            return 1;
        }
    }
    wrap_soon();
    __asm volatile("cpsid i" ::: "memory");
    if (!runs_evenly(wraps + 1) || board_counter_wraps() != wraps) {
        return 2;
    }
    __asm volatile("cpsie i\n\tisb" ::: "memory");
    return board_counter_wraps() == wraps + 1 ? 0 : 3;
}
