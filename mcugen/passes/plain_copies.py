"""Operators that pick or repeat elements become Take, Reshape, Transpose and MaxPool: they need no kernel of their own.

Take has one tuple of positions per axis (None = all of it): y[i, j, ...] = x[positions[0][i], positions[1][j], ...].
Slice, Expand, Tile, Resize (nearest) and Pad (reflect, edge, wrap) are such functions; their positions are read off
the result of ONNX Runtime itself on a tensor of numbered elements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node, TensorType, Value, attrs, constant
from ..ops.reduce import no_axes
from .fold_constants import evaluate
from .rewrite import Builder, rebuild

_PAD_RANK = 4  # dimensions that the kernels of Pad walk

Positions = tuple[tuple[int, ...] | None, ...]


def plain_copies(graph: Graph) -> Graph:
    def change(builder: Builder, node: Node) -> bool:
        form = _FORMS.get(node.op)
        if form is None or graph.data(node.inputs[0]) is not None:
            return False
        return form(builder, node)

    return rebuild(graph, change)


def _measured(builder: Builder, node: Node) -> bool:
    """Positions by experiment: number the input's elements and let ONNX Runtime move the numbers."""
    shape = builder.values[node.inputs[0]].type.shape
    if any(name and builder.values[name].data is None for name in node.inputs[1:]):
        raise UserError(
            f"{node.op} takes sizes or positions computed at run time",
            origin=node.where,
            hint="Export the model with constant ones.",
        )
    numbers = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    trial = Builder(builder.graph)
    trial.values = dict(builder.values)
    trial.values[node.inputs[0]] = constant(node.inputs[0], numbers)
    output = builder.values[node.output]
    trial.values[node.output] = Value(node.output, TensorType("int32", output.type.shape))
    (moved,) = evaluate(trial, node)
    _take(builder, node, node.inputs[0], _positions(moved, shape))
    return True


def _positions(moved: np.ndarray, shape: Sequence[int]) -> Positions:
    """`moved` holds flat element numbers of a tensor of `shape` (axes of size 1 may have been put before it)."""
    rank = moved.ndim
    full = (*(1,) * (rank - len(shape)), *shape)
    where = np.unravel_index(moved, full)
    found: list[tuple[int, ...] | None] = []
    for axis in range(rank):
        line = where[axis][tuple(slice(None) if k == axis else 0 for k in range(rank))]
        spread = line.reshape([-1 if k == axis else 1 for k in range(rank)])
        assert np.array_equal(where[axis], np.broadcast_to(spread, moved.shape)), "positions do not separate"
        found.append(None if np.array_equal(line, np.arange(full[axis])) else tuple(int(i) for i in line))
    return tuple(found)


def _take(builder: Builder, node: Node, source: str, positions: Positions, output: str | None = None) -> None:
    """Take from `source` (given leading axes of size 1 if need be); a Reshape behind it if the shape is another."""
    type = builder.values[source].type
    output = output or node.output
    if len(type.shape) < len(positions):
        source = _reshaped(builder, node, source, (*(1,) * (len(positions) - len(type.shape)), *type.shape))
        type = builder.values[source].type
    if all(p is None for p in positions):
        builder.add(Node("Identity", (source,), (output,), attrs(), node.origin))
        return
    shape = tuple(n if p is None else len(p) for p, n in zip(positions, type.shape, strict=True))
    wanted = builder.values[output].type.shape
    taken = output if shape == wanted else builder.value(f"{output}/taken", replace(type, shape=shape))
    builder.add(Node("Take", (source,), (taken,), attrs(positions=positions), node.origin))
    if taken != output:
        builder.add(Node("Identity", (taken,), (output,), attrs(), node.origin))


def _reshaped(builder: Builder, node: Node, source: str, shape: tuple[int, ...]) -> str:
    made = builder.value(f"{source}/reshaped", replace(builder.values[source].type, shape=shape))
    builder.add(Node("Identity", (source,), (made,), attrs(), node.origin))
    return made


def _along(axis: int, rank: int, positions: Sequence[int]) -> Positions:
    return tuple(tuple(positions) if k == axis else None for k in range(rank))


def _split(builder: Builder, node: Node) -> bool:
    rank = len(builder.values[node.inputs[0]].type.shape)
    axis = int(node.attrs.get("axis", 0)) % rank
    start = 0
    for output in node.outputs:
        size = builder.values[output].type.shape[axis]
        _take(builder, node, node.inputs[0], _along(axis, rank, range(start, start + size)), output)
        start += size
    return True


def _gather(builder: Builder, node: Node) -> bool:
    shape = builder.values[node.inputs[0]].type.shape
    index = builder.values[node.inputs[1]].data
    if index is None:
        return False
    axis = int(node.attrs.get("axis", 0)) % len(shape)
    flat = index.reshape(-1)
    if np.any(flat < -shape[axis]) or np.any(flat >= shape[axis]):
        raise UserError(
            f"a position is outside axis {axis} of size {shape[axis]}",
            origin=node.where,
            hint="Export the model again.",
        )
    _take(builder, node, node.inputs[0], _along(axis, len(shape), [int(i) % shape[axis] for i in flat]))
    return True


def _gather_elements(builder: Builder, node: Node) -> bool:
    """Of a tensor that is larger than the indices beside the axis: of the part that they reach."""
    shape, index = (builder.values[name].type.shape for name in node.inputs)
    axis = int(node.attrs.get("axis", 0)) % len(shape)
    if len(index) != len(shape) or any(
        n > size for k, (n, size) in enumerate(zip(index, shape, strict=True)) if k != axis
    ):
        return False  # refused where all shapes are known
    kept = tuple(None if k == axis or n == shape[k] else tuple(range(n)) for k, n in enumerate(index))
    if all(positions is None for positions in kept):
        return False
    type = replace(builder.values[node.inputs[0]].type, shape=(*index[:axis], shape[axis], *index[axis + 1 :]))
    part = builder.value(f"{node.output}/part", type)
    _take(builder, node, node.inputs[0], kept, part)
    builder.add(replace(node, inputs=(part, *node.inputs[1:])))
    return True


def _resize(builder: Builder, node: Node) -> bool:
    if node.attrs.get("mode", "nearest") != "nearest":
        return _same_size(builder, node) or _resize_last(builder, node)
    if node.attrs.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        raise UserError(
            "Resize with tf_crop_and_resize is not supported", origin=node.where, hint="Slice, then Resize."
        )
    return _measured(builder, node)


def _same_size(builder: Builder, node: Node) -> bool:
    """To the size it has, which ONNX Runtime takes for a copy whatever the scales say."""
    same = builder.values[node.inputs[0]].type.shape == builder.values[node.output].type.shape
    if same:
        builder.add(Node("Identity", node.inputs[:1], node.outputs, attrs(), node.origin))
    return same


def _resize_last(builder: Builder, node: Node) -> bool:
    """Interpolation over axes 1 and 2 of four: over 2 and 3, between two Transposes."""
    x, y = builder.values[node.inputs[0]].type, builder.values[node.output].type
    if len(x.shape) != 4 or x.shape[3] != y.shape[3] or x.shape[1] == y.shape[1]:
        return False
    amounts = [builder.values[name].data if name else None for name in node.inputs[2:4]]
    if "axes" in node.attrs or node.inputs[1] or all(a is None or a.size != 4 for a in amounts):
        return False
    to_first, to_last = (0, 3, 1, 2), (0, 2, 3, 1)
    first, made = (
        builder.value(f"{node.output}/{key}", replace(t, shape=tuple(t.shape[a] for a in to_first)))
        for key, t in (("operand", x), ("nchw", y))
    )
    inputs = [first, ""]
    for amount in amounts:
        inputs.append("" if amount is None else builder.constant(f"{node.output}/amount", amount[list(to_first)]))
    changed = dict(node.attrs)
    if "runs_in" in changed:
        changed["runs_in"] = tuple(to_first.index(axis) for axis in changed["runs_in"])
    builder.add(Node("Transpose", node.inputs[:1], (first,), attrs(perm=to_first), node.origin))
    builder.add(Node("Resize", tuple(inputs), (made,), attrs(**changed), node.origin))
    builder.add(Node("Transpose", (made,), node.outputs, attrs(perm=to_last), node.origin))
    return True


def _pad(builder: Builder, node: Node) -> bool:
    """Pads below 0 are a Take; what is left becomes Pads of at most 4 dimensions, with views around them."""
    if node.attrs.get("mode", "constant") != "constant":
        return _measured(builder, node)
    type = builder.values[node.inputs[0]].type
    rank = len(type.shape)
    axes_name = node.inputs[3] if len(node.inputs) > 3 else ""
    pads = builder.values[node.inputs[1]].data
    axes = builder.values[axes_name].data if axes_name else np.arange(rank)
    if pads is None or axes is None:
        return False  # refused where quantization is known
    if not axes_name and rank <= _PAD_RANK and min(pads, default=0) >= 0:
        return False
    before, after = ({int(a) % rank: int(n) for a, n in zip(axes, half, strict=True)} for half in np.split(pads, 2))
    source = node.inputs[0]
    kept = [range(max(0, -before.get(a, 0)), n - max(0, -after.get(a, 0))) for a, n in enumerate(type.shape)]
    shape = [len(positions) for positions in kept]
    if tuple(shape) != type.shape:
        cropped = builder.value(f"{node.output}/cropped", replace(type, shape=tuple(shape)))
        positions = tuple(None if len(p) == n else tuple(p) for p, n in zip(kept, type.shape, strict=True))
        _take(builder, node, source, positions, cropped)
        source = cropped
    left = [a for a in range(rank) if before.get(a, 0) > 0 or after.get(a, 0) > 0]
    while left:
        several = next(left[:n] for n in range(len(left), 0, -1) if len(_merged(shape, left[:n])) <= _PAD_RANK)
        groups = _merged(shape, several)
        sizes = [int(np.prod([shape[a] for a in group])) for group in groups]
        amounts = [
            max(0, side.get(group[0], 0)) if group[0] in several else 0 for side in (before, after) for group in groups
        ]
        source = _reshaped(builder, node, source, tuple(sizes))
        bigger = tuple(n + low + high for n, low, high in zip(sizes, amounts, amounts[len(sizes) :], strict=False))
        padded = builder.value(f"{node.output}/padded", replace(type, shape=bigger))
        name = builder.constant(f"{node.output}/pads", np.array(amounts, np.int64))
        builder.add(Node("Pad", (source, name, *node.inputs[2:3]), (padded,), node.attrs, node.origin))
        shape = [n + (max(0, before[a]) + max(0, after[a]) if a in several else 0) for a, n in enumerate(shape)]
        left = left[len(several) :]
        source = _reshaped(builder, node, padded, tuple(shape))
    builder.add(Node("Identity", (source,), node.outputs, attrs(), node.origin))
    return True


def _merged(shape: Sequence[int], alone: Sequence[int]) -> list[list[int]]:
    """The axes in groups that may be one: neighbours, but for those of `alone`."""
    groups: list[list[int]] = []
    for axis in range(len(shape)):
        if groups and axis not in alone and groups[-1][-1] not in alone:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return groups


def _depth_to_space(builder: Builder, node: Node) -> bool:
    n, c, h, w = builder.values[node.inputs[0]].type.shape
    b = int(node.attrs["blocksize"])
    depth = c // (b * b)
    if node.attrs.get("mode", "DCR") == "DCR":
        _shuffle(builder, node, (n, b, b, depth, h, w), (0, 3, 4, 1, 5, 2))
    else:
        _shuffle(builder, node, (n, depth, b, b, h, w), (0, 1, 4, 2, 5, 3))
    return True


def _space_to_depth(builder: Builder, node: Node) -> bool:
    n, c, h, w = builder.values[node.inputs[0]].type.shape
    b = int(node.attrs["blocksize"])
    _shuffle(builder, node, (n, c, h // b, b, w // b, b), (0, 3, 5, 1, 2, 4))
    return True


def _shuffle(builder: Builder, node: Node, shape: tuple[int, ...], perm: tuple[int, ...]) -> None:
    """Reshape to `shape`, Transpose, Reshape to the output's shape."""
    source = _reshaped(builder, node, node.inputs[0], shape)
    type = builder.values[source].type
    turned = builder.value(f"{node.output}/turned", replace(type, shape=tuple(shape[axis] for axis in perm)))
    builder.add(Node("Transpose", (source,), (turned,), attrs(perm=perm), node.origin))
    builder.add(Node("Identity", (turned,), node.outputs, attrs(), node.origin))


def _global_max_pool(builder: Builder, node: Node) -> bool:
    spatial = builder.values[node.inputs[0]].type.shape[2:]
    builder.add(Node("MaxPool", node.inputs, node.outputs, attrs(kernel_shape=spatial), node.origin))
    return True


def _single(builder: Builder, node: Node) -> bool:
    """Max and Min of one operand."""
    if len(node.inputs) == 1:
        builder.add(Node("Identity", node.inputs, node.outputs, attrs(), node.origin))
    return len(node.inputs) == 1


def _no_axes(builder: Builder, node: Node) -> bool:
    """A reduction over no axes, where its attribute says so."""
    found = no_axes(builder.graph, node)
    if found:
        builder.add(Node("Identity", node.inputs[:1], node.outputs, attrs(), node.origin))
    return found


_FORMS: dict[str, Callable[[Builder, Node], bool]] = {
    **{f"Reduce{kind}": _no_axes for kind in ("Sum", "Mean", "Max", "Min", "Prod")},
    "Slice": _measured,
    "Expand": _measured,
    "Tile": _measured,
    "Resize": _resize,
    "Pad": _pad,
    "Split": _split,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "GlobalMaxPool": _global_max_pool,
    "Max": _single,
    "Min": _single,
}
