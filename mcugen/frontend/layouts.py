"""In which layout ONNX Runtime runs a linear Resize of 8-bit images: its arithmetic depends on it.

Its optimizer moves Transposes through a Resize as it sees fit, so it is asked: random inputs run through the graph of
the pinned session and through the model as it is, and a Resize's operand and result here and there say how the axes
were permuted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import permutations

import numpy as np
import onnx

from .. import oracle
from ..errors import UserError
from ..ir import Graph, Node, attrs, unique

_AXES = (0, 1, 2, 3)
_TO_NHWC = (0, 2, 3, 1)

_Arrays = tuple[np.ndarray, np.ndarray]  # a Resize's operand and result


def note_layouts(graph: Graph, model: onnx.ModelProto) -> Graph:
    """`graph`, read from `model`, where every linear Resize of 8-bit images has the attribute `runs_in`.

    runs_in: the axes of the model's own tensor in the order of the one that ONNX Runtime's optimized graph resizes.
    UserError if that graph has no such Resize.
    """
    if not any(_depends(graph, node) for node in graph.nodes):
        return graph
    named, names = _named(model)
    executed = oracle.executed_graph(named)
    there = {node.name: node for node in executed.graph.node if node.op_type == "Resize"}
    feeds = _feeds(named)
    inside = _arrays(executed, feeds, there.values())
    outside = _arrays(named, feeds, (node for node in named.graph.node if node.op_type == "Resize"))

    def noted(node: Node) -> Node:
        if not _depends(graph, node):
            return node
        name = names.get(node.output, "")
        perm = _permutation(outside[name], inside[name]) if name in there else None
        if perm is None:
            raise UserError(
                "ONNX Runtime's optimized graph has no such Resize of 8-bit numbers, so its arithmetic is not known",
                origin=node.where,
                hint="Put DequantizeLinear before it and QuantizeLinear behind.",
            )
        return replace(node, attrs=attrs(**node.attrs, runs_in=perm))

    return graph.replace(nodes=tuple(map(noted, graph.nodes)))


def _depends(graph: Graph, node: Node) -> bool:
    if node.op != "Resize" or node.attrs.get("mode") != "linear":
        return False
    type = graph.type(node.inputs[0])
    return type.dtype in ("int8", "uint8") and len(type.shape) == len(_AXES) and graph.data(node.inputs[0]) is None


def _named(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, str]]:
    """A copy in which every Resize has a name, which the optimizer keeps; and the names, by output."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    taken = {node.name for node in copy.graph.node}
    names: dict[str, str] = {}
    for node in copy.graph.node:
        if node.op_type == "Resize":
            node.name = node.name or unique(f"resize {node.output[0]}", taken)
            names[node.output[0]] = node.name
    return copy, names


def _feeds(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Random inputs, of 8 bits the whole range; zeros for other integers, which may be positions."""
    chance = np.random.default_rng(0)
    given = {tensor.name for tensor in model.graph.initializer}
    feeds: dict[str, np.ndarray] = {}
    for info in model.graph.input:
        if info.name in given:
            continue
        tensor = info.type.tensor_type
        dtype, shape = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type), [d.dim_value for d in tensor.shape.dim]
        if np.issubdtype(dtype, np.floating):
            feeds[info.name] = chance.normal(0, 1, shape).astype(dtype)
        elif dtype.itemsize == 1:
            feeds[info.name] = chance.integers(0, 256, shape).astype(np.uint8).astype(dtype)
        else:
            feeds[info.name] = np.zeros(shape, dtype)
    return feeds


def _arrays(
    model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], resizes: Iterable[onnx.NodeProto]
) -> dict[str, _Arrays]:
    """What each Resize of `model` reads and makes, by its name."""
    ends = {node.name: (node.input[0], node.output[0]) for node in resizes}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {output.name for output in copy.graph.output}
    for name in dict.fromkeys(name for pair in ends.values() for name in pair):
        if name not in known:
            copy.graph.output.add(name=name)
    try:
        session = oracle.plain_session(copy)
    except Exception as error:  # ORT raises its own types for each failure
        raise UserError(
            f"ONNX Runtime does not run the model without optimization, to tell the layout of its Resize: "
            f"{str(error).splitlines()[0]}",
            hint="Put DequantizeLinear before the Resize and QuantizeLinear behind.",
        ) from None
    found = oracle.run(session, feeds)
    return {name: (found[read], found[made]) for name, (read, made) in ends.items()}


def _permutation(before: _Arrays, after: _Arrays) -> tuple[int, ...] | None:
    """The axes of `before` in the order of `after`; None if none fits. Other layers may differ a little, in floats."""
    fitting = {
        perm: int(np.sum(np.transpose(before[0], perm) == after[0]))
        for perm in sorted(permutations(_AXES), key=lambda perm: perm not in (_AXES, _TO_NHWC))
        if all(np.transpose(b, perm).shape == a.shape for b, a in zip(before, after, strict=True))
    }
    return max(fitting, key=lambda perm: fitting[perm], default=None)
