"""float32 at the model's edge: quantize on the way in, dequantize on the way out (--io float)."""

from __future__ import annotations

from collections.abc import Callable

from ..ir import Node
from ..step import PROVED, Buffer, Step
from .base import Canonical, Lowering, OpDef


def _canonical_quantize(c: Canonical, node: Node) -> None:
    c.add("QuantizeLinear", [node.inputs[0], *c.q(node.output)], node.output)


def _canonical_dequantize(c: Canonical, node: Node) -> None:
    c.add("DequantizeLinear", [c.tensor(node.inputs[0]), *c.q(node.inputs[0])], node.output)


_KIND = {"int8": "s8", "int16": "s16"}


def _lower(kernel: str, quantized: str) -> Callable[[Lowering, Node], Step]:
    """kernel: with {} for the integer type."""

    def lower(lowering: Lowering, node: Node) -> Step:
        x = node.inputs[0]
        integer = node.output if quantized == "output" else x
        scale, zero_point = lowering.quant(integer)
        return Step(
            name=lowering.name,
            kernel=kernel.format(_KIND[lowering.type(integer).dtype]),
            args=(
                ("input", Buffer(x)),
                ("output", Buffer(node.output)),
                ("count", lowering.type(x).count),
                ("scale", scale),
                ("zero_point", zero_point),
            ),
            inputs=(x,),
            outputs=(node.output,),
            exactness=PROVED,
            origin=node.origin,
        )

    return lower


QUANTIZE = OpDef(
    name="quantize",
    onnx=("QuantizeLinear",),
    canonical=_canonical_quantize,
    lower=_lower("mcugen_quantize_f32_{}", "output"),
    layout="elementwise",
    exactness=PROVED,
    bits=(8, 16),
    about="at the model's inputs, with --io float; between layers it is part of the layer before",
)

DEQUANTIZE = OpDef(
    name="dequantize",
    onnx=("DequantizeLinear",),
    canonical=_canonical_dequantize,
    lower=_lower("mcugen_dequantize_{}_f32", "input"),
    layout="fixed",  # so that a transpose before it moves bytes, not floats
    exactness=PROVED,
    bits=(8, 16),
    about="at the model's outputs, with --io float; between layers it is part of the layer behind",
)
