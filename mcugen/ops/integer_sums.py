"""ConvInteger and MatMulInteger as they are: int32 sums in memory, of operands and zero points known or not.

a int8[...,M,K], b int8[...,K,N] -> y int32[...,M,N]; x int8[N,H,W,C], w int8[O,KH,KW,C/groups] (after to_nhwc) ->
y int32[N,OH,OW,O]. The zero points of a, x and w are one value each; that of b is one, or one a column.
The pass dynamic_forms makes them of what is no layer with a float scale behind it (dynamic_layer.py).
"""

from __future__ import annotations

import numpy as np

from ..ir import Graph, Node
from ..step import PROVED, Buffer, Step, Struct, Table
from .base import Canonical, Lowering, OpDef
from .conv import dims, tile
from .matmul import matrices, starts
from .one_dimension import with_height


def _canonical_matmul(c: Canonical, node: Node) -> None:
    c.add("MatMulInteger", [c.tensor(name) for name in node.inputs], node.output)


def _canonical_conv(c: Canonical, node: Node) -> None:
    x, w, *zeros = node.inputs
    window = {key: node.attrs[key] for key in ("strides", "pads", "dilations", "group")}
    sums = c.add(
        "ConvInteger", [c.nchw(x), c.nchw(w), *(c.tensor(name) for name in zeros)], f"{node.output}/nchw", **window
    )
    c.from_nchw(sums, node.output)


def _lower_matmul(lowering: Lowering, node: Node) -> Step:
    a, b, a_zero, b_zero = node.inputs
    a_shape, b_shape, y_shape = (lowering.type(name).shape for name in (a, b, node.output))
    fields = {
        "batches": int(np.prod(y_shape[:-2])),
        "rows": a_shape[-2],
        "depth": a_shape[-1],
        "columns": b_shape[-1],
        "b_zero_step": int(lowering.type(b_zero).count > 1),
        "a_start": Table("a_start", starts(a_shape, y_shape[:-2])),
        "b_start": Table("b_start", starts(b_shape, y_shape[:-2])),
    }
    return Step(
        name=lowering.name,
        kernel="mcugen_integer_matmul_s8_s32",
        args=(
            ("params", Struct("mcugen_integer_matmul_params", fields)),
            ("a", Buffer(a)),
            ("b", Buffer(b)),
            ("a_zero_point", Buffer(a_zero)),
            ("b_zero_point", Buffer(b_zero)),
            ("output", Buffer(node.output)),
        ),
        inputs=_activations(lowering.graph, node),
        outputs=(node.output,),
        exactness=PROVED,
        origin=node.origin,
        macs=int(np.prod(y_shape)) * a_shape[-1],
    )


def _lower_conv(lowering: Lowering, node: Node) -> Step:
    x, w, x_zero, w_zero = node.inputs
    x_shape, w_shape, y_shape = (lowering.type(name).shape for name in (x, w, node.output))
    fields = {
        "groups": node.attrs["group"],
        "stride": tile(node.attrs["strides"]),
        "padding": tile(node.attrs["pads"][:2]),
        "dilation": tile(node.attrs["dilations"]),
    }
    return Step(
        name=lowering.name,
        kernel="mcugen_integer_convolve_s8_s32",
        args=(
            ("params", Struct("mcugen_integer_conv_params", fields)),
            ("input_dims", dims(x_shape)),
            ("input", Buffer(x)),
            ("filter_dims", dims(w_shape)),
            ("filter", Buffer(w)),
            ("input_zero_point", Buffer(x_zero)),
            ("filter_zero_point", Buffer(w_zero)),
            ("output_dims", dims(y_shape)),
            ("output", Buffer(node.output)),
        ),
        inputs=_activations(lowering.graph, node),
        outputs=(node.output,),
        exactness=PROVED,
        origin=node.origin,
        macs=int(np.prod(y_shape)) * int(np.prod(w_shape[1:])),
    )


def _activations(graph: Graph, node: Node) -> tuple[str, ...]:
    return tuple(name for name in node.inputs if graph.data(name) is None)


def _columns(graph: Graph, node: Node) -> str | None:
    """The right matrix has one zero point, or one a column. Give MatMulInteger such zero points."""
    zeros, columns = graph.type(node.inputs[3]), graph.type(node.inputs[1]).shape[-1]
    return None if zeros.count == 1 or zeros.shape == (columns,) else f"they have shape {list(zeros.shape)}"


def _one_zero_point(graph: Graph, node: Node) -> str | None:
    """ONNX Runtime runs ConvInteger with one zero point of the weights. Quantize them per tensor, or around 0."""
    count = graph.type(node.inputs[3]).count
    return None if count == 1 else f"{count} here"


INTEGER_MATMUL = OpDef(
    name="integer_matmul",
    onnx=("MatMulInteger",),
    canonical=_canonical_matmul,
    lower=_lower_matmul,
    fit=matrices,
    layout="fixed",
    exactness=PROVED,
    limits=(_columns,),
    about="int32 sums; operands and zero points may be computed at run time; batched and broadcast",
)

INTEGER_CONV = OpDef(
    name="integer_conv",
    onnx=("ConvInteger",),
    canonical=_canonical_conv,
    lower=_lower_conv,
    fit=with_height,
    layout="spatial",
    exactness=PROVED,
    limits=(_one_zero_point,),
    about="int32 sums, 1-D and 2-D; weights and zero points may be computed at run time",
)
