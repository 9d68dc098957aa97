"""mcugen: quantized ONNX models as C firmware for Arm Cortex-M, equal to ONNX Runtime byte for byte."""

__version__ = "0.1.0"
