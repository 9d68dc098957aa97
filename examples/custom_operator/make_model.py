"""Make delta.onnx: 16 frames of 8 features -> com.example.Delta -> a linear layer -> softmax over 4 classes.

The weights are random: the example is about the operator. Run it again and the same bytes come out.
"""

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

HERE = Path(__file__).resolve().parent
FRAMES, FEATURES, CLASSES = 16, 8, 4

TEXT = f"""
<ir_version: 10, opset_import: ["" : 17, "com.example" : 1]>
delta (float[1, {FRAMES}, {FEATURES}] features) => (float[1, {CLASSES}] probabilities)
{{
    q_features = QuantizeLinear (features, x_scale, zero)
    features_dq = DequantizeLinear (q_features, x_scale, zero)
    delta = com.example.Delta (features_dq)
    q_delta = QuantizeLinear (delta, delta_scale, zero)
    delta_dq = DequantizeLinear (q_delta, delta_scale, zero)
    flat = Flatten (delta_dq)
    q_flat = QuantizeLinear (flat, delta_scale, zero)
    flat_dq = DequantizeLinear (q_flat, delta_scale, zero)
    weights_dq = DequantizeLinear (weights, w_scale, zero)
    logits = Gemm (flat_dq, weights_dq)
    q_logits = QuantizeLinear (logits, logit_scale, zero)
    logits_dq = DequantizeLinear (q_logits, logit_scale, zero)
    softmax = Softmax <axis: int = 1> (logits_dq)
    q_softmax = QuantizeLinear (softmax, p_scale, p_zero)
    probabilities = DequantizeLinear (q_softmax, p_scale, p_zero)
}}
"""


def make() -> onnx.ModelProto:
    rng = np.random.default_rng(7)
    constants = {
        "x_scale": np.float32(0.03),
        "delta_scale": np.float32(0.041),
        "w_scale": np.float32(0.01),
        "logit_scale": np.float32(0.2),
        "p_scale": np.float32(1 / 256),
        "zero": np.int8(0),
        "p_zero": np.int8(-128),
        "weights": rng.integers(-127, 128, (FRAMES * FEATURES, CLASSES)).astype(np.int8),
    }
    model = onnx.parser.parse_model(TEXT)
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type.lower()}_{index}"
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items())
    return model


if __name__ == "__main__":
    onnx.save(make(), HERE / "delta.onnx")
    print("wrote delta.onnx")
