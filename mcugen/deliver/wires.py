"""Who makes and reads each tensor of a quantized model, and the scale its inputs and outputs have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

_COPIES = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")
# Where a Q, a DQ or a QOperator node has the scale of its result; that of an operand stands behind the operand.
_OUTPUT_SCALE = {
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), 1),
    **dict.fromkeys(("QLinearSoftmax", "QLinearSigmoid", "QLinearLeakyRelu"), 3),
    **dict.fromkeys(("QLinearAveragePool", "QLinearGlobalAveragePool"), 3),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QLinearAdd", "QLinearMul"), 6),
    "QGemm": 7,
    "QLinearConcat": 0,
}
_SOFTMAX = ("Softmax", "LogSoftmax", "QLinearSoftmax")


@dataclass(frozen=True)
class Scale:
    """real = (q - zero_point) * scale, per tensor."""

    scale: np.float32
    zero_point: int
    dtype: np.dtype[Any]  # int8, uint8, int16 or uint16

    def real(self, values: np.ndarray) -> np.ndarray:
        return (values.astype(np.int32) - self.zero_point).astype(np.float32) * self.scale

    def quantized(self, values: np.ndarray) -> np.ndarray:
        info = np.iinfo(self.dtype)
        return np.clip(np.rint(values / self.scale) + self.zero_point, info.min, info.max).astype(self.dtype)


class Wires:
    """Who makes and who reads each tensor, and its constant quantization parameters."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._constants = {i.name: i for i in model.graph.initializer}
        self.maker = {name: node for node in model.graph.node for name in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)

    def _scale(self, node: onnx.NodeProto, slot: int) -> Scale | None:
        names = list(node.input[slot : slot + 2])
        if len(names) < 2 or any(name not in self._constants for name in names):
            return None
        scale, zero_point = (numpy_helper.to_array(self._constants[name]) for name in names)
        if scale.size != 1:
            return None
        return Scale(np.float32(scale.item()), int(zero_point.item()), zero_point.dtype)

    def scale_of_input(self, name: str) -> Scale | None:
        """Of a model input, integer or to be quantized: its readers know it."""
        waiting = [name]
        for name in waiting:
            for node in self._readers.get(name, ()):
                if node.op_type in _OUTPUT_SCALE:
                    return self._scale(node, list(node.input).index(name) + 1)
                if node.op_type in _COPIES:
                    waiting.append(node.output[0])
        return None

    def scale_of_output(self, name: str) -> Scale | None:
        """Of a model output, integer or dequantized: its maker knows it."""
        node = self.maker.get(name)
        while node is not None and node.op_type in _COPIES:
            node = self.maker.get(node.input[0])
        if node is None or node.op_type not in _OUTPUT_SCALE:
            return None
        return self._scale(node, _OUTPUT_SCALE[node.op_type])

    def logits(self, output: str) -> tuple[str, Scale | None] | None:
        """The tensor before the Softmax that ends in `output`; its scale if it is an integer one."""
        node = self.maker.get(output)
        while node is not None and node.op_type in (*_COPIES, "Cast", "QuantizeLinear", "DequantizeLinear"):
            node = self.maker.get(node.input[0])
        if node is None or node.op_type not in _SOFTMAX:
            return None
        name = node.input[0]
        if node.op_type == "QLinearSoftmax":
            return name, self._scale(node, 1)
        before = self.maker.get(name)
        if before is not None and before.op_type == "DequantizeLinear":
            # The integer tensor: naming the real one would keep ORT from fusing the layer before.
            return before.input[0], self._scale(before, 1)
        return name, None
