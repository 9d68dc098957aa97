"""--feed rows: the image comes in as a camera delivers it, row by row, and never stands in memory as a whole.

The model's input becomes an NHWC tensor of the caller's, and a `feed` node copies its rows into the arena: the plan
runs it, with the layers behind it, in bands. A row holds all channels of all its pixels. Tables may come before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from ..errors import UserError
from ..ir import Graph, Node, TensorType, Value, attrs

_TO_NHWC = (0, 2, 3, 1)
_CHANNELS_LAST = ("conv", "max_pool", "average_pool", "global_average_pool")  # what these read is NHWC already


def feed_rows(graph: Graph) -> Graph:
    if len(graph.inputs) != 1:
        raise UserError(
            f"--feed rows takes a model with one input, this one has {len(graph.inputs)}.", hint="Leave --feed out."
        )
    (name,) = graph.inputs
    type = graph.type(name)
    readers = [node for node in graph.nodes if name in node.inputs]
    if type.dtype != "int8" or len(type.shape) != 4 or type.shape[0] != 1:
        raise UserError(
            f"--feed rows takes one image of 8 bits, this input is {type.dtype}{list(type.shape)}",
            origin=name,
            hint=_instead(type, readers),
        )
    graph = _turned_first(graph, name)
    first, (*_, layer) = _reader(graph, name), _tables(graph, name)
    values = dict(graph.values)
    if first is not None and _to_channels_last(graph, first):
        fed = first.output
        rest = tuple(node for node in graph.nodes if node is not first)
        values[name] = Value(name, replace(type, shape=graph.type(fed).shape))
        node = Node("feed", (name,), (fed,), attrs(perm=_TO_NHWC), first.origin)
    elif first is not None and layer is not None and layer.op in _CHANNELS_LAST:
        fed = f"{name} (fed)"
        changed = replace(first, inputs=tuple(fed if i == name else i for i in first.inputs))
        rest = tuple(changed if node is first else node for node in graph.nodes)
        values[fed] = Value(fed, type)
        node = Node("feed", (name,), (fed,), attrs(perm=(0, 1, 2, 3)), first.origin)
    else:
        raise UserError(
            "--feed rows takes an image that one convolution or pool reads",
            origin=name,
            hint="Build it without --feed.",
        )
    return graph.replace(nodes=(node, *rest), values=MappingProxyType(values), apart=frozenset((name,)))


def _reader(graph: Graph, name: str) -> Node | None:
    """The only one."""
    found = [node for node in graph.nodes if name in node.inputs]
    return found[0] if len(found) == 1 and name not in graph.outputs else None


def _tables(graph: Graph, name: str) -> list[Node | None]:
    """The tables that `name` passes one after the other, and what reads the last one."""
    found = [_reader(graph, name)]
    while (node := found[-1]) is not None and node.op == "lut":
        found.append(_reader(graph, node.output))
    return found


def _turned_first(graph: Graph, name: str) -> Graph:
    """Tables between the image and its turn to NHWC stand behind that: to them, the order of the values is all one."""
    *tables, turn = _tables(graph, name)
    if turn is None or not _to_channels_last(graph, turn):
        return graph
    for table in reversed(tables):
        assert table is not None
        x, *data = table.inputs
        values = {**graph.values}
        values[table.output] = Value(table.output, replace(graph.type(x), shape=graph.type(turn.output).shape))
        turned = replace(turn, inputs=(x,), outputs=table.outputs)
        last = replace(table, inputs=(table.output, *data), outputs=turn.outputs)
        nodes = tuple(turned if n is table else last if n is turn else n for n in graph.nodes)
        graph, turn = graph.replace(nodes=nodes, values=MappingProxyType(values)), turned
    return graph


def _instead(type: TensorType, readers: Sequence[Node]) -> str:
    if len(type.shape) == 4 and type.shape[0] != 1:
        return "Export the model with a batch of 1, or leave --feed out."
    if len(type.shape) == 4 and any(node.op == "quantize" for node in readers):
        return "Build with --io int8."
    return "Quantize the model's input to 8 bits, or leave --feed out." if len(type.shape) == 4 else "Leave --feed out."


def _to_channels_last(graph: Graph, node: Node) -> bool:
    """NCHW to NHWC, as a transpose or, with one channel, as a view."""
    if node.op == "transpose":
        return tuple(node.attrs["perm"]) == _TO_NHWC
    before, after = graph.type(node.inputs[0]).shape, graph.type(node.output).shape
    return node.op == "reshape" and after == tuple(before[axis] for axis in _TO_NHWC)
