/* SPDX-License-Identifier: Apache-2.0 */
/* The stack's high-water mark: fill the free part with a pattern, look later how much of it survived. */
#include "board.h"

#define PAINT 0xA5A5A5A5
#define TEXT_OF(macro) TEXT(macro)
#define TEXT(text) #text

extern const uint32_t board_stack_limit[];
uint32_t board_stack_painted_to;

/* Assembler, so that the painter has no frame of its own and the pattern ends at the caller's. */
__attribute__((naked)) void board_stack_paint(void)
{
    __asm volatile(".syntax unified\n\t"
                   "ldr r0, =board_stack_painted_to\n\t"
                   "mov r1, sp\n\t"
                   "str r1, [r0]\n\t"
                   "ldr r0, =board_stack_limit\n\t"
                   "ldr r2, =" TEXT_OF(PAINT) "\n"
                   "1:\n\t"
                   "cmp r0, r1\n\t"
                   "bhs 2f\n\t"
                   "stmia r0!, {r2}\n\t"
                   "b 1b\n"
                   "2:\n\t"
                   "bx lr\n\t"
                   ".ltorg");
}

uint32_t board_stack_used(void)
{
    const volatile uint32_t *word = board_stack_limit;
    while ((uint32_t)(uintptr_t)word < board_stack_painted_to && *word == PAINT) {
        word++;
    }
    return board_stack_painted_to - (uint32_t)(uintptr_t)word;
}
