"""Cast at run time between bool, int32, int64 and float32, and between integers and 8 bits that were never real.

ONNX leaves open what becomes of a float that no integer holds: here the lowest integer, as from ONNX Runtime on x86-64.
"""

from __future__ import annotations

import onnx

from ..errors import UserError
from ..ir import Node, attrs
from ..step import PROVED, Buffer, Step
from .base import Canonical, FloatUnit, Lowering, OpDef

_KERNELS = {
    ("bool", "float32"): "mcugen_f32_from_bool",
    ("int32", "float32"): "mcugen_f32_from_int32",
    ("int64", "float32"): "mcugen_f32_from_int64",
    ("float32", "bool"): "mcugen_f32_to_bool",
    ("float32", "int32"): "mcugen_f32_to_int32",
    ("float32", "int64"): "mcugen_f32_to_int64",
    ("bool", "int32"): "mcugen_s32_from_bool",
    ("bool", "int64"): "mcugen_s64_from_bool",
    ("int32", "bool"): "mcugen_s32_to_bool",
    ("int64", "bool"): "mcugen_s64_to_bool",
    ("int32", "int64"): "mcugen_s64_from_s32",
    ("int64", "int32"): "mcugen_s32_from_s64",
    **{(whole, "int8"): f"mcugen_s8_from_{kind}" for whole, kind in (("int32", "s32"), ("int64", "s64"))},
    **{("int8", whole): f"mcugen_{kind}_from_s8" for whole, kind in (("int32", "s32"), ("int64", "s64"))},
}


def _from_float(unit: FloatUnit) -> Node:
    before, after = unit.type(0).dtype, unit.graph.type(unit.node.output).dtype
    if tuple("int8" if dtype == "uint8" else dtype for dtype in (before, after)) not in _KERNELS:
        raise UserError(
            f"Cast from {before} to {after} at run time is not supported",
            origin=unit.node.where,
            hint="Cast between bool, int8, uint8, int32, int64 and float32, or outside the model.",
        )
    return Node("cast", unit.node.inputs[:1], unit.node.outputs, attrs(), unit.node.origin)


def _canonical(c: Canonical, node: Node) -> None:
    to = onnx.helper.np_dtype_to_tensor_dtype(c.native_type(c.graph.type(node.output).dtype))
    c.add("Cast", [c.tensor(node.inputs[0])], node.output, to=to)


def _lower(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    types = lowering.type(x), lowering.type(node.output)
    origin = tuple(("origin", type.origin) for type in types if type.dtype == "int8")
    return Step(
        name=lowering.name,
        kernel=_KERNELS[types[0].dtype, types[1].dtype],
        args=(("input", Buffer(x)), ("output", Buffer(node.output)), ("count", lowering.type(x).count), *origin),
        inputs=(x,),
        outputs=(node.output,),
        exactness=PROVED,
        origin=node.origin,
    )


CAST = OpDef(
    name="cast",
    onnx=("Cast",),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    layout="elementwise",
    exactness=PROVED,
    makes=("float32", "bool", "int32", "int64", "int8", "uint8"),
    about="between bool, int8, uint8, int32, int64 and float32; CastLike too",
)
