"""Add, Sub and Mul of two 16-bit activations. ORT runs them in float32, element by element: every byte is the same.

The kernels compute in integers where a core has no FPU, and in float32 near a tie: requant.wide_sum_params.
"""

from __future__ import annotations

from .. import requant
from ..ir import Node
from ..step import REPLICATED, Buffer, Step, Struct
from .base import Lowering, OpDef, members
from .broadcast import equal_ranks, few_loops, four_loops
from .real import canonical, recognise


def _lower(lowering: Lowering, node: Node) -> Step:
    a, b = node.inputs
    operands = (*lowering.quant(a), *lowering.quant(b), *lowering.quant(node.output))
    clamp = node.attrs["clamp"]
    params: requant.WideSumParams | requant.WideProductParams
    if node.op == "mul_16":
        kernel, params = "mul", requant.wide_product_params(*operands, activation=clamp)
    else:
        sign = -1 if node.op == "sub_16" else 1
        kernel, params = "add", requant.wide_sum_params(*operands, sign=sign, activation=clamp)
    count = lowering.type(node.output).count
    return Step(
        name=lowering.name,
        kernel=f"mcugen_{kernel}_s16",
        args=(
            ("params", Struct(f"mcugen_{kernel}_s16_params", members(params))),
            ("shape", four_loops(lowering.type(a).shape, lowering.type(b).shape)),
            ("a", Buffer(a)),
            ("b", Buffer(b)),
            ("output", Buffer(node.output)),
        ),
        inputs=(a, b),
        outputs=(node.output,),
        exactness=REPLICATED,
        origin=node.origin,
        in_place=tuple(x for x in (a, b) if lowering.type(x).count == count),
    )


def _definition(onnx_op: str) -> OpDef:
    name = f"{onnx_op.lower()}_16"
    return OpDef(
        name=name,
        onnx=(onnx_op,),
        recognise=recognise(name),
        canonical=canonical(onnx_op),
        lower=_lower,
        fit=equal_ranks,
        layout="elementwise",
        exactness=REPLICATED,
        limits=(few_loops,),
        in_float=True,
        bits=(16,),
        about="16-bit tensors, with broadcasting; ONNX Runtime's float32 operations in its order",
    )


ADD_16 = _definition("Add")
SUB_16 = _definition("Sub")
MUL_16 = _definition("Mul")
