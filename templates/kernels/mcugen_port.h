/* SPDX-License-Identifier: Apache-2.0 */
/* What a board may want to change about generated code: define any of these before, or with -D. */
#ifndef MCUGEN_PORT_H
#define MCUGEN_PORT_H

#include <stddef.h>
#include <stdint.h>

/* Alignment of arenas and weights, in bytes. */
#ifndef MCUGEN_ALIGNED
#if defined(__GNUC__) || defined(__clang__) || defined(__ARMCC_VERSION)
#define MCUGEN_ALIGNED(bytes) __attribute__((aligned(bytes)))
#elif defined(__cplusplus)
#define MCUGEN_ALIGNED(bytes) alignas(bytes)
#else
#define MCUGEN_ALIGNED(bytes) _Alignas(bytes)
#endif
#endif

/* Section of the constant tables: -D'MCUGEN_WEIGHTS_SECTION=__attribute__((section(".mcugen_weights")))' */
#ifndef MCUGEN_WEIGHTS_SECTION
#define MCUGEN_WEIGHTS_SECTION
#endif

/* Section of a variable in a memory region: NAME_sections.ld places it. */
#ifndef MCUGEN_SECTION
#if defined(__GNUC__) || defined(__clang__) || defined(__ARMCC_VERSION)
#define MCUGEN_SECTION(name) __attribute__((section(name)))
#else
#define MCUGEN_SECTION(name)
#endif
#endif

/* CMSIS-NN's structs hold constant tables through pointers that are not const; it only reads them. */
#define MCUGEN_MUTABLE(table) ((void *)(uintptr_t)(table))

/* 1 if the FPU rounds to nearest even and keeps subnormals and NaNs, as exact results need; 1 without an FPU. */
static inline int mcugen_fpu_is_in_reset_mode(void)
{
#if defined(__ARM_FP) && defined(__GNUC__)
    uint32_t fpscr;
    __asm volatile("vmrs %0, fpscr" : "=r"(fpscr));
    return (fpscr & 0x03C00000u) == 0; /* RMode, FZ, DN */
#else
    return 1;
#endif
}

/* A plan and its header are checked where they meet. */
#if defined(__cplusplus) && __cplusplus >= 201103L
#define MCUGEN_STATIC_ASSERT(condition, name) static_assert(condition, #name)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define MCUGEN_STATIC_ASSERT(condition, name) _Static_assert(condition, #name)
#else
#define MCUGEN_STATIC_ASSERT(condition, name) typedef char name[(condition) ? 1 : -1]
#endif

#endif
