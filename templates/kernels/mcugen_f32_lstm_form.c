/* SPDX-License-Identifier: Apache-2.0 */
#include "mcugen_f32_rnn.h"
#include "mcugen_kernels_f32.h"

void mcugen_f32_lstm_form(const cmsis_nn_context *context,
                          const mcugen_f32_rnn_params *params,
                          const mcugen_f32_rnn_form *form,
                          const float *weights,
                          const float *recurrent,
                          const float *bias,
                          const float *input,
                          const float *initial_h,
                          const float *initial_c,
                          float *y,
                          float *y_h,
                          float *y_c)
{
    mcugen_f32_lstm_layer(context, params, form, weights, recurrent, bias, input, initial_h, initial_c, y, y_h, y_c);
}
