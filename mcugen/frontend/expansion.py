"""Replace single nodes by several: what the forms of quantization and of fusion share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from ..errors import UserError
from ..ir import unique
from .fold import inferred

_T = TypeVar("_T")


class Expansion:
    """Collects the nodes that replace one node."""

    def __init__(
        self, node: NodeProto, model: onnx.ModelProto, constants: Mapping[str, np.ndarray], taken: set[str]
    ) -> None:
        """model: the graph so far, up to this node; its initializers are all there."""
        self.node = node
        self.model = model
        self.constants = constants
        self.taken = taken
        self.nodes: list[NodeProto] = []

    @property
    def where(self) -> str:
        return self.node.name or self.node.output[0]

    @property
    def opset(self) -> int:
        return next(e.version for e in self.model.opset_import if e.domain in ("", "ai.onnx"))

    def input(self, slot: int) -> str:
        return self.node.input[slot] if slot < len(self.node.input) else ""

    def attribute(self, name: str, default: _T) -> _T:
        """Its value, which must be of the default's type; text for bytes."""
        found = self.kept(name).get(name, default)
        value = found.decode("utf-8", "replace") if isinstance(found, bytes) else found
        if type(value) is not type(default):
            raise UserError(
                f"attribute {name} is of the wrong type",
                origin=self.where,
                hint="Export the model again, with the attribute as the operator defines it.",
            )
        return value

    def kept(self, *names: str) -> dict[str, Any]:
        """The attributes of these names that the node has."""
        return {a.name: helper.get_attribute_value(a) for a in self.node.attribute if a.name in names}

    def constant(self, slot: int, what: str) -> np.ndarray:
        name = self.input(slot)
        if name not in self.constants:
            raise UserError(
                f"{what} is computed at run time",
                origin=self.where,
                hint="Quantization parameters must be initializers.",
            )
        return self.constants[name]

    def name(self, base: str) -> str:
        name = unique(f"{self.node.output[0]}/{base}", self.taken)
        self.taken.add(name)
        return name

    def initializer(self, base: str, array: np.ndarray) -> str:
        name = self.name(base)
        self.model.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def number(self, value: float) -> str:
        return self.initializer("number", np.array(value, np.float32))

    def add(self, op: str, inputs: list[str], output: str = "", /, **attributes: Any) -> str:
        """A node with one output, named after its operator where no name is given."""
        output = output or self.name(op.lower())
        self.nodes.append(helper.make_node(op, inputs, [output], name=self.node.name, **attributes))
        return output

    def finish(self, value: str, slot: int = 0) -> None:
        """The node's own output is `value`, which the last node made."""
        assert self.nodes[-1].output[0] == value
        self.nodes[-1].output[0] = self.node.output[slot]

    def rank(self, name: str) -> int:
        """The number of dimensions of a tensor before this node; UserError if it cannot be inferred."""
        graph = inferred(self.model)
        known = {i.name: len(i.dims) for i in graph.initializer}
        known |= {
            i.name: len(i.type.tensor_type.shape.dim)
            for i in (*graph.input, *graph.value_info)
            if i.type.tensor_type.HasField("shape")
        }
        if name not in known:
            raise UserError(
                f"the rank of {name!r} cannot be inferred",
                origin=self.where,
                hint="Export the model without ONNX Runtime's own fusions.",
            )
        return known[name]


def full_name(node: NodeProto) -> str:
    """The operator with its domain, which is not said where it is ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def expand(model: onnx.ModelProto, table: Mapping[str, Callable[[Expansion], None]]) -> onnx.ModelProto:
    """A copy in which every node in the table (by its full name) is replaced; other nodes and their order stay."""
    if not any(full_name(node) in table for node in model.graph.node):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)} | set(constants)
    del copy.graph.node[:]
    for node in model.graph.node:
        change = table.get(full_name(node))
        if change is None:
            copy.graph.node.append(node)
            continue
        if not node.output or not node.output[0]:
            raise UserError(
                "the node has no output", origin=node.name or full_name(node), hint="Take it out of the model."
            )
        expansion = Expansion(node, copy, constants, taken)
        change(expansion)
        copy.graph.node.extend(expansion.nodes)
    return copy
