"""TopK and CumSum along one axis: [outer, size, inner].

TopK: values float32 or of 8 bits, and positions int64, of equal values the first one, as ORT has them. A larger code is
a larger number, so TopK of dequantized values works on the codes. A NaN stands behind everything; where ORT puts it
depends on k and on the others' order. CumSum of float32 adds one after the other, as ORT does.
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import UserError
from ..ir import Node, attrs
from ..step import COPY, REPLICATED, Buffer, Step, Struct
from .base import Canonical, FloatUnit, Lowering, OpDef


def _parts(lowering: Lowering, node: Node) -> dict[str, int]:
    shape, axis = lowering.type(node.inputs[0]).shape, node.attrs["axis"]
    outer, inner = (math.prod(part) for part in (shape[:axis], shape[axis + 1 :]))
    return {"outer": outer, "size": shape[axis], "inner": inner}


def _top_k_from_float(unit: FloatUnit) -> Node:
    given, rank = unit.node.attrs, len(unit.type(0).shape)
    k = int(unit.constant(1).reshape(-1)[0])
    if not given.get("sorted", 1) and k > 1:
        raise UserError("TopK with sorted = 0 has no defined order", origin=unit.node.where, hint="Use sorted = 1.")
    chosen = attrs(axis=int(given.get("axis", -1)) % rank, k=k, largest=int(given.get("largest", 1)))
    return Node("top_k", (unit.name(0),), unit.node.outputs, chosen, unit.node.origin)


def _top_k_canonical(c: Canonical, node: Node) -> None:
    k = c.constant(f"{node.output}/k", np.array([node.attrs["k"]], np.int64))
    extra = {"axis": node.attrs["axis"], "largest": node.attrs["largest"]}
    c.add_many("TopK", [c.tensor(node.inputs[0]), k], node.outputs, **extra)


def _top_k_lower(lowering: Lowering, node: Node) -> Step:
    fields = _parts(lowering, node) | {"k": node.attrs["k"], "smallest": 1 - node.attrs["largest"]}
    values, positions = node.outputs
    return Step(
        name=lowering.name,
        kernel={"float32": "mcugen_f32_top_k", "int8": "mcugen_top_k_s8"}[lowering.type(values).dtype],
        args=(
            ("params", Struct("mcugen_top_k_params", fields)),
            ("input", Buffer(node.inputs[0])),
            ("values", Buffer(values)),
            ("positions", Buffer(positions)),
        ),
        inputs=node.inputs,
        outputs=node.outputs,
        exactness=COPY,
        origin=node.origin,
    )


def _cum_sum_from_float(unit: FloatUnit) -> Node:
    axis = int(unit.constant(1).reshape(-1)[0]) % len(unit.type(0).shape)
    chosen = {name: int(unit.node.attrs.get(name, 0)) for name in ("exclusive", "reverse")}
    return Node("float_cum_sum", (unit.name(0),), unit.node.outputs, attrs(axis=axis, **chosen), unit.node.origin)


def _cum_sum_canonical(c: Canonical, node: Node) -> None:
    axis = c.constant(f"{node.output}/axis", np.array(node.attrs["axis"], np.int64))
    extra = {name: node.attrs[name] for name in ("exclusive", "reverse")}
    c.add("CumSum", [c.tensor(node.inputs[0]), axis], node.output, **extra)


def _cum_sum_lower(lowering: Lowering, node: Node) -> Step:
    fields = _parts(lowering, node) | {name: node.attrs[name] for name in ("exclusive", "reverse")}
    return Step(
        name=lowering.name,
        kernel="mcugen_f32_cum_sum",
        args=(
            ("params", Struct("mcugen_f32_cum_sum_params", fields)),
            ("input", Buffer(node.inputs[0])),
            ("output", Buffer(node.output)),
        ),
        inputs=node.inputs,
        outputs=node.outputs,
        exactness=REPLICATED,
        origin=node.origin,
        in_place=node.inputs,
    )


TOP_K = OpDef(
    name="top_k",
    onnx=("TopK",),
    from_float=_top_k_from_float,
    canonical=_top_k_canonical,
    lower=_top_k_lower,
    layout="fixed",
    exactness=COPY,
    makes=("float32", "int8", "uint8"),
    about="float32 or 8 bits, any axis, constant k, sorted; int64 positions; NaN last, where ONNX Runtime has no order",
)

FLOAT_CUM_SUM = OpDef(
    name="float_cum_sum",
    onnx=("CumSum",),
    from_float=_cum_sum_from_float,
    canonical=_cum_sum_canonical,
    lower=_cum_sum_lower,
    layout="fixed",
    exactness=REPLICATED,
    about="float32, constant axis; exclusive and reverse too",
)
