"""Windows over three spatial axes become windows over two, where that is the same.

x[N,C,D,H,W]. A maximum over D, H and W is one over H and W, then one over D. Where an axis has size 1, and the window
takes no more of it, a convolution or an average does without it. What is left is refused by the operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..ir import Graph, Node, TensorType, attrs
from ..ops.conv import window
from .rewrite import DQ, Builder, rebuild

_RANK = 5


def flat_windows(graph: Graph) -> Graph:
    producers = graph.producers()

    def change(builder: Builder, node: Node) -> bool:
        if node.op not in _FORMS or len(graph.type(node.inputs[0]).shape) != _RANK or len(node.outputs) != 1:
            return False
        parts = _Parts(builder, node)
        if node.op == "GlobalAveragePool":
            return parts.average()
        return parts.maximum() if node.op == "MaxPool" else parts.without_axis(producers)

    return rebuild(graph, change)


_FORMS = ("Conv", "ConvTranspose", "AveragePool", "GlobalAveragePool", "MaxPool")


class _Parts:
    """Writes the nodes that take the place of `node`."""

    def __init__(self, builder: Builder, node: Node) -> None:
        self.builder, self.node = builder, node
        self.x, self.y = (builder.values[name].type for name in (node.inputs[0], node.output))

    def add(self, op: str, inputs: Sequence[str], shape: Sequence[int], given: Mapping[str, object]) -> str:
        made = self.builder.value(f"{self.node.output}/flat", replace(self.x, shape=tuple(shape)))
        self.builder.add(Node(op, tuple(inputs), (made,), attrs(**given), self.node.origin))
        return made

    def view(self, name: str, shape: Sequence[int]) -> str:
        return self.add("Identity", [name], shape, {})

    def finish(self, name: str) -> bool:
        self.builder.add(Node("Identity", (name,), self.node.outputs, attrs(), self.node.origin))
        return True

    def average(self) -> bool:
        n, c, d, h, w = self.x.shape
        flat = self.view(self.node.inputs[0], (n, c, d * h, w))
        return self.finish(self.add("GlobalAveragePool", [flat], (n, c, 1, 1), self.node.attrs))

    def maximum(self) -> bool:
        n, c, d, h, w = self.x.shape
        _, _, depth, height, width = self.y.shape
        kernel = self.node.attrs["kernel_shape"]
        planes = self.view(self.node.inputs[0], (n, c * d, h, w))
        smaller = self.add("MaxPool", [planes], (n, c * d, height, width), self.over((1, 2), kernel))
        columns = self.view(smaller, (n, c, d, height * width))
        line = self.over((0,), kernel)
        before, after = line.pop("pads")
        given = {key: (size, 1) for key, (size,) in line.items()} | {"pads": (before, 0, after, 0)}
        return self.finish(self.add("MaxPool", [columns], (n, c, depth, height * width), given))

    def over(self, axes: Sequence[int], kernel: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """The window's attributes over some of the spatial axes."""
        found = {"kernel_shape": tuple(kernel), **window(self.node, kernel, self.x.shape[2:])}
        if "output_padding" in self.node.attrs:
            found["output_padding"] = tuple(self.node.attrs["output_padding"])
        pads = found.pop("pads")
        chosen = {key: tuple(sizes[axis] for axis in axes) for key, sizes in found.items()}
        return chosen | {"pads": tuple(pads[axis + end] for end in (0, len(kernel)) for axis in axes)}

    def without_axis(self, producers: Mapping[str, Node]) -> bool:
        """Convolutions and averages with an axis of size 1 of which the window takes no more."""
        node = self.node
        weights = node.inputs[1] if len(node.inputs) > 1 else ""
        kernel = self.builder.values[weights].type.shape[2:] if weights else node.attrs["kernel_shape"]
        if "output_shape" in node.attrs or len(kernel) != _RANK - 2:
            return False
        alone = (a for a in range(len(kernel)) if (self.x.shape[2 + a], self.y.shape[2 + a], kernel[a]) == (1, 1, 1))
        axis = next((a for a in alone if not any(self.over((a,), kernel)["pads"])), None)
        if axis is None:
            return False
        smaller = self.weights(weights, producers.get(weights), 2 + axis) if weights else ""
        if smaller is None:
            return False
        image = self.view(node.inputs[0], _less(self.x.shape, 2 + axis))
        inputs = [image, smaller, *node.inputs[2:]] if weights else [image]
        kept = {key: value for key, value in node.attrs.items() if key != "auto_pad"}
        around = self.over([a for a in range(len(kernel)) if a != axis], kernel)
        return self.finish(self.add(node.op, inputs, _less(self.y.shape, 2 + axis), kept | around))

    def weights(self, name: str, dq: Node | None, axis: int) -> str | None:
        """Constant weights without an axis of size 1, their DequantizeLinear too; None for others."""
        constant = dq.inputs[0] if dq is not None and dq.op == DQ else name
        value = self.builder.values[constant]
        if value.data is None or (dq is not None and dq.attrs.get("block_size", 0)):
            return None
        smaller = self.builder.constant(f"{constant}/flat", value.data.squeeze(axis), value.type.quant)
        if dq is None:
            return smaller
        made = self.builder.value(f"{name}/flat", TensorType("float32", _less(value.type.shape, axis)))
        self.builder.add(Node(DQ, (smaller, *dq.inputs[1:]), (made,), dq.attrs, dq.origin))
        return made


def _less(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])
