"""DynamicQuantizeLinear: 8 bits whose scale and zero point are measured at run time.

x float32 of any shape -> y int8 of the same shape, scale float32[], zero point int8[] (both less 128: ONNX says uint8).
"""

from __future__ import annotations

from ..ir import Node
from ..step import PROVED, Buffer, Step
from .base import Canonical, Lowering, OpDef


def _canonical(c: Canonical, node: Node) -> None:
    c.add_many("DynamicQuantizeLinear", [c.tensor(node.inputs[0])], node.outputs)


def _lower(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    y, scale, zero_point = node.outputs
    return Step(
        name=lowering.name,
        kernel="mcugen_dynamic_quantize_f32_s8",
        args=(
            ("input", Buffer(x)),
            ("output", Buffer(y)),
            ("scale", Buffer(scale)),
            ("zero_point", Buffer(zero_point)),
            ("count", lowering.type(x).count),
        ),
        inputs=(x,),
        outputs=(y, scale, zero_point),
        exactness=PROVED,
        origin=node.origin,
    )


DYNAMIC_QUANTIZE = OpDef(
    name="dynamic_quantize",
    onnx=("DynamicQuantizeLinear",),
    canonical=_canonical,
    lower=_lower,
    layout="elementwise",
    exactness=PROVED,
    about="scale and zero point of every inference, as ONNX Runtime computes them",
)
