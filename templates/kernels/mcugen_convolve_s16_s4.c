/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_conv_s16.h"

#define MCUGEN_S4_VALUE int16_t
#define MCUGEN_S4_SUM int64_t
#define MCUGEN_S4_PARAMS mcugen_conv_s16_params

static inline int16_t mcugen_finish_s4(const mcugen_conv_s16_params *p, int64_t sum, int32_t channel)
{
    return mcugen_finish_s16(p, sum, channel);
}

#include "mcugen_column_s4.h"

void mcugen_convolve_s16_s4(const cmsis_nn_context *context,
                            const mcugen_conv_s16_params *params,
                            const cmsis_nn_dims *input_dims,
                            const int16_t *input,
                            const cmsis_nn_dims *filter_dims,
                            const int8_t *filter,
                            const cmsis_nn_dims *output_dims,
                            int16_t *output)
{
    mcugen_convolve_columns_s4(context, params, params->input_zero_point, input_dims, input, filter_dims, filter,
                               output_dims, output);
}
