"""Small quantized ONNX models, built node by node with fixed seeds: what the tests compile.

`Net` writes the QDQ form. Zero points are given as for int8; a uint8 net adds 128 (uint16: 32768). `qoperator` writes
single QOperator nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DTYPES = ("uint8", "int8")
_ORIGINS = {"uint8": 128, "uint16": 32768}


@dataclass(frozen=True)
class Tensor:
    """A quantized activation of a Net: real = scale * (q - zero_point), zero_point in its own type ("": the net's)."""

    name: str
    scale: np.float32
    zero_point: int
    dtype: str = ""


class Net:
    """One graph; every method adds nodes and returns the tensor (or the name of the float value) they make."""

    def __init__(self, dtype: str = "uint8", *, seed: int = 0, opset: int = 17) -> None:
        self.turn(dtype)
        self.rng = np.random.default_rng(seed)
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def turn(self, dtype: str) -> None:
        """What comes from now on is quantized to `dtype`."""
        self.dtype = np.dtype(dtype)
        self.origin = _ORIGINS.get(dtype, 0)

    # Graph

    def constant(self, array: Any, name: str = "constant") -> str:
        name = f"{name}_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op: str, *inputs: str, name: str | None = None, domain: str = "", **attributes: Any) -> str:
        """One node with one output, named after its operator and position unless `name` is given ("" = unnamed)."""
        label = f"{op}_{len(self.nodes)}"
        output = f"{label}_out"
        shown = label if name is None else name
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=shown, domain=domain, **attributes))
        return output

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "small", self.inputs, self.outputs, self.initializers)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=max(8, helper.find_min_ir_version_for(opsets, True))
        )
        inferred = onnx.shape_inference.infer_shapes(model)
        del model.graph.output[:]
        model.graph.output.extend(inferred.graph.output)
        return model

    # Quantization

    def zero(self, zero_point: int) -> int:
        return zero_point + self.origin

    def params(self, scale: Any, zero_point: int) -> tuple[str, str]:
        """Initializers of their own for one Q or DQ node."""
        zero = np.asarray(zero_point).astype(self.dtype)
        return self.constant(np.float32(scale), "scale"), self.constant(zero, "zero_point")

    def quantize(self, real: str, scale: Any = 0.05, zero_point: int = 3) -> Tensor:
        native = self.zero(zero_point)
        name = self.node("QuantizeLinear", real, *self.params(scale, native))
        return Tensor(name, np.float32(scale), native, self.dtype.name)

    def real(self, x: Tensor) -> str:
        zero = np.asarray(x.zero_point).astype(x.dtype or self.dtype)
        return self.node("DequantizeLinear", x.name, self.constant(x.scale, "scale"), self.constant(zero, "zero_point"))

    def zero_of(self, x: Tensor) -> int:
        """The zero point as for int8."""
        return x.zero_point - _ORIGINS.get(x.dtype or self.dtype.name, 0)

    # Edges

    def float_input(self, shape: Sequence[Any], name: str = "x") -> str:
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def input(self, shape: Sequence[Any], scale: Any = 0.05, zero_point: int = -3, name: str = "x") -> Tensor:
        """A float input and its QuantizeLinear."""
        return self.quantize(self.float_input(shape, name), scale, zero_point)

    def integer_input(self, shape: Sequence[Any], scale: Any = 0.05, zero_point: int = -3, name: str = "x") -> Tensor:
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return Tensor(name, np.float32(scale), self.zero(zero_point), self.dtype.name)

    def _output(self, name: str, kind: int, rank: int | None = None) -> None:
        """rank: of an output whose shape ONNX cannot infer."""
        self.outputs.append(helper.make_tensor_value_info(name, kind, None if rank is None else [None] * rank))

    def output(self, x: Tensor, name: str = "y") -> None:
        """A float output behind a DequantizeLinear."""
        self.real(x)
        self.nodes[-1].output[0] = name
        self._output(name, TensorProto.FLOAT)

    def integer_output(self, x: Tensor, rank: int | None = None) -> None:
        self._output(x.name, helper.np_dtype_to_tensor_dtype(self.dtype), rank)

    # Layers

    def op(
        self,
        op: str,
        *operands: Tensor | str,
        scale: Any = 0.05,
        zero_point: int = 3,
        name: str | None = None,
        **attributes: Any,
    ) -> Tensor:
        """DequantizeLinear of every Tensor -> op -> QuantizeLinear; a str is a float value."""
        reals = [self.real(x) if isinstance(x, Tensor) else x for x in operands]
        return self.quantize(self.node(op, *reals, name=name, **attributes), scale, zero_point)

    def copy(self, op: str, x: Tensor, *operands: str, **attributes: Any) -> Tensor:
        """An operator that moves values, between DQ and Q of the same parameters."""
        return self.op(op, x, *operands, scale=x.scale, zero_point=self.zero_of(x), **attributes)

    def weights(
        self,
        shape: Sequence[int],
        scale: Any = 0.01,
        *,
        axis: int | None = 0,
        zero_point: int = 0,
        dtype: Any = np.int8,
    ) -> tuple[str, np.ndarray]:
        """(float name behind a DequantizeLinear, scales); axis None = per tensor.

        An array of scales is taken as it is, a single one is the largest of random ones.
        """
        info = ml_dtypes.iinfo(dtype)  # NumPy knows none of 4 bits
        data = self.rng.integers(max(info.min, -127), info.max, shape, endpoint=True).astype(dtype)
        count = 1 if axis is None else shape[axis]
        scales = np.asarray(scale, np.float32)
        if scales.ndim == 0:
            scales = scales * self.rng.uniform(0.3, 1.0, count).astype(np.float32)
        zeros = np.full(count, zero_point, dtype)
        if axis is None:
            parts = self.constant(scales[0], "w_scale"), self.constant(zeros[0], "w_zero")
            attributes = {}
        else:
            parts = self.constant(scales, "w_scale"), self.constant(zeros, "w_zero")
            attributes = {"axis": axis}
        return self.node("DequantizeLinear", self.constant(data, "weights"), *parts, **attributes), scales

    def bias(self, data: np.ndarray, scale: np.ndarray) -> str:
        """int32 at scale input * weights."""
        spread = np.ascontiguousarray(np.broadcast_to(scale.astype(np.float32), data.shape))
        return self.node("DequantizeLinear", self.constant(data, "bias"), self.constant(spread, "bias_scale"), axis=0)

    def layer(
        self,
        op: str,
        x: Tensor,
        shape: Sequence[int],
        *,
        depth: int,
        outputs: int,
        axis: int | None = 0,
        bias: bool | np.ndarray = True,
        w_scale: Any = 0.01,
        w_zero: int = 0,
        w_dtype: Any = np.int8,
        scale: Any = None,
        zero_point: int = 5,
        then: str = "",
        clip: tuple[float, float] | None = None,
        **attributes: Any,
    ) -> Tensor:
        """Conv or Gemm with random weights. The output scale (None) is chosen so that most codes occur.

        depth   products in an accumulator
        then    "Relu" or "Clip" (with `clip`, in real numbers) between the operator and QuantizeLinear
        """
        weights, scales = self.weights(shape, w_scale, axis=axis, zero_point=w_zero, dtype=w_dtype)
        spread = 70.0 * 70.0 * 2.0 ** (ml_dtypes.iinfo(w_dtype).bits - 8) * depth**0.5  # of a sum of uniform codes
        operands = [self.real(x), weights]
        if bias is True:
            bias = self.rng.integers(-int(spread), int(spread), outputs)
        if bias is not False:
            operands.append(self.bias(np.asarray(bias, np.int32), scales * x.scale))
        y_scale = float(x.scale) * float(scales.max()) * spread / 60.0 if scale is None else scale
        real = self.node(op, *operands, **attributes)
        if then == "Relu":
            real = self.node("Relu", real)
        elif then == "Clip":
            assert clip is not None
            real = self.node("Clip", real, *(self.constant(np.float32(end * y_scale), "end") for end in clip))
        return self.quantize(real, y_scale, zero_point)

    def conv(self, x: Tensor, shape: Sequence[int], **options: Any) -> Tensor:
        """shape: O, I / groups, KH, KW."""
        return self.layer("Conv", x, shape, depth=int(np.prod(shape[1:])), outputs=shape[0], **options)

    def gemm(self, x: Tensor, outputs: int, depth: int, *, transposed: bool = True, **options: Any) -> Tensor:
        shape = (outputs, depth) if transposed else (depth, outputs)
        options.setdefault("axis", 0 if transposed else 1)
        return self.layer("Gemm", x, shape, depth=depth, outputs=outputs, transB=int(transposed), **options)

    def shape(self, *sizes: int) -> str:
        return self.constant(np.array(sizes, np.int64), "shape")

    axes = shape


def qoperator(
    op: str,
    shapes: Sequence[Sequence[int]],
    *,
    dtype: str = "uint8",
    scales: Sequence[float] = (0.05, 0.03),
    zero_points: Sequence[int] = (-3, 7),
    output: tuple[float, int] = (0.06, 4),
    domain: str = "com.microsoft",
    output_first: bool = False,
    **attributes: Any,
) -> onnx.ModelProto:
    """One QOperator node over 8-bit model inputs a, b, ...: (x, scale, zero point) each, then the output's."""
    net = Net(dtype)
    operands: list[str] = []
    for name, shape, scale, zero_point in zip("abcd", shapes, scales, zero_points, strict=False):
        x = net.integer_input(shape, scale, zero_point, name)
        operands += [x.name, *net.params(x.scale, x.zero_point)]
    result = net.params(output[0], net.zero(output[1]))
    operands = [*result, *operands] if output_first else [*operands, *result]
    y = net.node(op, *operands, name="only", domain=domain, **attributes)
    net.integer_output(Tensor(y, np.float32(output[0]), net.zero(output[1])), len(shapes[0]))
    return net.model()


def qlinear_weights(
    op: str,
    input_shape: Sequence[int],
    w_shape: Sequence[int],
    *,
    dtype: str = "uint8",
    per_channel: bool = True,
    bias: bool = True,
    **attributes: Any,
) -> onnx.ModelProto:
    """QLinearConv, QLinearMatMul or QGemm with constant weights of the activations' type (QGemm: u8 x s8)."""
    net = Net(dtype, seed=3)
    x = net.integer_input(input_shape)
    axis = 1 if op == "QLinearMatMul" or (op == "QGemm" and not attributes.get("transB")) else 0
    outputs, depth = w_shape[axis], int(np.prod(w_shape)) // w_shape[axis]
    data = net.rng.integers(-127, 128, w_shape).astype(np.int8)
    scale = net.rng.uniform(0.003, 0.01, outputs if per_channel else 1).astype(np.float32)
    zero = np.zeros(scale.size, np.int8)
    shaped = (scale, zero) if per_channel else (scale[0], zero[0])
    operands = [x.name, *net.params(x.scale, x.zero_point), net.constant(data, "w"), *map(net.constant, shaped)]
    spread = 4900.0 * depth**0.5
    result = list(net.params(0.05 * scale.max() * spread / 60, net.zero(5)))
    values = net.constant(net.rng.integers(-int(spread), int(spread), outputs).astype(np.int32), "bias")
    if op == "QGemm":
        operands += [values if bias else "", *result]
    else:
        operands += result + ([values] if bias else [])
    domain = "com.microsoft" if op == "QGemm" else ""
    y = net.node(op, *operands, name="only", domain=domain, **attributes)
    net.integer_output(Tensor(y, np.float32(1), 0), len(input_shape))
    return net.model()
