"""Matrix product of two 16-bit tensors in its integer form, as layer_16 has it: ONNX Runtime multiplies floats.

y = clamp(rne(floor(sum / 2^drop) * factor) + zero point), the sum exact in int64. A sum that reaches 2^37 loses `drop`
bits, less than 2^-36 of what it reaches, so that a factor of 24 bits and more fits beside it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import TensorProto

from .. import requant
from ..ir import Graph, Node
from ..step import INTEGER, Buffer, Step, Struct, Table
from .base import Canonical, Lowering, activation, widened
from .layer_16 import OFFSET, rounded, shifted
from .matmul import MATMUL, starts

_LONGEST = 37  # bits of a sum


def _factor(graph: Graph, node: Node) -> tuple[requant.WideMultiplier, int]:
    """The factor, of one channel, and how many bits of a sum are dropped before."""
    quants = [graph.type(name).quant for name in (*node.inputs, node.output)]
    (a_scale, a_zero), (b_scale, b_zero), (y_scale, _) = (q.per_tensor for q in quants if q is not None)
    depth = graph.type(node.inputs[0]).shape[-1]
    reach = depth * max(a_zero + 32768, 32767 - a_zero) * max(b_zero + 32768, 32767 - b_zero)
    drop = max(reach.bit_length() - _LONGEST, 0)
    return requant.wide_multiplier(a_scale * np.float32(2.0**drop), b_scale, y_scale, reach / 2**drop), drop


def _canonical(c: Canonical, node: Node) -> None:
    key = node.output
    centred = []
    for slot, name in enumerate(node.inputs):
        value = c.add("Cast", [c.tensor(name)], f"{key}/input {slot}", to=TensorProto.INT64)
        zero = c.constant(f"{key}/zero {slot}", np.int64(c.q_zero(name)))
        centred.append(c.add("Sub", [value, zero], f"{key}/centred {slot}"))
    factor, drop = _factor(c.graph, node)
    total = c.add("MatMul", centred, f"{key}/total")
    if drop:
        positive = c.add("Add", [total, c.constant(f"{key}/far", np.int64(OFFSET))], f"{key}/far up")
        cut = shifted(c, f"{key}/cut", positive, c.constant(f"{key}/drop", np.uint64(drop)))
        total = c.add("Sub", [cut, c.constant(f"{key}/near", np.int64(OFFSET >> drop))], f"{key}/whole")
    c.narrow(rounded(c, node, total, factor, ()), key)


def _lower(lowering: Lowering, node: Node) -> Step:
    a, b = node.inputs
    a_shape, b_shape, y_shape = (lowering.type(name).shape for name in (a, b, node.output))
    factor, drop = _factor(lowering.graph, node)
    fields = {
        "batches": int(np.prod(y_shape[:-2])),
        "rows": a_shape[-2],
        "depth": a_shape[-1],
        "columns": b_shape[-1],
        "a_zero_point": lowering.quant(a)[1],
        "b_zero_point": lowering.quant(b)[1],
        "output_zero_point": lowering.quant(node.output)[1],
        "drop": drop,
        "multiplier": int(factor.multiplier[0]),
        "shift": int(factor.shift[0]),
        "a_start": Table("a_start", starts(a_shape, y_shape[:-2])),
        "b_start": Table("b_start", starts(b_shape, y_shape[:-2])),
        "activation": activation(node.attrs["clamp"]),
    }
    return Step(
        name=lowering.name,
        kernel="mcugen_matmul_s16",
        args=(
            ("params", Struct("mcugen_matmul_s16_params", fields)),
            ("a", Buffer(a)),
            ("b", Buffer(b)),
            ("output", Buffer(node.output)),
        ),
        inputs=tuple(name for name in (a, b) if lowering.graph.data(name) is None),
        outputs=(node.output,),
        exactness=INTEGER,
        origin=node.origin,
        macs=int(np.prod(y_shape)) * a_shape[-1],
    )


MATMUL_16 = replace(
    MATMUL,
    name="matmul_16",
    onnx=("MatMul",),
    recognise=widened(MATMUL.recognise, integer_form=True),
    canonical=_canonical,
    lower=_lower,
    exactness=INTEGER,
    bits=(16,),
    about="of two 16-bit tensors, batched and broadcast; exact sums; ONNX Runtime computes it in float",
)
