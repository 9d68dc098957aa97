"""What dynamic quantization leaves becomes two operators: dynamic_quantize, and a layer with its scale and bias.

    ConvInteger | MatMulInteger -> Cast -> Mul(x_scale * w_scale) [-> Add(bias)] [-> Relu | Clip]

is one dynamic_conv or dynamic_fully_connected: the int32 sums never reach memory. Each float operation keeps the
rounding it has in the chain, which is also the order of ORT's own DynamicQuantizeMatMul. Where weights or their zero
points are computed at run time, or no such scale stands behind the sums, they are an integer_conv or integer_matmul.
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node, attrs, quant
from ..ops.conv import window
from .fuse_activation import bounds
from .rewrite import Builder, rebuild

_LAYERS = ("ConvInteger", "MatMulInteger")


def dynamic_forms(graph: Graph) -> Graph:
    chains = {node.output: _Chain(graph, node) for node in graph.nodes if node.op in _LAYERS}
    absorbed = {node.output for chain in chains.values() for node in chain.behind}

    def change(builder: Builder, node: Node) -> bool:
        if node.op == "DynamicQuantizeLinear":
            builder.add(Node("dynamic_quantize", node.inputs, node.outputs, attrs(), node.origin))
            return True
        if node.output in chains:
            chains[node.output].emit(builder)
        return node.output in chains or node.output in absorbed

    return rebuild(graph, change)


class _Chain:
    """One integer layer and the float nodes behind it that belong to it."""

    def __init__(self, graph: Graph, layer: Node) -> None:
        self.graph = graph
        self.layer = layer
        self.consumers, self.producers = graph.consumers(), graph.producers()
        self.behind: list[Node] = []
        self.is_conv = layer.op == "ConvInteger"
        self.weights = graph.data(layer.inputs[1])
        w_zero = layer.inputs[3] if len(layer.inputs) > 3 else ""
        self.zeros = graph.data(w_zero) if w_zero else np.zeros(1, np.int32)
        self.scales = self._scaled()
        if self.scales is None:
            self.behind = []
            return
        self.bias = self._bias()
        self.clamp = (-math.inf, math.inf)
        activation = self._reader()
        found = None if activation is None else bounds(graph, activation)
        if activation is not None and found is not None:
            self.behind.append(activation)
            self.clamp = found

    def _scaled(self) -> tuple[str, np.ndarray] | None:
        """What `_scales` finds behind a Cast; None where the sums are no layer whose weights and scale fit together."""
        weights, zeros = self.weights, self.zeros
        if weights is None or zeros is None or (not self.is_conv and weights.ndim != 2):
            return None
        self.outputs = len(weights) if self.is_conv else weights.shape[-1]
        cast = self._next("Cast") if zeros.size in (1, self.outputs) else None
        scaling = self._next("Mul") if cast is not None and self.graph.type(cast.output).dtype == "float32" else None
        return None if cast is None or scaling is None else self._scales(self._other(scaling, cast.output))

    @property
    def _end(self) -> str:
        return self.behind[-1].output if self.behind else self.layer.output

    def _reader(self) -> Node | None:
        """The only reader of the chain's end."""
        readers = self.consumers[self._end]
        return readers[0] if len(readers) == 1 and self._end not in self.graph.outputs else None

    def _next(self, op: str) -> Node | None:
        node = self._reader()
        if node is None or node.op != op:
            return None
        self.behind.append(node)
        return node

    @staticmethod
    def _other(node: Node, operand: str) -> str:
        (other,) = [name for name in node.inputs if name != operand] or [operand]
        return other

    def _per_output(self, name: str) -> np.ndarray | None:
        """A constant of one value, or of one value an output channel, as [outputs]; None if it is neither."""
        data = self.graph.data(name)
        if data is None:
            return None
        rank = len(self.graph.type(self.layer.output).shape)
        axis = 1 if self.is_conv else rank - 1
        full = (1,) * (rank - data.ndim) + data.shape
        spread = data.size == self.outputs and len(full) == rank and full[axis] == self.outputs
        return np.broadcast_to(data.reshape(-1), (self.outputs,)) if spread or data.size == 1 else None

    def _scales(self, name: str) -> tuple[str, np.ndarray] | None:
        """(value with the input's scale, scales of the weights) whose product is `name`; a constant has no input."""
        product = self.producers.get(name)
        if product is not None and product.op == "Mul":
            for a, b in (product.inputs, product.inputs[::-1]):
                scale = self._per_output(b)
                if scale is not None and self.graph.type(a).count == 1:
                    return a, scale
        both = self._per_output(name)
        if both is not None:
            return "", both
        return (name, np.ones(self.outputs, np.float32)) if self.graph.type(name).count == 1 else None

    def _bias(self) -> np.ndarray | None:
        add = self._reader()
        if add is None or add.op != "Add":
            return None
        bias = self._per_output(self._other(add, self._end))
        if bias is not None:
            self.behind.append(add)
        return bias

    def emit(self, builder: Builder) -> None:
        layer, graph, y = self.layer, self.graph, self._end
        zeros = [layer.inputs[slot] if slot < len(layer.inputs) else "" for slot in (2, 3)]
        for slot, zero in enumerate(zeros):
            if not zero:
                none = np.zeros((), graph.type(layer.inputs[slot]).dtype)
                zeros[slot] = builder.constant(f"{y}/zero_point{slot}", none)
        if builder.values[zeros[0]].type.count != 1:
            raise UserError(
                "the input's zero point must be one value", origin=layer.where, hint="Quantize activations per tensor."
            )
        extra: dict[str, object] = {}
        if self.is_conv:
            extra |= _window(graph, layer)
        kind = "conv" if self.is_conv else "matmul"
        if self.scales is None:
            builder.add(Node(f"integer_{kind}", (*layer.inputs[:2], *zeros), (y,), attrs(**extra), layer.origin))
            return
        assert self.weights is not None and self.zeros is not None
        x_scale, w_scale = self.scales
        weights = self.weights if self.is_conv else np.ascontiguousarray(self.weights.T)
        q = quant(w_scale, np.broadcast_to(self.zeros.reshape(-1), w_scale.shape), 0)
        bias = "" if self.bias is None else builder.constant(f"{y}/bias", self.bias.astype(np.float32))
        x_scale = x_scale or builder.constant(f"{y}/one", np.ones((), np.float32))
        inputs = (layer.inputs[0], builder.constant(f"{y}/weights", weights, q), bias, x_scale, zeros[0])
        op = "dynamic_conv" if self.is_conv else "dynamic_fully_connected"
        origin = layer.origin + tuple(name for node in self.behind for name in node.origin)
        builder.add(Node(op, inputs, (y,), attrs(clamp=self.clamp, **extra), origin))


def _window(graph: Graph, layer: Node) -> dict[str, object]:
    x_shape, w_shape = (graph.type(name).shape for name in layer.inputs[:2])
    group = int(layer.attrs.get("group", 1))
    if len(w_shape) not in (3, 4):
        raise UserError(
            f"only 1-D and 2-D ConvInteger is supported (weights {list(w_shape)})",
            origin=layer.where,
            hint="Reshape to fewer dimensions before export.",
        )
    if group < 1 or w_shape[0] % group or x_shape[1] != group * w_shape[1]:
        raise UserError(
            f"{group} groups of weights {list(w_shape)} do not fit an input of {x_shape[1]} channels",
            origin=layer.where,
            hint="Export the model again.",
        )
    return {**window(layer, w_shape[2:], x_shape[2:]), "group": group}
