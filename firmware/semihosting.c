/* SPDX-License-Identifier: Apache-2.0 */
/* Text, files and exit through the debugger: Arm's semihosting, which QEMU and debug probes understand.
 * Without a debugger attached, BKPT faults: replace this file by a UART. */
#include "board.h"

#include <string.h>

enum operation {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_EXIT_EXTENDED = 0x20,
};

enum open_mode { OPEN_RB = 1, OPEN_WB = 5 }; /* as fopen's "rb" and "wb" */

#define STOPPED_APPLICATION_EXIT 0x20026u

static uint32_t semihost(enum operation operation, const void *argument)
{
    register uint32_t r0 __asm("r0") = (uint32_t)operation;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void board_puts(const char *text)
{
    (void)semihost(SYS_WRITE0, text);
}

void board_put_u64(uint64_t value)
{
    char text[21]; /* 2^64 has 20 digits */
    char *digit = &text[sizeof text - 1];
    *digit = '\0';
    do {
        *--digit = (char)('0' + (int)(value % 10u));
        value /= 10u;
    } while (value != 0);
    board_puts(digit);
}

void board_put_u32_hex(uint32_t value)
{
    char text[11] = "0x";
    for (int i = 0; i < 8; i++) {
        text[2 + i] = "0123456789abcdef"[(value >> (28 - 4 * i)) & 15u];
    }
    text[10] = '\0';
    board_puts(text);
}

void board_exit(int code)
{
    const uint32_t block[2] = {STOPPED_APPLICATION_EXIT, (uint32_t)code};
    for (;;) {
        (void)semihost(SYS_EXIT_EXTENDED, block);
    }
}

static int open_file(const char *name, enum open_mode mode)
{
    const uint32_t block[3] = {(uint32_t)(uintptr_t)name, (uint32_t)mode, (uint32_t)strlen(name)};
    return (int)semihost(SYS_OPEN, block);
}

int board_open_read(const char *name)
{
    return open_file(name, OPEN_RB);
}

int board_open_write(const char *name)
{
    return open_file(name, OPEN_WB);
}

void board_close(int handle)
{
    const uint32_t block[1] = {(uint32_t)handle};
    (void)semihost(SYS_CLOSE, block);
}

/* SYS_READ and SYS_WRITE answer how many bytes they did NOT move. */
static uint32_t transfer(enum operation operation, int handle, const void *data, uint32_t bytes)
{
    const uint32_t block[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)data, bytes};
    const uint32_t left = semihost(operation, block);
    return left <= bytes ? bytes - left : 0;
}

uint32_t board_read(int handle, void *data, uint32_t bytes)
{
    return transfer(SYS_READ, handle, data, bytes);
}

uint32_t board_write(int handle, const void *data, uint32_t bytes)
{
    return transfer(SYS_WRITE, handle, data, bytes);
}
