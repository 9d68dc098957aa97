"""What dynamic quantization leaves becomes two operators: dynamic_quantize, and a layer with its scale and bias.

    ConvInteger | MatMulInteger -> Cast -> Mul(x_scale * w_scale) [-> Add(bias)] [-> Relu | Clip]

is one dynamic_conv or dynamic_fully_connected: the int32 sums never reach memory. Each float operation keeps the
rounding it has in the chain, which is also the order of ORT's own DynamicQuantizeMatMul.
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
        if self.weights is None:
            raise UserError(
                f"the weights of {layer.op} are computed at run time",
                origin=layer.where,
                hint="Only weights known at compile time are supported.",
            )
        self.outputs = len(self.weights) if self.is_conv else self.weights.shape[-1]
        cast = self._next("Cast")
        scaling = self._next("Mul") if cast is not None else None
        if cast is None or scaling is None:
            raise UserError(
                f"{layer.op} must be followed by Cast and by Mul with the scale",
                origin=layer.where,
                hint="Export the form that onnxruntime.quantization.quantize_dynamic writes.",
            )
        self.x_scale, self.w_scale = self._scales(self._other(scaling, cast.output))
        self.bias = self._bias()
        self.clamp = (-math.inf, math.inf)
        activation = self._reader()
        found = None if activation is None else bounds(graph, activation)
        if activation is not None and found is not None:
            self.behind.append(activation)
            self.clamp = found

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

    def _scales(self, name: str) -> tuple[str, np.ndarray]:
        """(value with the input's scale, scales of the weights) whose product is `name`."""
        product = self.producers.get(name)
        if product is not None and product.op == "Mul":
            for a, b in (product.inputs, product.inputs[::-1]):
                scale = self._per_output(b)
                if scale is not None and self.graph.type(a).count == 1:
                    return a, scale
        scale = self._per_output(name)
        if self.graph.type(name).count == 1 or scale is None:
            self._check_one_value(name)
            return name, np.ones(self.outputs, np.float32)
        raise UserError(
            "the scale of the sums is known at compile time, per channel, but the input's is not part of it",
            origin=self.layer.where,
            hint="Multiply the sums with input scale * weight scale.",
        )

    def _check_one_value(self, name: str) -> None:
        if self.graph.type(name).count != 1:
            raise UserError(
                f"the scale of {self.layer.op} has shape {list(self.graph.type(name).shape)}",
                origin=self.layer.where,
                hint="The input is quantized per tensor: its scale must be one value.",
            )

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
        assert self.weights is not None
        x_zero, w_zero = (layer.inputs[slot] if slot < len(layer.inputs) else "" for slot in (2, 3))
        if not x_zero:
            x_zero = builder.constant(f"{y}/x_zero_point", np.zeros((), graph.type(layer.inputs[0]).dtype))
        if graph.type(x_zero).count != 1:
            raise UserError("the input's zero point must be one value", origin=layer.where)
        zeros = graph.data(w_zero) if w_zero else np.zeros(1, np.int32)
        if zeros is None or zeros.size not in (1, self.outputs):
            raise UserError("the weights' zero point must be a constant, one value a channel", origin=layer.where)
        weights = self.weights if self.is_conv else np.ascontiguousarray(self.weights.T)
        q = quant(self.w_scale, np.broadcast_to(zeros.reshape(-1), self.w_scale.shape), 0)
        bias = "" if self.bias is None else builder.constant(f"{y}/bias", self.bias.astype(np.float32))
        inputs = (layer.inputs[0], builder.constant(f"{y}/weights", weights, q), bias, self.x_scale, x_zero)
        extra: dict[str, object] = {"clamp": self.clamp}
        if self.is_conv:
            extra |= window(layer, weights.shape[2:], graph.type(layer.inputs[0]).shape[2:])
            extra["group"] = int(layer.attrs.get("group", 1))
        op = "dynamic_conv" if self.is_conv else "dynamic_fully_connected"
        origin = layer.origin + tuple(name for node in self.behind for name in node.origin)
        builder.add(Node(op, inputs, (y,), attrs(**extra), origin))
