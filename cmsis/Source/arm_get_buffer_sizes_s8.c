/* SPDX-License-Identifier: Apache-2.0 */
/* The bundled kernels take no scratch memory, with any instruction set. */
#include "arm_nnfunctions.h"

#define NO_BUFFER(function, parameters, ...)                                                                     \
    int32_t function parameters                                                                                  \
    {                                                                                                            \
        __VA_ARGS__;                                                                                             \
        return 0;                                                                                                \
    }
/* The size for the core that it is built for, for one with SMLAD, for one with Helium. */
#define NO_BUFFERS(function, parameters, ...)                                                                    \
    NO_BUFFER(function##_get_buffer_size, parameters, __VA_ARGS__)                                               \
    NO_BUFFER(function##_get_buffer_size_dsp, parameters, __VA_ARGS__)                                           \
    NO_BUFFER(function##_get_buffer_size_mve, parameters, __VA_ARGS__)

#define LAYER(params)                                                                                            \
    (const params *layer, const cmsis_nn_dims *input, const cmsis_nn_dims *filter, const cmsis_nn_dims *output)
#define LAYER_UNUSED (void)layer, (void)input, (void)filter, (void)output

NO_BUFFERS(arm_convolve_wrapper_s8, LAYER(cmsis_nn_conv_params), LAYER_UNUSED)
NO_BUFFERS(arm_depthwise_conv_wrapper_s8, LAYER(cmsis_nn_dw_conv_params), LAYER_UNUSED)
NO_BUFFERS(arm_fully_connected_s8, (const cmsis_nn_dims *filter), (void)filter)
NO_BUFFERS(arm_avgpool_s8, (const int width, const int channels), (void)width, (void)channels)
NO_BUFFER(arm_transpose_conv_s8_get_buffer_size, LAYER(cmsis_nn_transpose_conv_params), LAYER_UNUSED)
NO_BUFFER(arm_transpose_conv_s8_get_buffer_size_mve, LAYER(cmsis_nn_transpose_conv_params), LAYER_UNUSED)
NO_BUFFER(arm_transpose_conv_s8_get_reverse_conv_buffer_size,
          (const cmsis_nn_transpose_conv_params *layer, const cmsis_nn_dims *input, const cmsis_nn_dims *filter),
          (void)layer, (void)input, (void)filter)
