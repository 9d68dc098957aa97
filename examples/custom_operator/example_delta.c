/* SPDX-License-Identifier: Apache-2.0 */
#include "example_delta.h"

#include "mcugen_arithmetic.h"

void example_delta(const example_delta_params *params, const int8_t *input, int8_t *output)
{
    const example_delta_params p = *params; /* a copy: output cannot alias it */
    for (int32_t t = 0; t < p.frames; t++) {
        const int8_t *now = input + t * p.features;
        const int8_t *before = t == 0 ? now : now - p.features;
        for (int32_t f = 0; f < p.features; f++) {
            /* As ONNX Runtime: each operand becomes a float32 first, then they are subtracted. */
            const float a = (float)(now[f] - p.input_zero_point) * p.input_scale;
            const float b = (float)(before[f] - p.input_zero_point) * p.input_scale;
            const int8_t quantized = mcugen_quantize(a - b, p.output_scale, p.output_zero_point);
            output[t * p.features + f] = mcugen_activate(quantized, &p.activation);
        }
    }
}
