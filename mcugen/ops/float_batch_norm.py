"""BatchNormalization in float32 where no convolution takes it: x [N,C,...] times a factor a channel, plus an offset."""

from __future__ import annotations

import math

import numpy as np

from ..errors import UserError
from ..ir import Node
from ..step import FLOAT, Buffer, Step, Table
from .base import Canonical, FloatUnit, Lowering, OpDef

TOLERANCE = 1e-6


def _from_float(unit: FloatUnit) -> Node:
    if unit.node.attrs.get("training_mode", 0):
        raise UserError(
            "BatchNormalization in training mode is not supported",
            origin=unit.node.where,
            hint="Export the model for inference.",
        )
    gamma, beta, mean, variance = (unit.constant(slot).astype(np.float64) for slot in (1, 2, 3, 4))
    factor = normalizing_factor(unit.node, gamma, variance)
    per_channel = (tuple(map(float, factor)), tuple(map(float, beta - mean * factor)))
    return unit.make("float_batch_norm", (unit.name(0),), axis=1, factor=per_channel[0], offset=per_channel[1])


def normalizing_factor(node: Node, gamma: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """gamma / sqrt(variance + epsilon) of a BatchNormalization; UserError where that is no number."""
    sum = variance + np.float64(node.attrs.get("epsilon", 1e-5))
    if not np.all(sum > 0):
        raise UserError(
            f"a variance of BatchNormalization and epsilon give {sum.min():g}, not more than 0",
            origin=node.where,
            hint="Train or export the model again.",
        )
    return np.asarray(gamma / np.sqrt(sum))


def _canonical(c: Canonical, node: Node) -> None:
    rank = len(c.graph.type(node.output).shape)
    shape = [-1 if axis == node.attrs["axis"] else 1 for axis in range(rank)]
    factor, offset = (
        c.constant(f"{node.output}/{name}", np.array(node.attrs[name], np.float32).reshape(shape))
        for name in ("factor", "offset")
    )
    product = c.add("Mul", [c.tensor(node.inputs[0]), factor], f"{node.output}/product")
    c.add("Add", [product, offset], node.output)


def _lower(lowering: Lowering, node: Node) -> Step:
    x, axis = node.inputs[0], node.attrs["axis"]
    shape = lowering.type(x).shape
    return Step(
        name=lowering.name,
        kernel="mcugen_f32_affine",
        args=(
            ("scale", Table("factor", np.array(node.attrs["factor"], np.float32))),
            ("offset", Table("offset", np.array(node.attrs["offset"], np.float32))),
            ("input", Buffer(x)),
            ("output", Buffer(node.output)),
            ("outer", math.prod(shape[:axis])),
            ("channels", shape[axis]),
            ("inner", math.prod(shape[axis + 1 :])),
        ),
        inputs=(x,),
        outputs=(node.output,),
        exactness=FLOAT,
        tolerance=TOLERANCE,
        origin=node.origin,
        in_place=(x,),
    )


FLOAT_BATCH_NORM = OpDef(
    name="float_batch_norm",
    onnx=("BatchNormalization",),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    layout="axis",
    exactness=FLOAT,
    about=f"float32; behind a convolution it is folded; within {TOLERANCE:g} of the largest result",
)
