"""Binary operators on two 16-bit activations. ORT runs them in float32, element by element: every byte is the same.

The kernels compute in integers where a core has no FPU (a quotient in float32), and in float32 near a tie:
requant.wide_sum_params.
"""

from __future__ import annotations

from .. import requant
from ..ir import Node
from ..step import COPY, REPLICATED, Buffer, Step, Struct
from .base import Lowering, OpDef, members
from .broadcast import equal_ranks, few_loops, four_loops
from .real import canonical, div_fields, recognise


def _params(lowering: Lowering, node: Node) -> Struct:
    operands = [lowering.quant(name) for name in (*node.inputs, node.output)]
    clamp, flat = node.attrs["clamp"], (*operands[0], *operands[1], *operands[2])
    if node.op == "div_16":
        return Struct("mcugen_div_params", div_fields(lowering, node))
    if node.op == "mul_16":
        return Struct("mcugen_mul_s16_params", members(requant.wide_product_params(*flat, activation=clamp)))
    if node.op in ("add_16", "sub_16"):
        sign = -1 if node.op == "sub_16" else 1
        return Struct("mcugen_add_s16_params", members(requant.wide_sum_params(*flat, sign=sign, activation=clamp)))
    fields = members(requant.wide_choice_params(*flat, activation=clamp))
    return Struct("mcugen_choice_s16_params", {"same": int(_same(lowering, node))} | fields)


def _same(lowering: Lowering, node: Node) -> bool:
    """Have the operands and the output one scale and zero point?"""
    return len({lowering.quant(name) for name in (*node.inputs, node.output)}) == 1


def _lower(lowering: Lowering, node: Node) -> Step:
    a, b = node.inputs
    count = lowering.type(node.output).count
    is_copy = node.op in ("min_16", "max_16") and _same(lowering, node)
    return Step(
        name=lowering.name,
        kernel=f"mcugen_{_KERNELS.get(node.op, node.op.removesuffix('_16'))}_s16",
        args=(
            ("params", _params(lowering, node)),
            ("shape", four_loops(lowering.type(a).shape, lowering.type(b).shape)),
            ("a", Buffer(a)),
            ("b", Buffer(b)),
            ("output", Buffer(node.output)),
        ),
        inputs=(a, b),
        outputs=(node.output,),
        exactness=COPY if is_copy else REPLICATED,
        origin=node.origin,
        in_place=tuple(x for x in (a, b) if lowering.type(x).count == count),
    )


_KERNELS = {"sub_16": "add"}


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
DIV_16 = _definition("Div")
MIN_16 = _definition("Min")
MAX_16 = _definition("Max")
