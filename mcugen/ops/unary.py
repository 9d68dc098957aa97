"""Functions of one 8-bit value, as tables that ORT itself computed: exact by construction.

lut              y = table[x]           table int8[256], lowest input first
channel_lut      y = table[c][x]        one function a channel (BatchNormalization between DQ and Q): int8[C,256]
"""

from __future__ import annotations

import numpy as np
import onnx

from ..ir import Node
from ..step import TABLE, Buffer, Step, Table
from .base import Canonical, Lowering, OpDef

# Element-wise ONNX operators of one input that a table takes, alone or in a chain.
UNARY = (
    "Abs Acos Asin Atan Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity LeakyRelu Log "
    "Mish Neg Reciprocal Relu Round Selu Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu"
).split()
# Operators that a chain may contain with constants of one value as the other operand.
WITH_SCALAR = ("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "PRelu")


def _canonical_lut(c: Canonical, node: Node) -> None:
    x, table = node.inputs
    index = c.add("Cast", [c.tensor(x)], f"{node.output}/value", to=onnx.TensorProto.INT32)
    if not c.origin:
        index = c.add("Add", [index, c.constant(f"{node.output}/lowest", np.int32(128))], f"{node.output}/index")
    c.add("Gather", [c.tensor(table), index], node.output)


def _lower_lut(lowering: Lowering, node: Node) -> Step:
    x, table = node.inputs
    data = lowering.graph.data(table)
    assert data is not None
    return Step(
        name=lowering.name,
        kernel="mcugen_lut_s8",
        args=(
            ("table", Table("table", data)),
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("count", lowering.type(x).count),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=TABLE,
        origin=node.origin,
        in_place=(x,),
    )


def _canonical_channels(c: Canonical, node: Node) -> None:
    """table[channel * 256 + x]: one Gather over the flattened tables."""
    x, table = node.inputs
    data = c.graph.data(table)
    assert data is not None
    rank, axis = len(c.graph.type(x).shape), node.attrs["axis"]
    lowest = np.arange(len(data), dtype=np.int32) * 256 + 128 - c.origin
    base = lowest.reshape([-1 if i == axis else 1 for i in range(rank)])
    flat = c.constant(f"{table}/flat", c.native(data).reshape(-1))
    index = c.add("Cast", [c.tensor(x)], f"{node.output}/value", to=onnx.TensorProto.INT32)
    index = c.add("Add", [index, c.constant(f"{node.output}/base", base)], f"{node.output}/index")
    c.add("Gather", [flat, index], node.output)


def _lower_channels(lowering: Lowering, node: Node) -> Step:
    x, table = node.inputs
    data = lowering.graph.data(table)
    assert data is not None
    shape, axis = lowering.type(x).shape, node.attrs["axis"]
    return Step(
        name=lowering.name,
        kernel="mcugen_channel_lut_s8",
        args=(
            ("table", Table("tables", data)),
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("outer", int(np.prod(shape[:axis], dtype=np.int64))),
            ("channels", shape[axis]),
            ("inner", int(np.prod(shape[axis + 1 :], dtype=np.int64))),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=TABLE,
        origin=node.origin,
        in_place=(x,),
    )


LUT = OpDef(
    name="lut",
    onnx=(*UNARY, "Sub", "Div", "Pow", "Min", "Max", "PRelu", "QLinearSigmoid", "QLinearLeakyRelu"),
    canonical=_canonical_lut,
    lower=_lower_lut,
    layout="elementwise",
    exactness=TABLE,
    about="alone, or any chain of them between DequantizeLinear and QuantizeLinear; other operands one constant",
)

CHANNEL_LUT = OpDef(
    name="channel_lut",
    onnx=("BatchNormalization",),
    canonical=_canonical_channels,
    lower=_lower_channels,
    layout="axis",
    exactness=TABLE,
    about="between DequantizeLinear and QuantizeLinear; behind an unquantized Conv it is folded",
)
