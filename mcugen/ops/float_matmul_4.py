"""Matrix product of float32 and weights of 4 bits, quantized in blocks along the sum; the weights stay packed.

x float32[...,K], w int8[O,K] in -8..7, scales float32[O,B], zero points int8[O,B], bias float32[O] -> y float32[...,O].
Sums run over the values of a block, then over the blocks. ONNX: DequantizeLinear with block_size, then MatMul or Gemm.
"""

from __future__ import annotations

import numpy as np

from ..ir import Graph, Node
from ..step import FLOAT, Buffer, Step, Struct, Table
from .base import Canonical, Lowering, OpDef
from .float_conv import TOLERANCE
from .packed import pack


def _parts(graph: Graph, node: Node) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """(weights, scales, zero points, bias or None)."""
    weights, scales, zeros = (graph.data(name) for name in node.inputs[1:4])
    assert weights is not None and scales is not None and zeros is not None
    bias = graph.data(node.inputs[4])
    return weights, scales, zeros, None if bias is None else np.broadcast_to(bias.reshape(-1), (len(weights),))


def _canonical(c: Canonical, node: Node) -> None:
    weights, scales, zeros, bias = _parts(c.graph, node)
    block, depth = node.attrs["block"], weights.shape[1]
    scale, zero = (np.repeat(part, block, axis=1)[:, :depth] for part in (scales, zeros))
    real = (weights.astype(np.float32) - zero.astype(np.float32)) * scale
    matrix = c.constant(f"{node.output}/matrix", np.ascontiguousarray(real.T))
    y = c.add("MatMul", [c.tensor(node.inputs[0]), matrix], f"{node.output}/product")
    if bias is not None:
        y = c.add("Add", [y, c.constant(f"{node.output}/bias", bias)], f"{node.output}/sum")
    c.bounded(node, y)


def _lower(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    weights, scales, zeros, bias = _parts(lowering.graph, node)
    outputs, depth = weights.shape
    rows = lowering.type(x).count // depth
    low, high = node.attrs.get("clamp", (-np.inf, np.inf))
    fields = {"rows": rows, "depth": depth, "outputs": outputs, "block": node.attrs["block"]}
    fields |= {"low": np.float32(low), "high": np.float32(high), "scale": Table("scales", scales)}
    fields |= {"zero_point": Table("zero_points", zeros)} if zeros.any() else {}
    fields |= {} if bias is None else {"bias": Table("bias", bias)}
    return Step(
        name=lowering.name,
        kernel="mcugen_f32_matmul_s4",
        args=(
            ("params", Struct("mcugen_f32_matmul_s4_params", fields)),
            ("input", Buffer(x)),
            ("filter", Table("weights", pack(weights))),
            ("output", Buffer(node.output)),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=FLOAT,
        tolerance=TOLERANCE,
        origin=node.origin,
        macs=rows * depth * outputs,
    )


FLOAT_MATMUL_4 = OpDef(
    name="float_matmul_4",
    onnx=("MatMulNBits", "MatMul", "Gemm"),
    canonical=_canonical,
    lower=_lower,
    layout="fixed",
    exactness=FLOAT,
    about=f"float32, weights of 4 bits in blocks, kept packed; within {TOLERANCE:g} of the largest result",
)
