/* SPDX-License-Identifier: Apache-2.0 */
/* Vector table, reset and faults for any Cortex-M. Addresses come from link.ld. */
#include "board.h"

#define REG(address) (*(volatile uint32_t *)(address))
#define ICSR 0xE000ED04u
#define CFSR 0xE000ED28u
#define HFSR 0xE000ED2Cu
#define MMFAR 0xE000ED34u
#define BFAR 0xE000ED38u
#define CPACR 0xE000ED88u

#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
#define HAS_FP_REGISTERS 1
#else
#define HAS_FP_REGISTERS 0
#endif

extern uint32_t board_stack_top[];
extern const uint32_t board_data_load[];
extern uint32_t board_data_start[], board_data_end[];
extern uint32_t board_zero_start[], board_zero_end[];
extern void (*const __init_array_start[])(void);
extern void (*const __init_array_end[])(void);

/* Tables that run from RAM, if the program has any: where they are loaded, where they go. */
typedef struct {
    const uint32_t *load;
    uint32_t *start;
    uint32_t *end;
} copy_t;
extern const copy_t mcugen_copies_start[] __attribute__((weak));
extern const copy_t mcugen_copies_end[] __attribute__((weak));

int main(void);
void Reset_Handler(void);
void Fault_Handler(void);
void SysTick_Handler(void);
void board_fault(const uint32_t *frame);

/* A function of its own, so that no vector or float instruction runs before the FPU is on. */
static __attribute__((noinline, noreturn)) void start(void)
{
    const uint32_t *load = board_data_load;
    for (uint32_t *word = board_data_start; word < board_data_end; word++) {
        *word = *load++;
    }
    for (const copy_t *copy = mcugen_copies_start; copy < mcugen_copies_end; copy++) {
        const uint32_t *from = copy->load;
        for (uint32_t *word = copy->start; word < copy->end; word++) {
            *word = *from++;
        }
    }
    for (uint32_t *word = board_zero_start; word < board_zero_end; word++) {
        *word = 0;
    }
    for (void (*const *construct)(void) = __init_array_start; construct < __init_array_end; construct++) {
        (*construct)();
    }
    board_exit(main());
}

void Reset_Handler(void)
{
#if HAS_FP_REGISTERS
    REG(CPACR) |= 0xFu << 20; /* full access to coprocessors 10 and 11: FPU and MVE */
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
    start();
}

int board_fpscr_ok(void)
{
#if HAS_FP_REGISTERS
    const uint32_t modes = 0x07C80000u; /* AHP, DN, FZ, RMode (two bits), FZ16 */
    uint32_t fpscr;
    __asm volatile("vmrs %0, fpscr" : "=r"(fpscr));
    return (fpscr & modes) == 0;
#else
    return 1;
#endif
}

void board_init(void)
{
    if (!board_fpscr_ok()) {
        board_puts("board: FPSCR is not in its reset mode, float results would differ\n");
        board_exit(1);
    }
}

static void print(const char *name, uint32_t value)
{
    board_puts(name);
    board_put_u32_hex(value);
}

/* `frame` is what the core pushed: r0-r3, r12, lr, pc, xpsr. */
__attribute__((used)) void board_fault(const uint32_t *frame)
{
    board_puts("FAULT");
    print("\n exception ", REG(ICSR) & 0x1FFu);
    print("\n pc   ", frame[6]);
    print("\n lr   ", frame[5]);
    print("\n xpsr ", frame[7]);
    print("\n r0   ", frame[0]);
    print("\n r1   ", frame[1]);
    print("\n r2   ", frame[2]);
    print("\n r3   ", frame[3]);
    print("\n r12  ", frame[4]);
#if __ARM_ARCH_ISA_THUMB > 1 /* Armv6-M and Armv8-M Baseline have no fault status */
    print("\n cfsr ", REG(CFSR));
    print("\n hfsr ", REG(HFSR));
    print("\n mmfar ", REG(MMFAR));
    print("\n bfar ", REG(BFAR));
#endif
    board_puts("\n");
    board_exit(BOARD_EXIT_FAULT);
}

__attribute__((naked)) void Fault_Handler(void)
{
    __asm volatile(".syntax unified\n\t"
                   "mov r0, sp\n\t"
                   "bl board_fault");
}

/* counter.c has the real one; a program without it treats the interrupt as a fault. */
__attribute__((weak, alias("Fault_Handler"))) void SysTick_Handler(void);

typedef union {
    const uint32_t *stack;
    void (*handler)(void);
} vector_t;

/* Add the device's interrupts behind SysTick. */
__attribute__((section(".vectors"), used)) static const vector_t vectors[16] = {
    [0] = {.stack = board_stack_top},
    [1] = {.handler = Reset_Handler},
    [2] = {.handler = Fault_Handler},   /* NMI */
    [3] = {.handler = Fault_Handler},   /* HardFault */
    [4] = {.handler = Fault_Handler},   /* MemManage */
    [5] = {.handler = Fault_Handler},   /* BusFault */
    [6] = {.handler = Fault_Handler},   /* UsageFault */
    [7] = {.handler = Fault_Handler},   /* SecureFault */
    [11] = {.handler = Fault_Handler},  /* SVCall */
    [12] = {.handler = Fault_Handler},  /* DebugMonitor */
    [14] = {.handler = Fault_Handler},  /* PendSV */
    [15] = {.handler = SysTick_Handler},
};
