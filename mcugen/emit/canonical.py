"""The canonical integer ONNX graph: the final IR as explicit integer operators (QLinearConv, QGemm, ...).

Run without optimization it must equal the pinned session on the model itself, and each of its tensors must equal the
firmware's: that is how a mismatch names its layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import onnx
from onnx import helper

from .. import oracle
from ..ir import TensorType, recoded
from ..ops import FUNCTIONS, OPS
from ..ops.base import Canonical
from .artefact import Compiled


def canonical_model(
    compiled: Compiled, every_step: bool = False, given: Mapping[str, str] = MappingProxyType({})
) -> onnx.ModelProto:
    """Inputs and outputs in the model's own types (float32 with --io float), under their ONNX names.

    every_step: the output of every step is a graph output too.
    given: tensor -> graph input that its readers read instead of it.
    """
    graph = compiled.graph
    canonical = Canonical(graph)
    for node in graph.nodes:
        canonical.begin(node)
        start = len(canonical.nodes)
        OPS[node.op].canonical(canonical, node)
        instead = {name: given[name] for name in node.inputs if name in given}
        for made in canonical.nodes[start:]:
            for slot, name in enumerate(made.input):
                made.input[slot] = instead.get(name, name)
    wanted = list(graph.outputs)
    if every_step:
        wanted += [step.tensor for step in compiled.steps if step.tensor is not None]

    def info(name: str, called: str = "") -> onnx.ValueInfoProto:
        type = graph.type(name)
        dtype = helper.np_dtype_to_tensor_dtype(np.dtype(type.model_dtype))
        return helper.make_tensor_value_info(called or name, dtype, type.shape)

    nodes = canonical.nodes
    read = {name for node in nodes for name in node.input}
    called = sorted({f"{node.domain}.{node.op_type}" for node in nodes} & FUNCTIONS.keys())
    return oracle.make_model(
        nodes,
        [*map(info, graph.inputs), *(info(name, new) for name, new in given.items() if new in read)],
        [info(name) for name in dict.fromkeys(wanted)],
        list(canonical.initializers.values()),
        functions=[FUNCTIONS[name] for name in called],
    )


def to_native(type: TensorType, values: np.ndarray) -> np.ndarray:
    """The firmware's integers of such a tensor in the model's own type (uint8 = + 128, uint16 = + 32768)."""
    return recoded(values, type.dtype, type.model_dtype) if type.origin else values


def from_native(values: np.ndarray) -> np.ndarray:
    """The inverse of `to_native`."""
    if values.dtype not in (np.uint8, np.uint16):
        return values
    return recoded(values, values.dtype.name, f"int{8 * values.dtype.itemsize}")
