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

/* CMSIS-NN's structs hold constant tables through pointers that are not const; it only reads them. */
#define MCUGEN_MUTABLE(table) ((void *)(uintptr_t)(table))

/* A plan and its header are checked where they meet. */
#if defined(__cplusplus) && __cplusplus >= 201103L
#define MCUGEN_STATIC_ASSERT(condition, name) static_assert(condition, #name)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define MCUGEN_STATIC_ASSERT(condition, name) _Static_assert(condition, #name)
#else
#define MCUGEN_STATIC_ASSERT(condition, name) typedef char name[(condition) ? 1 : -1]
#endif

#endif
