"""Beside the compiler: ONNX in, a quantized model or a bundle for ONNX Runtime, QNN or TensorRT out."""
