/* SPDX-License-Identifier: Apache-2.0 */
#define MCUGEN_COLUMN_WIDE 1
#include "mcugen_column_s16.h"

void mcugen_convolve_wide_s16(const cmsis_nn_context *context,
                              const mcugen_conv_s16_params *params,
                              const cmsis_nn_dims *input_dims,
                              const int16_t *input,
                              const cmsis_nn_dims *filter_dims,
                              const int8_t *filter,
                              const cmsis_nn_dims *output_dims,
                              int16_t *output)
{
    mcugen_convolve_columns_s16(context, params, input_dims, input, filter_dims, filter, output_dims, output);
}
