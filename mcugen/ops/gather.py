"""Gather and Scatter: blocks of bytes picked, or replaced, by indices that are computed at run time.

All of ONNX's forms are one walk: [outer, sizes, inner] blocks, and tuples of indices into `sizes`.

    Gather(axis)              [outer, size] blocks of all behind the axis; one list of indices for every outer part
    GatherElements(axis)      [outer, size, inner] blocks of one element; an index for every element of the output
    GatherND(batch_dims)      [outer, sizes] blocks of what the tuples leave
    ScatterElements, -ND      the same walks, with blocks replaced; of equal indices the last one stays

An index outside [-size, size - 1], on which ONNX Runtime gives up, ends the run with NAME_ERR_KERNEL; nothing outside
is read or written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node, attrs
from ..step import COPY, Array, Buffer, Step, Struct
from .base import Canonical, Lowering, OpDef
from .broadcast import activations

GATHERS = ("Gather", "GatherElements", "GatherND")
SCATTERS = ("ScatterElements", "ScatterND")

_DEPTH = 4  # of mcugen_gather_params


def indexed(graph: Graph, node: Node) -> Node:
    """The operator for an ONNX node of GATHERS or SCATTERS; UserError where its shapes or indices allow none."""
    shape, index = (graph.type(name).shape for name in node.inputs[:2])
    if node.attrs.get("reduction", "none") != "none":
        raise UserError(
            f"{node.op} with reduction = {node.attrs['reduction']} is not supported",
            origin=node.where,
            hint="Use reduction = none, and compute with the elements before.",
        )
    given = {"batch": int(node.attrs.get("batch_dims", 0)), "axis": int(node.attrs.get("axis", 0)) % max(1, len(shape))}
    op = "gather" if node.op in GATHERS else "scatter"
    made = Node(op, node.inputs, node.outputs, attrs(form=node.op, **given), node.origin)
    if not _fits(graph, made):
        raise UserError(
            f"{node.op} of data {list(shape)} by indices {list(index)} is not supported",
            origin=node.where,
            hint="Give it indices for the whole of every other axis, or use GatherND or ScatterND.",
        )
    data, sizes = graph.data(node.inputs[1]), np.array(_sizes(graph, made))
    if data is not None and (np.any(data < -sizes) or np.any(data >= sizes)):
        raise UserError(
            f"an index is outside the axes of size {sizes.tolist()}", origin=node.where, hint="Export the model again."
        )
    return made


def _fits(graph: Graph, node: Node) -> bool:
    """Do the shapes make the walk? ONNX infers the output's without looking at all of them."""
    shape, index = (graph.type(name).shape for name in node.inputs[:2])
    form, axis, batch = node.attrs["form"], node.attrs["axis"], node.attrs["batch"]
    named = (index or (0,))[-1] if form.endswith("ND") else 1
    if graph.type(node.inputs[1]).count == 0 or named < 1 or batch < 0 or batch + named > len(shape):
        return False
    if form == "Gather":
        picked = (*shape[:axis], *index, *shape[axis + 1 :])
    elif form.endswith("ND"):
        picked = (*index[:-1], *shape[batch + named :])
    else:
        picked = index
        if _others(shape, axis) != _others(index, axis):
            return False
    if node.op == "gather":
        return shape[:batch] == index[:batch] and graph.type(node.output).shape == picked
    return graph.type(node.inputs[2]).shape == picked and graph.type(node.output).shape == shape


def _others(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _sizes(graph: Graph, node: Node) -> tuple[int, ...]:
    """Of the axes that a tuple of indices names."""
    shape, first = graph.type(node.inputs[0]).shape, node.attrs["axis"]
    if not node.attrs["form"].endswith("ND"):
        return shape[first : first + 1]
    batch = node.attrs["batch"]
    return shape[batch : batch + graph.type(node.inputs[1]).shape[-1]]


def index_ranges(graph: Graph) -> Mapping[str, tuple[int, int]]:
    """(lowest, highest) index that Gather, Scatter and sums allow in a tensor that only moves before they read it.

    Where none reads it, but a comparison with constants does: from below the smallest to above the largest of these.
    """
    allowed: dict[str, tuple[int, int]] = {}
    compared: dict[str, tuple[int, int]] = {}
    for node in reversed(graph.nodes):
        if node.op in (GATHER.name, SCATTER.name):
            size = min(_sizes(graph, node))
            low, high = allowed.get(node.inputs[1], (-size, size - 1))
            allowed[node.inputs[1]] = (max(low, -size), min(high, size - 1))
        elif node.op == "integer_reduce":  # of int64, sums up to 2^53
            most = 2**53 // graph.type(node.inputs[0]).count
            allowed.setdefault(node.inputs[0], (-most, most))
        elif node.op == "integer_compare":
            a, b = node.inputs
            for name, data in ((a, graph.data(b)), (b, graph.data(a))):
                if data is not None:
                    low, high = compared.get(name, (0, 0))
                    compared[name] = (min(low, int(data.min()) - 1), max(high, int(data.max()) + 1))
        elif node.op in _MOVES:
            for found, pick in ((allowed, (max, min)), (compared, (min, max))):
                for name in node.inputs if node.output in found else ():
                    both = zip(pick, found[node.output], found.get(name, found[node.output]), strict=True)
                    low, high = (choose(x, y) for choose, x, y in both)
                    found[name] = (low, high)
    return compared | allowed


_MOVES = ("reshape", "copy", "transpose", "take", "concat", "cast")


def _canonical(c: Canonical, node: Node) -> None:
    form = node.attrs["form"]
    extra = {"batch_dims": node.attrs["batch"]} if form == "GatherND" else {"axis": node.attrs["axis"]}
    c.add(form, [c.tensor(name) for name in node.inputs], node.output, **({} if form == "ScatterND" else extra))


def _fields(lowering: Lowering, node: Node) -> dict[str, object]:
    """Those of mcugen_gather_params."""
    data, index = (lowering.type(name) for name in node.inputs[:2])
    form, sizes = node.attrs["form"], _sizes(lowering.graph, node)
    first = node.attrs["batch"] if form.endswith("ND") else node.attrs["axis"]
    outer, behind = (
        int(np.prod(part, dtype=np.int64)) for part in (data.shape[:first], data.shape[first + len(sizes) :])
    )
    by_element = form.endswith("Elements")
    shared = form == "Gather"
    return {
        "outer": outer,
        "count": index.count // len(sizes) // (1 if shared else outer),
        "depth": len(sizes),
        "inner": behind if by_element else 1,
        "block": (1 if by_element else behind) * np.dtype(data.dtype).itemsize,
        "shared": int(shared),
        "sizes": Array(sizes),
    }


def _lower(*roles: str) -> Callable[[Lowering, Node], Step]:
    def lower(lowering: Lowering, node: Node) -> Step:
        kind = {"int32": "s32", "int64": "s64"}[lowering.type(node.inputs[1]).dtype]
        data, *others = node.inputs
        alone = lowering.graph.data(data) is None and data not in others  # the kernel reads those while it writes
        in_place = (data,) if node.op == "scatter" and alone else ()
        return Step(
            name=lowering.name,
            kernel=f"mcugen_{node.op}_{kind}",
            args=(
                ("params", Struct("mcugen_gather_params", _fields(lowering, node))),
                *(
                    (role, Buffer(name, as_bytes=role != "indices"))
                    for role, name in zip((*roles, "output"), (*node.inputs, node.output), strict=True)
                ),
            ),
            inputs=activations(lowering, node),
            outputs=(node.output,),
            exactness=COPY,
            origin=node.origin,
            returns_status=True,
            in_place=in_place,
            notes=("an index outside ends the run with an error",)
            if lowering.graph.data(node.inputs[1]) is None
            else (),
        )

    return lower


def _depth(graph: Graph, node: Node) -> str | None:
    """At most 4 indices can name an element. Reshape the tensor before export, and compute one index of several."""
    count = len(_sizes(graph, node))
    return None if count <= _DEPTH else f"{count} here"


GATHER = OpDef(
    name="gather",
    onnx=GATHERS,
    canonical=_canonical,
    lower=_lower("data", "indices"),
    layout="fixed",
    exactness=COPY,
    limits=(_depth,),
    bits=(8, 16),
    about="indices computed at run time, int32 or int64; any type of data, also constants (an embedding); an index "
    "outside ends the run with NAME_ERR_KERNEL",
)

SCATTER = OpDef(
    name="scatter",
    onnx=SCATTERS,
    canonical=_canonical,
    lower=_lower("data", "indices", "updates"),
    layout="fixed",
    exactness=COPY,
    limits=(_depth,),
    bits=(8, 16),
    about="reduction none; indices as those of gather",
)
