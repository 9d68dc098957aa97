/* SPDX-License-Identifier: Apache-2.0 */
/* memcpy and memset of bytes, which the C library may do one by one where Helium does sixteen. */
#ifndef MCUGEN_BYTES_H
#define MCUGEN_BYTES_H

#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1) && defined(__GNUC__)
static inline __attribute__((always_inline)) void mcugen_memcpy(int8_t *to, const int8_t *from, int32_t bytes)
{
    __asm__ volatile("wlstp.8 lr, %[bytes], 2f\n"
                     "1:\n\t"
                     "vldrb.u8 q0, [%[from]], #16\n\t"
                     "vstrb.8 q0, [%[to]], #16\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [to] "+r"(to), [from] "+r"(from)
                     : [bytes] "r"(bytes)
                     : "lr", "q0", "memory");
}

static inline __attribute__((always_inline)) void mcugen_memset(int8_t *to, int32_t value, int32_t bytes)
{
    __asm__ volatile("vdup.8 q0, %[value]\n\t"
                     "wlstp.8 lr, %[bytes], 2f\n"
                     "1:\n\t"
                     "vstrb.8 q0, [%[to]], #16\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [to] "+r"(to)
                     : [value] "r"(value), [bytes] "r"(bytes)
                     : "lr", "q0", "memory");
}
#else
static inline void mcugen_memcpy(int8_t *to, const int8_t *from, int32_t bytes)
{
    memcpy(to, from, (size_t)bytes);
}

static inline void mcugen_memset(int8_t *to, int32_t value, int32_t bytes)
{
    memset(to, value, (size_t)bytes);
}
#endif

#endif
