"""Views cost nothing: a reshape of a reshape is one, and a reshape to the same shape is none.

The plan gives a view and its source the same bytes.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import Graph, Node
from .rewrite import Builder, rebuild


def alias_views(graph: Graph) -> Graph:
    source: dict[str, str] = {}

    def change(builder: Builder, node: Node) -> bool:
        inputs = tuple(source.get(name, name) for name in node.inputs)
        if node.op != "reshape":
            builder.add(replace(node, inputs=inputs))
            return True
        producer = next((n for n in builder.nodes if n.output == inputs[0]), None)
        root = producer.inputs[0] if producer is not None and producer.op == "reshape" else inputs[0]
        if graph.type(root).shape == graph.type(node.output).shape and node.output not in graph.outputs:
            source[node.output] = root
        else:
            builder.add(replace(node, inputs=(root,)))
        return True

    return rebuild(graph, change)
