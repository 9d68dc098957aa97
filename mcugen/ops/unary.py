"""Functions of one quantized value, as tables that ORT itself computed: exact by construction.

lut              y = table[x]           table int8|int16[256], lowest input first
                                        of 16 bits: [65536], stored as polynomial pieces that give the same values
channel_lut      y = table[c][x]        one function a channel (BatchNormalization between DQ and Q): int8[C,256]
"""

from __future__ import annotations

import math

import numpy as np
import onnx

from .. import pieces
from ..ir import Node
from ..step import TABLE, Buffer, Step, Struct, Table
from .base import Canonical, Lowering, OpDef, activation

# Element-wise ONNX operators of one input that a table takes, alone or in a chain.
UNARY = (
    "Abs Acos Asin Atan Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity LeakyRelu Log "
    "Mish Neg Reciprocal Relu Round Selu Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu"
).split()
# Operators that a chain may contain with constants of one value as the other operand.
WITH_SCALAR = ("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "PRelu")


_KERNELS = {
    ("int8", "int8"): "mcugen_lut_s8",
    ("int8", "int16"): "mcugen_lut_s8_s16",
    ("int16", "int8"): "mcugen_lut_s16_s8",
    ("int16", "int16"): "mcugen_lut_s16",
}


def _canonical_lut(c: Canonical, node: Node) -> None:
    x, table = node.inputs[:2]
    index = c.add("Cast", [c.tensor(x)], f"{node.output}/value", to=onnx.TensorProto.INT32)
    lowest = np.iinfo(c.native_type(c.graph.type(x).dtype)).min
    if lowest:
        index = c.add("Sub", [index, c.constant(f"{node.output}/lowest", np.int32(lowest))], f"{node.output}/index")
    c.add("Gather", [c.tensor(table), index], node.output)


def _lower_lut(lowering: Lowering, node: Node) -> Step:
    x, table = node.inputs[:2]
    data = lowering.graph.data(table)
    assert data is not None
    first: tuple[str, Struct | Table] = ("table", Table("table", data))
    if lowering.type(x).dtype == "int16":
        real = lowering.graph.data(node.inputs[2])
        assert real is not None
        found = pieces.fit(data, real)
        assert found is not None, node.where  # the pass that made the node looked
        fields = {
            "shift": found.shift,
            "coefficients": Table("coefficients", found.coefficients),
            "first": Table("first", found.first),
            "at": Table("at", found.at if found.at.size else np.zeros(1, np.uint16)),
            "value": Table("value", found.value if found.value.size else np.zeros(1, np.int16)),
            "activation": activation((found.low, found.high)),
        }
        first = ("params", Struct("mcugen_pieces", fields))
    return Step(
        name=lowering.name,
        kernel=_KERNELS[lowering.type(x).dtype, lowering.type(node.output).dtype],
        args=(
            first,
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("count", lowering.type(x).count),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=TABLE,
        origin=node.origin,
        in_place=(x,) if lowering.type(x).dtype == lowering.type(node.output).dtype else (),
    )


def _canonical_channels(c: Canonical, node: Node) -> None:
    """table[channel * 256 + x]: one Gather over the flattened tables."""
    x, table = node.inputs
    data = c.graph.data(table)
    assert data is not None
    rank, axis = len(c.graph.type(x).shape), node.attrs["axis"]
    lowest = np.arange(len(data), dtype=np.int32) * 256 - np.iinfo(c.native_type("int8")).min
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
            ("outer", math.prod(shape[:axis])),
            ("channels", shape[axis]),
            ("inner", math.prod(shape[axis + 1 :])),
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
    bits=(8, 16),
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
