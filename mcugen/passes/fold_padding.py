"""A Pad with the zero point before a convolution becomes the convolution's own padding."""

from __future__ import annotations

from dataclasses import replace

from ..ir import Graph, Node, attrs
from .rewrite import Builder, rebuild


def fold_padding(graph: Graph) -> Graph:
    producers, consumers = graph.producers(), graph.consumers()

    def change(builder: Builder, node: Node) -> bool:
        pad = producers.get(node.inputs[0]) if node.op in ("conv", "conv_16") else None
        if pad is None or pad.op != "pad" or len(consumers[pad.output]) > 1 or pad.output in graph.outputs:
            return False
        q = graph.type(pad.inputs[0]).quant
        pads = pad.attrs["pads"]  # N H W C, before then after
        if q is None or pad.attrs["value"] != q.per_tensor[1]:
            return False
        if min(pads) < 0 or any(pads[axis] for axis in (0, 3, 4, 7)):
            return False
        own = node.attrs["pads"]
        total = (own[0] + pads[1], own[1] + pads[2], own[2] + pads[5], own[3] + pads[6])
        builder.add(
            replace(
                node,
                inputs=(pad.inputs[0], *node.inputs[1:]),
                attrs=attrs(**{**node.attrs, "pads": total}),
                origin=pad.origin + node.origin,
            )
        )
        return True

    return rebuild(graph, change)
