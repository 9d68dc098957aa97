/* SPDX-License-Identifier: Apache-2.0 */
/* SysTick as a 64-bit up-counter. Under QEMU's -icount the clock advances a fixed time per instruction, so
 * ticks count instructions, the same on every run. On silicon SysTick counts clock cycles; where the core
 * has a DWT (Armv7-M and later), DWT_CYCCNT at 0xE0001004 does so with 32 bits and without an interrupt. */
#include "board.h"

#define REG(address) (*(volatile uint32_t *)(address))
#define SYST_CSR 0xE000E010u
#define SYST_RVR 0xE000E014u
#define SYST_CVR 0xE000E018u
#define ICSR 0xE000ED04u

#define COUNTER_MASK 0xFFFFFFu /* SysTick has 24 bits and counts down */
#define ICSR_PENDSTCLR (1u << 25)
#define ICSR_PENDSTSET (1u << 26)
#define CSR_ENABLE_INTERRUPT_CORE_CLOCK 7u

volatile uint32_t board_wraps;
void SysTick_Handler(void);

/* Assembler, so that a wrap costs exactly BOARD_WRAP_INSTRUCTIONS and no stack but the core's own frame. */
__attribute__((naked)) void SysTick_Handler(void)
{
    __asm volatile(".syntax unified\n\t"
                   "ldr r0, =board_wraps\n\t"
                   "ldr r1, [r0]\n\t"
                   "adds r1, r1, #1\n\t"
                   "str r1, [r0]\n\t"
                   "bx lr\n\t"
                   ".ltorg");
}

void board_counter_start(void)
{
    REG(SYST_CSR) = 0;
    REG(ICSR) = ICSR_PENDSTCLR;
    REG(SYST_RVR) = COUNTER_MASK;
    REG(SYST_CVR) = 0;
    board_wraps = 0;
    REG(SYST_CSR) = CSR_ENABLE_INTERRUPT_CORE_CLOCK;
    while (REG(SYST_CVR) == 0) {
        /* some boards answer garbage before the first reload */
    }
}

uint64_t board_counter_ticks(void)
{
    uint32_t wraps;
    uint32_t low; /* ticks since the last wrap: the counter stands at 0 when its interrupt arrives */
    uint32_t pending;
    do {
        wraps = board_wraps;
        low = (0u - REG(SYST_CVR)) & COUNTER_MASK;
        pending = REG(ICSR) & ICSR_PENDSTSET;
    } while (wraps != board_wraps);
    if (pending != 0 && low <= COUNTER_MASK / 2) {
        wraps++; /* wrapped, but interrupts are masked */
    }
    return ((uint64_t)wraps << 24) + low;
}

uint32_t board_counter_wraps(void)
{
    return board_wraps;
}
