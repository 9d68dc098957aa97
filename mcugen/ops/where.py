"""Where: one of two values, as a third one says. It moves bytes, integers or float32 numbers, with broadcasting.

condition bool, b, c -> y = condition ? b : c. Between DequantizeLinear and QuantizeLinear each operand is quantized as
the output is; where it was quantized otherwise it passes a table first.
"""

from __future__ import annotations

import onnx

from ..ir import Node
from ..step import COPY, Buffer, Step, Struct
from .base import Canonical, FloatUnit, Lowering, OpDef
from .broadcast import activations, equal_ranks, few_loops, walk


def _from_float(unit: FloatUnit) -> Node:
    return unit.make("float_where", unit.node.inputs)


def _canonical(c: Canonical, node: Node) -> None:
    if c.graph.type(node.output).dtype == "int16":
        wide = [c.tensor(node.inputs[0]), *(c.wide(name, node.output) for name in node.inputs[1:])]
        c.narrow(c.add("Where", wide, f"{node.output}/wide"), node.output)
        return
    operands = [c.tensor(name) for name in node.inputs]
    if c.graph.type(node.output).dtype != "bool":
        c.add("Where", operands, node.output)
        return
    byte = onnx.TensorProto.UINT8  # ORT chooses among bytes, not among bools
    operands[1:] = [c.add("Cast", [name], f"{node.output}/byte{k}", to=byte) for k, name in enumerate(operands[1:])]
    c.add("Cast", [c.add("Where", operands, f"{node.output}/byte")], node.output, to=onnx.TensorProto.BOOL)


_KERNELS = {
    "int8": "mcugen_where_s8",
    "bool": "mcugen_where_s8",
    "int16": "mcugen_where_s16",
    "int32": "mcugen_where_s32",
    "int64": "mcugen_where_s64",
    "float32": "mcugen_f32_where",
}


def _lower(lowering: Lowering, node: Node) -> Step:
    size, dtype = lowering.type(node.output).count, lowering.type(node.output).dtype
    roles = ("condition", "b", "c")
    return Step(
        name=lowering.name,
        kernel=_KERNELS[dtype],
        args=(
            ("params", Struct("mcugen_where_params", walk(lowering, node))),
            *((role, Buffer(name)) for role, name in zip(roles, node.inputs, strict=True)),
            ("output", Buffer(node.output)),
        ),
        inputs=activations(lowering, node),
        outputs=(node.output,),
        exactness=COPY,
        origin=node.origin,
        in_place=tuple(
            name
            for name in activations(lowering, node)
            if lowering.type(name).count == size and lowering.type(name).dtype == dtype
        ),
    )


WHERE = OpDef(
    name="where",
    onnx=("Where", "And", "Or", "Xor", "Not"),
    canonical=_canonical,
    lower=_lower,
    fit=equal_ranks,
    layout="elementwise",
    exactness=COPY,
    limits=(few_loops,),
    bits=(8, 16),
    about="8 or 16 bits, bool (a byte), int32, int64; with broadcasting; operands with other scales pass a table first",
)

FLOAT_WHERE = OpDef(
    name="float_where",
    onnx=("Where", "Trilu"),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    fit=equal_ranks,
    layout="elementwise",
    exactness=COPY,
    limits=(few_loops,),
    about="float32, with broadcasting",
)
