"""--io-buffers apart: inputs and outputs lie in buffers that the caller passes to the run, not in the arena.

Each output then needs bytes of its own: where it is a view of an input or of another output, it becomes a copy.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import UserError
from ..ir import Graph

_HINT = "Build it with --io-buffers arena, or drop the output."


def io_apart(graph: Graph) -> Graph:
    taken = set(graph.inputs)  # roots that have a caller's buffer already
    source: dict[str, str] = {}
    nodes = []
    for name in graph.outputs:
        if name in graph.inputs or graph.data(name) is not None:
            what = "an input" if name in graph.inputs else "a constant"
            raise UserError(f"the output is {what} of the model, and has no buffer of its own", origin=name, hint=_HINT)
        if graph.outputs.count(name) > 1:
            raise UserError("the output is named twice", origin=name, hint=_HINT)
    for node in graph.nodes:
        if node.op == "reshape":
            root = source.get(node.inputs[0], node.inputs[0])
            if node.output in graph.outputs and (root in taken or graph.data(root) is not None):
                node, root = replace(node, op="copy"), node.output
            source[node.output] = root
        nodes.append(node)
        if node.output in graph.outputs:
            taken.add(source.get(node.output, node.output))
    return graph.replace(nodes=tuple(nodes), apart=frozenset((*graph.inputs, *graph.outputs)))
