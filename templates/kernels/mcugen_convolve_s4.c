/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_arithmetic.h"
#include "mcugen_kernels.h"

#define MCUGEN_S4_VALUE int8_t
#define MCUGEN_S4_BYTES 1
#define MCUGEN_S4_SUM int32_t
#define MCUGEN_S4_PARAMS layer

typedef struct {
    int32_t groups;
    cmsis_nn_tile stride, padding, dilation;
    const mcugen_direct_params *params;
    const int32_t *bias;
} layer;

static inline int8_t mcugen_finish_s4(const layer *p, int32_t sum, int32_t channel)
{
    const mcugen_direct_params *const given = p->params;
    const int32_t real = mcugen_requantize(sum + p->bias[channel], given->multiplier[channel], given->shift[channel]);
    return mcugen_activate(real + given->output_offset, &given->activation);
}

#include "mcugen_column_s4.h"

void mcugen_convolve_s4(const cmsis_nn_context *context,
                        const mcugen_direct_params *params,
                        const cmsis_nn_dims *input_dims,
                        const int8_t *input,
                        const cmsis_nn_dims *filter_dims,
                        const int8_t *filter,
                        const int32_t *bias,
                        const cmsis_nn_dims *output_dims,
                        int8_t *output)
{
    const layer p = {params->groups, params->stride, params->padding, params->dilation, params, bias};
    mcugen_convolve_columns_s4(context, &p, -params->input_offset, input_dims, input, filter_dims, filter, output_dims,
                               output);
}
