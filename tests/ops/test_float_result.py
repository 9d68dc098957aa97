"""Layers of 8 bits whose result stays in float32: the weights stay in 8 bits, and ONNX Runtime's integer layers equal.

Which layers it computes in integers, and which in float32, is its own choice; the cases say what it chose.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from checking import assert_exact, compile_model, exact, kernels
from onnx import TensorProto, helper
from small_models import Net

from mcugen.emit.artefact import Compiled
from mcugen.errors import UserError
from mcugen.prove.samples import random_samples
from mcugen.prove.verify import verify
from mcugen.step import FLOAT

KERNEL = "mcugen_dynamic_convolve_s8_f32"


class FloatNet(Net):
    """Layers between DequantizeLinear and a model output."""

    def result(
        self,
        op: str,
        shape: tuple[int, ...],
        w_shape: tuple[int, ...],
        *,
        bias: str = "",
        axis: int | None = None,
        then: str = "",
        bias_factor: float = 1.0,
        w_zero: int = 0,
        w_dtype: Any = np.int8,
        **attributes: Any,
    ) -> str:
        """bias: "int32", "float" or none; bias_factor: its scale by that of input * weights."""
        x = self.input(shape, name=f"x{len(self.inputs)}")
        weights, scales = self.weights(w_shape, axis=axis, zero_point=w_zero, dtype=w_dtype)
        outputs = w_shape[1] if op == "MatMul" else w_shape[0]
        operands = [self.real(x), weights]
        values = self.rng.integers(-9000, 9000, outputs).astype(np.int32)
        offset = {
            "": lambda: [],
            "int32": lambda: [self.bias(values, bias_factor * x.scale * scales)],
            "float": lambda: [self.constant((values * 1e-4).astype(np.float32), "bias")],
        }[bias]()
        if op != "MatMul":
            operands, offset = operands + offset, []
        y = self.node(op, *operands, name=f"layer{len(self.outputs)}", **attributes)
        y = self.node("Add", y, *offset) if offset else y
        y = self.node(then, y) if then else y
        self._output(y, TensorProto.FLOAT)
        return y


EQUAL: dict[str, dict[str, Any]] = {
    "MatMul": {"op": "MatMul", "w_shape": (24, 10)},
    "MatMul, per channel, Relu": {"op": "MatMul", "w_shape": (24, 10), "axis": 1, "then": "Relu"},
    "MatMul, 3 dimensions": {"op": "MatMul", "shape": (2, 3, 24), "w_shape": (24, 10), "axis": 1},
    "MatMul and bias": {"op": "MatMul", "w_shape": (24, 10), "axis": 1, "bias": "int32"},
    "MatMul and bias, 3 dimensions": {"op": "MatMul", "shape": (2, 3, 24), "w_shape": (24, 10), "bias": "int32"},
    "Gemm": {"op": "Gemm", "w_shape": (10, 24), "axis": 0, "transB": 1},
    "Gemm with bias": {"op": "Gemm", "w_shape": (10, 24), "axis": 0, "bias": "int32", "transB": 1},
    "Gemm with a zero point": {"op": "Gemm", "w_shape": (10, 24), "bias": "int32", "w_zero": 5, "transB": 1},
    "Gemm and Relu": {"op": "Gemm", "w_shape": (10, 24), "bias": "int32", "then": "Relu", "transB": 1},
}


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_equal(dtype: str, tmp_path: Path) -> None:
    """Every byte: the int32 bias is part of the sum, and the sum is scaled once."""
    net = FloatNet(dtype)
    for case in EQUAL.values():
        net.result(**{"shape": (3, 24), **case})
    compiled = exact(net.model(), tmp_path)
    assert kernels(compiled).count(KERNEL) == len(EQUAL)
    assert "mcugen_dequantize_s8_f32" not in kernels(compiled)


def test_unsigned_weights(tmp_path: Path) -> None:
    net = FloatNet("uint8")
    net.result("Gemm", (3, 24), (10, 24), bias="int32", axis=0, w_dtype=np.uint8, w_zero=120, transB=1)
    net.result("MatMul", (3, 24), (24, 10), w_dtype=np.uint8, w_zero=130)
    exact(net.model(), tmp_path)


NEAR: dict[str, dict[str, Any]] = {
    "Gemm with a float bias": {"op": "Gemm", "w_shape": (10, 24), "axis": 0, "bias": "float", "transB": 1},
    "MatMul and a float bias": {"op": "MatMul", "w_shape": (24, 10), "axis": 1, "bias": "float"},
    "Gemm with beta": {"op": "Gemm", "w_shape": (10, 24), "bias": "int32", "beta": 0.5, "transB": 1},
    "Gemm with alpha": {"op": "Gemm", "w_shape": (10, 24), "bias": "int32", "alpha": 0.5, "transB": 1},
    "Conv": {"op": "Conv", "w_shape": (5, 3, 3, 3), "axis": 0, "bias": "int32", "pads": [1, 0, 1, 2]},
    "Conv without bias, Relu": {"op": "Conv", "w_shape": (5, 3, 3, 3), "then": "Relu", "strides": [2, 1]},
    "Conv, float bias, zero point": {"op": "Conv", "w_shape": (5, 3, 3, 3), "bias": "float", "w_zero": -7},
    "Conv, its bias on another scale": {"op": "Conv", "w_shape": (5, 3, 3, 3), "bias": "int32", "bias_factor": 3},
    "Conv of groups": {"op": "Conv", "w_shape": (6, 1, 3, 3), "axis": 0, "bias": "int32", "group": 3},
    "Conv, 1-D": {"op": "Conv", "shape": (1, 3, 20), "w_shape": (4, 3, 5), "bias": "float", "pads": [2, 1]},
}


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_near(dtype: str, tmp_path: Path) -> None:
    """What ONNX Runtime computes in float32: the steps say so, and state a tolerance."""
    net = FloatNet(dtype)
    for case in NEAR.values():
        net.result(**{"shape": (1, 3, 8, 7) if case["op"] == "Conv" else (3, 24), **case})
    if dtype == "int8":  # not both at once
        net.result("Gemm", (3, 24), (10, 24), w_dtype=np.uint8, w_zero=120, transB=1)
    count = len(NEAR) + (dtype == "int8")
    compiled = _near(net.model(), tmp_path)
    assert kernels(compiled).count(KERNEL) == count
    assert all(step.exactness == FLOAT for step in compiled.steps if step.kernel == KERNEL)


def _near(model: onnx.ModelProto, folder: Path) -> Compiled:
    compiled = compile_model(model, folder)
    result = verify(compiled, random_samples(compiled, 16, seed=1))
    assert result.passed, f"{result.max_abs_difference:g}: {result.first_difference}"
    assert result.promised == "tolerance"
    assert all(len(np.unique(array)) > 8 for array in result.outputs.values())
    return compiled


def test_a_result_that_is_quantized_too(tmp_path: Path) -> None:
    """ONNX Runtime fuses neither of both: it computes in float32."""
    net = FloatNet()
    y = net.result("Gemm", (3, 24), (10, 24), bias="int32", transB=1)
    net.integer_output(net.quantize(y, 0.05))
    _near(net.model(), tmp_path)


def test_sums_beyond_int32_stay_in_float(tmp_path: Path) -> None:
    """33,100 products of the largest codes are more than int32 holds, and ONNX Runtime adds float32 numbers."""
    net = FloatNet()
    depth = 33100
    x = net.input((1, depth), zero_point=127)
    weights = net.constant(np.full((1, depth), 127, np.int8), "weights")
    real = net.node("DequantizeLinear", weights, net.constant(np.float32(0.01)), net.constant(np.int8(-128)))
    y = net.node("Gemm", net.real(x), real, net.constant(np.float32([0.5]), "bias"), transB=1)
    net._output(y, TensorProto.FLOAT)
    assert KERNEL not in kernels(compile_model(net.model(), tmp_path))


def test_a_bias_on_another_scale_is_refused(tmp_path: Path) -> None:
    """ONNX Runtime's integer Gemm takes it for one on the right scale: nobody wants to equal that."""
    net = FloatNet()
    net.result("Gemm", (3, 24), (10, 24), bias="int32", bias_factor=3, transB=1)
    with pytest.raises(UserError, match=r"layer0: the bias is not at input scale \* weight scale"):
        compile_model(net.model(), tmp_path)


@pytest.mark.parametrize("op", ["QGemm", "MatMulIntegerToFloat"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_fused_forms(op: str, per_channel: bool, tmp_path: Path) -> None:
    """com.microsoft's own operators, their scales and zero points constants."""
    net = Net()
    x = net.integer_input((3, 24))
    count = (10,) if per_channel else ()
    x_scale, x_zero = net.params(x.scale, x.zero_point)
    w_scale = net.constant(net.rng.uniform(0.001, 0.02, count).astype(np.float32), "w_scale")
    w, w_zero = (net.constant(net.rng.integers(-128, 128, size).astype(np.int8), "w") for size in ((24, 10), count))
    if op == "QGemm":
        bias = net.constant(net.rng.integers(-9999, 9999, 10).astype(np.int32), "bias")
        operands = [x.name, x_scale, x_zero, w, w_scale, w_zero, bias]
    else:
        bias = net.constant(net.rng.standard_normal(10).astype(np.float32), "bias")
        operands = [x.name, w, x_scale, w_scale, x_zero, w_zero, bias]
    y = net.node(op, *operands, domain="com.microsoft")
    model = net.model()
    model.graph.output.append(helper.make_tensor_value_info(y, TensorProto.FLOAT, [3, 10]))
    assert kernels(exact(model, tmp_path)) == [KERNEL]


@pytest.mark.parametrize("on", ["cortex-m0", "cortex-m55"])
def test_emulated(on: str, tmp_path: Path) -> None:
    net = FloatNet("int8")
    net.result("Gemm", (2, 24), (10, 24), bias="int32", axis=0, transB=1)
    assert_exact(compile_model(net.model(), tmp_path, core=on), samples=2, on=on)
