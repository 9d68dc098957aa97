/* SPDX-License-Identifier: Apache-2.0 */
/* What a test program needs from a board: text and files through the debugger (semihosting), an
 * instruction counter, the stack's high-water mark. Not re-entrant; call from main only. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Exit code of the fault handler, after it printed the registers. */
#define BOARD_EXIT_FAULT 99

/* First call in main. Add clocks, caches and pins of a real board here. Exits if the FPU is not at its
 * reset mode, because results would then differ. */
void board_init(void);

/* 1 if the FPU rounds to nearest and keeps subnormals and NaNs (or if there is none), else 0. */
int board_fpscr_ok(void);

/* Text to the debugger's console: a string, a decimal number, "0x" and eight hexadecimal digits. */
void board_puts(const char *text);
void board_put_u64(uint64_t value);
void board_put_u32_hex(uint32_t value);

/* Ends the program; under the emulator `code` (0..255) becomes its exit code. Returning from main does the same. */
#if defined(__GNUC__)
__attribute__((noreturn))
#endif
void board_exit(int code);

/* Files on the debugger's machine: a handle, or negative on failure. Writing truncates. One call costs
 * far more than a byte: use large blocks. */
int board_open_read(const char *name);
int board_open_write(const char *name);
void board_close(int handle);

/* Bytes really read (fewer at the end of the file) or written. */
uint32_t board_read(int handle, void *data, uint32_t bytes);
uint32_t board_write(int handle, const void *data, uint32_t bytes);

/* SysTick as a 64-bit clock. Call start once; ticks since then, and how many wraps interrupted the program
 * (each runs BOARD_WRAP_INSTRUCTIONS). Subtract the ticks of an empty region: reading costs some. */
#define BOARD_WRAP_INSTRUCTIONS 5
void board_counter_start(void);
uint64_t board_counter_ticks(void);
uint32_t board_counter_wraps(void);

/* Paint the free stack; later ask how many bytes below the painting caller's frame were overwritten since,
 * interrupt frames (32 bytes, 104 with FPU) included. */
void board_stack_paint(void);
uint32_t board_stack_used(void);

#ifdef __cplusplus
}
#endif

#endif /* BOARD_H */
