/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_f32_rnn.h"
#include "mcugen_kernels_f32.h"

void mcugen_f32_gru_form(const cmsis_nn_context *context,
                         const mcugen_f32_rnn_params *params,
                         const mcugen_f32_rnn_form *form,
                         const float *weights,
                         const float *recurrent,
                         const float *bias,
                         const float *input,
                         const float *initial_h,
                         float *y,
                         float *y_h)
{
    mcugen_f32_gru_layer(context, params, form, weights, recurrent, bias, input, initial_h, y, y_h);
}
