"""Operators that move bytes and compute nothing: views, transpose, concat, pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir import Graph, Node
from ..step import COPY, FEED, MOVE, Buffer, Step, Struct
from .base import Canonical, Lowering, OpDef
from .conv import dims
from .take import MAX_AXES, Axis, take_step

TRANSPOSES = ("arm_transpose_s8", "mcugen_interleave_s8")


def collapse(shape: Sequence[int], perm: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The same transpose in as few axes as possible: sizes of 1 dropped, axes that stay neighbours merged."""
    kept = [axis for axis in perm if shape[axis] != 1]
    groups: list[list[int]] = []
    position = {axis: i for i, axis in enumerate(a for a in range(len(shape)) if shape[a] != 1)}
    for axis in kept:
        if groups and position[axis] == position[groups[-1][-1]] + 1:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    order = sorted(range(len(groups)), key=lambda i: groups[i][0])
    sizes = tuple(int(np.prod([shape[a] for a in groups[i]])) for i in order)
    return sizes, tuple(order.index(i) for i in range(len(groups)))


def moves_data(shape: Sequence[int], perm: Sequence[int]) -> bool:
    return len(collapse(shape, perm)[0]) > 1


def _canonical_reshape(c: Canonical, node: Node) -> None:
    shape = c.constant(f"{node.output}/shape", np.array(c.graph.type(node.output).shape, np.int64))
    c.add("Reshape", [c.tensor(node.inputs[0]), shape], node.output)


def _lower_reshape(lowering: Lowering, node: Node) -> tuple[Step, ...]:
    return ()  # the plan gives input and output the same bytes


def _lower_copy(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    return Step(
        name=lowering.name,
        kernel=MOVE,
        args=(("input", Buffer(x)), ("output", Buffer(node.output)), ("count", lowering.type(x).bytes)),
        inputs=(x,) if lowering.graph.data(x) is None else (),
        outputs=(node.output,),
        exactness=COPY,
        origin=node.origin,
    )


def _lower_feed(lowering: Lowering, node: Node) -> Step:
    return Step(lowering.name, FEED, (), node.inputs, node.outputs, COPY, node.origin)


def _canonical_transpose(c: Canonical, node: Node) -> None:
    c.add("Transpose", [c.tensor(node.inputs[0])], node.output, perm=node.attrs["perm"])


def _loops(sizes: Sequence[int], perm: Sequence[int]) -> list[Axis]:
    strides = np.cumprod([1, *sizes[:0:-1]])[::-1]
    return [Axis(sizes[axis], int(strides[axis])) for axis in perm]


def _lower_transpose(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    if "plane_bytes" in node.attrs:  # the rows of each channel, for a band of rows
        _, rows, columns, channels = lowering.type(node.output).shape
        return _interleave(lowering, node, node.attrs["plane_bytes"], rows * columns, channels)
    sizes, perm = collapse(lowering.type(x).shape, node.attrs["perm"])
    rank = len(sizes)
    if rank > 4 or lowering.type(x).dtype not in ("int8", "bool"):  # what arm_transpose_s8 takes
        return take_step(lowering, node, _loops(sizes, perm), 0)
    if rank == 2 and lowering.kernels == "specialised":
        return _interleave(lowering, node, sizes[1], sizes[1], sizes[0])
    full = (*sizes, *(1,) * (4 - rank))
    order = (*perm, *range(rank, 4))
    fields: dict[str, Any] = {"num_dims": 4, "permutations": order}
    return Step(
        name=lowering.name,
        kernel="arm_transpose_s8",
        args=(
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("input_dims", dims(full)),
            ("output_dims", dims([full[i] for i in order])),
            ("params", Struct("cmsis_nn_transpose_params", fields)),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=COPY,
        origin=node.origin,
        returns_status=True,
    )


def _interleave(lowering: Lowering, node: Node, plane_bytes: int, pixels: int, channels: int) -> Step:
    """[channels, pixels] to [pixels, channels], the channels plane_bytes apart."""
    return Step(
        name=lowering.name,
        kernel="mcugen_interleave_s8",
        args=(
            ("input", Buffer(node.inputs[0])),
            ("output", Buffer(node.output)),
            ("plane_bytes", plane_bytes),
            ("pixels", pixels),
            ("channels", channels),
        ),
        inputs=node.inputs,
        outputs=(node.output,),
        exactness=COPY,
        origin=node.origin,
    )


def _loops_at_most(graph: Graph, node: Node) -> str | None:
    """At most 6 axes can be permuted apart from each other. Split the Transpose before export."""
    count = len(collapse(graph.type(node.inputs[0]).shape, node.attrs["perm"])[0])
    return None if count <= MAX_AXES else f"{count} here"


def _canonical_concat(c: Canonical, node: Node) -> None:
    c.add("Concat", [c.tensor(x) for x in node.inputs], node.output, axis=node.attrs["axis"])


def _lower_concat(lowering: Lowering, node: Node) -> tuple[Step, ...]:
    axis, shape, dtype = node.attrs["axis"], lowering.type(node.output).shape, lowering.type(node.output).dtype
    is_float = dtype == "float32"
    width = 1 if is_float else np.dtype(dtype).itemsize
    rows = int(np.prod(shape[:axis], dtype=np.int64))
    stride = int(np.prod(shape[axis:], dtype=np.int64)) * width
    steps = []
    offset = 0
    for index, x in enumerate(node.inputs):
        row_size = lowering.type(x).count // rows * width
        steps.append(
            Step(
                name=f"{lowering.name}_{index}",
                kernel="mcugen_f32_copy" if is_float else "mcugen_copy_s8",
                args=(
                    ("input", Buffer(x, as_bytes=width > 1)),
                    ("output", Buffer(node.output, as_bytes=width > 1)),
                    ("rows", rows),
                    ("row_size", row_size),
                    ("offset", offset),
                    ("stride", stride),
                ),
                inputs=(x,),
                outputs=(node.output,),
                exactness=COPY,
                origin=node.origin,
            )
        )
        offset += row_size
    return tuple(steps)


def _canonical_pad(c: Canonical, node: Node) -> None:
    rank = len(c.graph.type(node.output).shape)
    pads = c.constant(f"{node.output}/pads", np.array(node.attrs["pads"], np.int64))
    value = c.constant(f"{node.output}/value", c.number(node.output, node.attrs["value"]))
    assert len(node.attrs["pads"]) == 2 * rank
    if c.graph.type(node.output).dtype != "int16":
        c.add("Pad", [c.tensor(node.inputs[0]), pads, value], node.output)
        return
    wide = c.constant(f"{node.output}/wide value", c.initial(value).astype(np.float32))
    c.narrow(c.add("Pad", [c.wide(node.inputs[0], node.output), pads, wide], f"{node.output}/wide"), node.output)


def _lower_pad(lowering: Lowering, node: Node) -> Step:
    x = node.inputs[0]
    shape, pads = lowering.type(x).shape, node.attrs["pads"]
    ones = (1,) * (4 - len(shape))
    zeros = (0,) * (4 - len(shape))
    kernel = {"int8": "arm_pad_s8", "int16": "mcugen_pad_s16", "float32": "mcugen_f32_pad"}[lowering.type(x).dtype]
    value = node.attrs["value"]
    return Step(
        name=lowering.name,
        kernel=kernel,
        args=(
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("pad_value", np.float32(value) if lowering.type(x).dtype == "float32" else value),
            ("input_size", dims((*ones, *shape))),
            ("pre_pad", dims((*zeros, *pads[: len(shape)]))),
            ("post_pad", dims((*zeros, *pads[len(shape) :]))),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=COPY,
        origin=node.origin,
        returns_status=kernel.startswith("arm_"),
    )


RESHAPE = OpDef(
    name="reshape",
    onnx=("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"),
    canonical=_canonical_reshape,
    lower=_lower_reshape,
    layout="fixed",
    exactness=COPY,
    bits=(8, 16),
    about="views: nothing happens at run time",
)

# Made by passes, where a tensor must have bytes of its own.
COPY_OF = OpDef(
    name="copy",
    onnx=(),
    canonical=_canonical_reshape,
    lower=_lower_copy,
    layout="fixed",
    exactness=COPY,
    bits=(8, 16),
)

# Made by feed_rows: the rows of an input, copied as they come in.
FEED_ROWS = OpDef(
    name="feed",
    onnx=(),
    canonical=_canonical_reshape,
    lower=_lower_feed,
    layout="fixed",
    exactness=COPY,
)

TRANSPOSE = OpDef(
    name="transpose",
    onnx=("Transpose",),
    canonical=_canonical_transpose,
    lower=_lower_transpose,
    layout="fixed",
    exactness=COPY,
    limits=(_loops_at_most,),
    bits=(8, 16),
    about="cancelled where it can be; up to 6 axes permuted apart",
)

CONCAT = OpDef(
    name="concat",
    onnx=("Concat", "QLinearConcat"),
    canonical=_canonical_concat,
    lower=_lower_concat,
    layout="axis",
    exactness=COPY,
    bits=(8, 16),
    about="any axis; inputs with other scales pass a table first",
)

PAD = OpDef(
    name="pad",
    onnx=("Pad",),
    canonical=_canonical_pad,
    lower=_lower_pad,
    layout="axis",
    exactness=COPY,
    bits=(8, 16),
    about="constant value, any rank, cropping too; folded into the convolution behind it where that pads with its "
    "zero point",
)
