"""What the layers behind one loop over windows share: a convolution, and fully connected as one of 1x1 windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir import Node
from ..step import Arg, Buffer, Table
from .base import Lowering
from .conv import dims, tile


@dataclass(frozen=True)
class Layer:
    """weights [O,KH,KW,C/groups]; shapes NHWC; geometry: groups and the windows' tiles, as the C structs have them."""

    weights: np.ndarray
    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    geometry: dict[str, Any]

    @property
    def outputs(self) -> int:
        return len(self.weights)

    @property
    def macs(self) -> int:
        return int(np.prod(self.y_shape)) * int(np.prod(self.weights.shape[1:]))

    def args(self, node: Node, bias: np.ndarray | None) -> tuple[tuple[str, Arg], ...]:
        """Dimensions and pointers, in the order in which the kernels take them."""
        return (
            ("input_dims", dims(self.x_shape)),
            ("input", Buffer(node.inputs[0])),
            ("filter_dims", dims(self.weights.shape)),
            ("filter", Table("weights", self.weights)),
            ("bias", None if bias is None else Table("bias", bias)),
            ("output_dims", dims(self.y_shape)),
            ("output", Buffer(node.output)),
        )


def convolution(lowering: Lowering, node: Node) -> Layer:
    weights = lowering.graph.data(node.inputs[1])
    assert weights is not None
    geometry = _geometry(node.attrs["group"], node.attrs["strides"], node.attrs["pads"][:2], node.attrs["dilations"])
    return Layer(weights, lowering.type(node.inputs[0]).shape, lowering.type(node.output).shape, geometry)


def fully_connected(lowering: Lowering, node: Node) -> Layer:
    weights = lowering.graph.data(node.inputs[1])
    assert weights is not None
    outputs, depth = weights.shape
    rows = lowering.type(node.inputs[0]).count // depth
    geometry = _geometry(1, (1, 1), (0, 0), (1, 1))
    return Layer(weights.reshape(outputs, 1, 1, depth), (rows, 1, 1, depth), (rows, 1, 1, outputs), geometry)


def _geometry(groups: int, stride: Any, padding: Any, dilation: Any) -> dict[str, Any]:
    return {"groups": groups, "stride": tile(stride), "padding": tile(padding), "dilation": tile(dilation)}
