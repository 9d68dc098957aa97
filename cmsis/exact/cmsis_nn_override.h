/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives an unmodified CMSIS-NN the exact requantization. Compile its convolution, fully connected
 * and multiplication s8 sources (those that arm_sources.txt marks exact) with `-include cmsis_nn_override.h`,
 * -ffp-contract=off, and its Include folder on the path. Never the elementwise_add, softmax or LSTM
 * sources: their intermediate values exceed the range of mcugen_requant.
 *
 * CMSIS-NN's header is read first with its own requantizations renamed; what its sources then call is
 * ours. The multiplier tables must be made of MCUGEN_MULTIPLIER.
 */
#ifndef MCUGEN_CMSIS_NN_OVERRIDE_H
#define MCUGEN_CMSIS_NN_OVERRIDE_H

#define arm_nn_requantize arm_nn_requantize_stock
#define arm_requantize_mve arm_requantize_mve_stock
#define arm_requantize_mve_32x4 arm_requantize_mve_32x4_stock
#define arm_requantize_mve_pred arm_requantize_mve_pred_stock
#include "arm_nnsupportfunctions.h"
#undef arm_nn_requantize
#undef arm_requantize_mve
#undef arm_requantize_mve_32x4
#undef arm_requantize_mve_pred

#include "mcugen_requant.h"

#if MCUGEN_REQUANT_STOCK
#error "MCUGEN_REQUANT_STOCK=1 keeps CMSIS-NN's own rounding: build it without cmsis_nn_override.h"
#endif

#define arm_nn_requantize mcugen_requant

#if defined(ARM_MATH_MVEI)
#if !defined(MCUGEN_REQUANT_MVE)
#error "CMSIS-NN's MVE kernels need floating-point MVE for exact requantization: \
compile for a core that has it, or with the MVE extension off (-mcpu=cortex-m55+nomve), or with -DMCUGEN_REQUANT=stock"
#endif

#define arm_requantize_mve(acc, multiplier, shift) ((void)(shift), mcugen_requant_mve((acc), vdupq_n_s32(multiplier)))
#define arm_requantize_mve_32x4(acc, multiplier, shift) ((void)(shift), mcugen_requant_mve((acc), (multiplier)))
#define arm_requantize_mve_pred(acc, multiplier, shift, lanes)                                                   \
    ((void)(shift), (void)(lanes), mcugen_requant_mve((acc), vdupq_n_s32(multiplier)))
#endif

#endif
