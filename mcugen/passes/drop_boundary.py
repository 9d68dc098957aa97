"""--io int8: the firmware reads and writes the quantized tensors themselves.

The QuantizeLinear at an input and the DequantizeLinear at an output are left to the caller, who knows scale and zero
point from the header: four times less memory, and on most boards the sensor delivers integers anyway.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import Graph, Node, Value, attrs
from .rewrite import Builder


def drop_boundary(graph: Graph) -> Graph:
    consumers, producers = graph.consumers(), graph.producers()
    renamed: dict[str, str] = {}  # inner integer tensor -> the model's own name for it
    dropped: set[str] = set()
    for name in graph.inputs:
        readers = consumers[name]
        if name in graph.outputs:  # as real numbers
            continue
        if len(readers) == 1 and readers[0].op == "quantize" and readers[0].output not in graph.outputs:
            renamed[readers[0].output] = name
            dropped.add(readers[0].output)
    for name in graph.outputs:
        node = producers.get(name)
        source = node.inputs[0] if node is not None and node.op == "dequantize" else None
        if source is None or source in graph.outputs:
            continue
        dropped.add(name)
        if source not in renamed and source in producers:
            renamed[source] = name
        else:
            renamed.setdefault(source, source)  # already an input, or an output under another name: a view
    builder = Builder(graph)
    for inner, outer in renamed.items():
        builder.values[outer] = replace(graph.values[inner], name=outer)
    real: dict[str, str] = {}  # output that operators on real numbers read too -> what they read now
    for node in graph.nodes:
        if node.output in dropped and consumers[node.output] and node.op == "dequantize":
            real[node.output] = builder.value(f"{node.output}/real", graph.type(node.output))
            source = renamed.get(node.inputs[0], node.inputs[0])
            builder.add(replace(node, inputs=(source,), outputs=(real[node.output],)))
        if node.output not in dropped:
            inputs = tuple(renamed.get(i, real.get(i, i)) for i in node.inputs)
            outputs = tuple(renamed.get(o, o) for o in node.outputs)
            builder.add(replace(node, inputs=inputs, outputs=outputs))
        elif node.op == "dequantize":
            source = renamed.get(node.inputs[0], node.inputs[0])
            if source != node.output:
                builder.values[node.output] = Value(node.output, builder.values[source].type)
                builder.add(Node("reshape", (source,), node.outputs, attrs(), node.origin))
    return builder.graph_out()
