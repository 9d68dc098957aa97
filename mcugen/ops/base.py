"""What an operator is made of. One OpDef per integer operator; `mcugen.ops` lists them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..errors import UserError
from ..ir import Graph, Node, TensorType, attrs, recoded, unique
from ..step import Step
from ..target import Core


@dataclass(frozen=True)
class Unit:
    """A float ONNX operator with its quantized surroundings: DequantizeLinear -> node -> QuantizeLinear.

    inputs   integer values behind the DequantizeLinear nodes, "" where absent
    output   the integer value QuantizeLinear makes
    clamp    (low, high) in quantized units of the output, from a fused Relu or Clip and the type's own range
    one_type its 8-bit tensors have one type, for which ORT has integer kernels
    """

    graph: Graph
    node: Node
    inputs: tuple[str, ...]
    output: str
    clamp: tuple[int, int]
    one_type: bool = True

    def type(self, slot: int) -> TensorType:
        return self.graph.type(self.inputs[slot])

    def data(self, slot: int) -> np.ndarray | None:
        return self.graph.data(self.inputs[slot]) if slot < len(self.inputs) else None

    def weights(self, slot: int) -> np.ndarray:
        """A constant input's contents; UserError where it is computed at run time."""
        data = self.data(slot)
        if data is None:
            raise UserError(
                f"input {slot} of {self.node.op} must be a constant here",
                origin=self.node.where,
                hint="Only weights known at compile time are supported.",
            )
        return data

    @property
    def output_type(self) -> TensorType:
        return self.graph.type(self.output)

    def make(self, op: str, inputs: tuple[str, ...], **attributes: Any) -> Node:
        return Node(op, inputs, (self.output,), attrs(**attributes), self.node.origin)


def widened(narrow: Callable[[Unit], Node] | None, **attributes: Any) -> Callable[[Unit], Node]:
    """`recognise` of the 16-bit form of an 8-bit operator: the same node with `_16` behind its name."""
    assert narrow is not None

    def recognise(unit: Unit) -> Node:
        node = narrow(unit)
        return replace(node, op=f"{node.op}_16", attrs=attrs(**{**node.attrs, **attributes}))

    return recognise


@dataclass(frozen=True)
class FloatUnit:
    """An ONNX operator that stays in float32, or in integers that were never quantized."""

    graph: Graph
    node: Node

    def type(self, slot: int) -> TensorType:
        return self.graph.type(self.node.inputs[slot])

    def name(self, slot: int) -> str:
        """The input at `slot`, "" where absent."""
        return self.node.inputs[slot] if slot < len(self.node.inputs) else ""

    def constant(self, slot: int) -> np.ndarray:
        """A constant input's contents; UserError where it is computed at run time."""
        data = self.graph.data(self.name(slot))
        if data is None:
            raise UserError(
                f"input {slot} of {self.node.op} must be a constant here",
                origin=self.node.where,
                hint="Export the model with constant weights and sizes.",
            )
        return data

    def make(self, op: str, inputs: tuple[str, ...], **attributes: Any) -> Node:
        """The node of the operator `op`; a clamp from a fused activation goes with it, in real numbers."""
        clamp = self.node.attrs.get("clamp", (-math.inf, math.inf))
        return Node(op, inputs, self.node.outputs, attrs(clamp=clamp, **attributes), self.node.origin)


@dataclass(frozen=True)
class Lowering:
    """What lowering knows beside the node: the graph, the core and how requantization is done."""

    graph: Graph
    core: Core
    requant: str  # "exact" or "stock"
    name: str  # the step's C name
    kernels: str = "api"  # or "specialised"
    speed_first: bool = False  # specialised kernels may spend flash: int16 weights, code for each kind of band
    adds: Mapping[str, Any] | None = None  # fields of mcugen_layer for an Add to what stands at the output

    def type(self, name: str) -> TensorType:
        return self.graph.type(name)

    def quant(self, name: str) -> tuple[np.float32, int]:
        """(scale, zero point) of a per-tensor activation."""
        found = self.graph.type(name).quant
        assert found is not None, name
        return found.per_tensor


class Canonical:
    """Collects the canonical integer ONNX graph, each tensor in the model's own type.

    ORT's integer kernels want one type for all tensors of a width: inside the meaning of a node it is that of its
    result, else of its first operand. Weights take it too: u8-u8 and s8-s8 kernels need no VNNI to be exact.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._node_outputs: tuple[str, ...] = ()
        self._types: dict[str, str] = {}  # type of a tensor here -> what it is inside the node's meaning
        self._instead: dict[str, str] = {}

    def begin(self, node: Node) -> None:
        """What is added from now on is the meaning of `node`."""
        self._node_outputs, self._types, self._instead = node.outputs, {}, {}
        for name in (*node.outputs, *filter(None, node.inputs)):
            if self.graph.data(name) is None:
                self._types.setdefault(self.graph.type(name).dtype, self.graph.type(name).model_dtype)

    def _made(self, name: str) -> str:
        """`name` for a tensor inside the node's meaning, or another one where the graph has a value of that name."""
        if name in self.graph.values and name not in self._node_outputs:
            self._instead[name] = unique(f"{name}/inside {self._node_outputs[0]}", self.graph.values)
        return self._instead.get(name, name)

    def constant(self, name: str, array: Any) -> str:
        self.initializers[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def q(self, name: str) -> list[str]:
        """Names of the scale and zero-point initializers of value `name`."""
        type = self.graph.type(name)
        found, native = type.quant, self.native_type(type.dtype)
        assert found is not None, name
        per_channel = found.scale.size > 1
        scale = found.scale if per_channel else found.scale.reshape(())
        zero = found.zero_point if per_channel else found.zero_point.reshape(())
        return [
            self.constant(f"{name}/scale", scale),
            self.constant(f"{name}/zero_point {native}", self.native(zero, type.dtype)),
        ]

    def q_zero(self, name: str) -> int:
        """The zero point of value `name`, in the type it has in the node."""
        found = self.graph.type(name).quant
        assert found is not None, name
        return int(self.native(found.per_tensor[1], self.graph.type(name).dtype))

    def tensor(self, name: str) -> str:
        """The tensor of value `name` in the type it has in the node; constants become initializers."""
        data, type = self.graph.data(name), self.graph.type(name)
        native = self.native_type(type.dtype)
        if data is not None:
            return self.constant(name, self.native(data) if data.dtype in (np.int8, np.int16) else data)
        if native == type.model_dtype:
            return name
        # The same number here is another one in the model: its codes, counted from the other type's lowest.
        key = f"{name}/{native} for {self._node_outputs[0]}/{len(self.nodes)}"
        by = self.constant(f"{key}/by", np.int32(np.iinfo(native).min - np.iinfo(type.model_dtype).min))
        wide = self.add("Cast", [name], f"{key}/wide", to=onnx.TensorProto.INT32)
        moved = self.add("Add", [wide, by], f"{key}/moved")
        return self.add("Cast", [moved], key, to=helper.np_dtype_to_tensor_dtype(native))

    def native_type(self, dtype: str) -> np.dtype[Any]:
        """What a tensor of ours has in the node: uint8 for int8, uint16 for int16 where the model is unsigned there."""
        return np.dtype(self._types.get(dtype, dtype))

    def native(self, values: Any, dtype: str = "") -> np.ndarray:
        """Values of a tensor of ours in the type of the node; dtype: the tensor's, where the array has another."""
        array = np.asarray(values)
        dtype = dtype or ("int16" if array.dtype == np.int16 else "int8")
        return recoded(array, dtype, self.native_type(dtype).name)

    def number(self, name: str, value: float) -> np.ndarray:
        """`value`, as it stands in the tensor `name`, in the type it has in the node."""
        dtype = self.graph.type(name).dtype
        return np.asarray(value, np.float32) if dtype == "float32" else self.native(value, dtype)

    def initial(self, name: str) -> np.ndarray:
        """The contents of the initializer `name`."""
        return numpy_helper.to_array(self.initializers[name])

    def wide(self, name: str, key: str) -> str:
        """The integers of the 16-bit tensor `name` as float32, which holds them exactly, for node output `key`.

        ORT moves and compares no 16-bit integers in most of its operators.
        """
        output = f"{name}/wide for {key}/{len(self.nodes)}"
        return self.add("Cast", [self.tensor(name)], output, to=onnx.TensorProto.FLOAT)

    def narrow(self, value: str, output: str) -> None:
        """The 16-bit tensor `output` from integers in another type."""
        native = self.native_type(self.graph.type(output).dtype)
        self.add("Cast", [value], output, to=helper.np_dtype_to_tensor_dtype(native))

    def add(self, op: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        kept = {key: value for key, value in attributes.items() if value is not None}
        inputs, output = [self._instead.get(name, name) for name in inputs], self._made(output)
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, domain=domain, **kept))
        return output

    def add_many(self, op: str, inputs: list[str], outputs: Sequence[str], **attributes: Any) -> None:
        """A node with several outputs."""
        inputs = [self._instead.get(name, name) for name in inputs]
        self.nodes.append(helper.make_node(op, inputs, list(outputs), name=outputs[0], **attributes))

    def nchw(self, name: str) -> str:
        """`name` (NHWC in our graph) with channels first, as ONNX operators want it."""
        return self.add("Transpose", [self.tensor(name)], f"{name}/nchw/{len(self.nodes)}", perm=[0, 3, 1, 2])

    def from_nchw(self, name: str, output: str) -> str:
        return self.add("Transpose", [name], output, perm=[0, 2, 3, 1])

    def reshaped(self, source: str, shape: Sequence[int], output: str) -> str:
        sizes = self.constant(f"{output}/shape", np.array(shape, np.int64))
        return self.add("Reshape", [source, sizes], output)

    def expanded(self, name: str, shape: Sequence[int], key: str) -> str:
        """`name` repeated to `shape`, for node output `key`."""
        sizes = self.constant(f"{name}/shape for {key}", np.array(shape, np.int64))
        return self.add("Expand", [self.tensor(name), sizes], f"{name}/expanded for {key}")

    def real(self, name: str, key: str) -> str:
        """`name` in real numbers, for node output `key`."""
        output = f"{name}/real for {key}/{len(self.nodes)}"
        return self.add("DequantizeLinear", [self.tensor(name), *self.q(name)], output)

    def clamped(self, node: Node, real_output: Callable[[str], object]) -> None:
        """Emit through `real_output(name)`, then clamp if the node's range is narrower than the type."""
        dtype = self.graph.type(node.output).dtype
        info = np.iinfo(dtype)
        if node.attrs["clamp"] == (info.min, info.max):
            real_output(node.output)
            return
        value = f"{node.output}/unclamped"
        real_output(value)
        bounds = [self.native(end, dtype) for end in node.attrs["clamp"]]
        if dtype == "int16":  # see `wide`
            value = self.add("Cast", [value], f"{value}/wide", to=onnx.TensorProto.FLOAT)
            bounds = [bound.astype(np.float32) for bound in bounds]
        ends = [self.constant(f"{node.output}/{end}", at) for end, at in zip(("low", "high"), bounds, strict=True)]
        if dtype == "int16":
            self.narrow(self.add("Clip", [value, *ends], f"{node.output}/clamped"), node.output)
        else:
            self.add("Clip", [value, *ends], node.output)

    def bounded(self, node: Node, value: str) -> None:
        """The node's float output from `value`: clamped in real numbers as its attribute `clamp` says."""
        low, high = node.attrs.get("clamp", (-math.inf, math.inf))
        if math.isinf(low) and math.isinf(high):
            self.add("Identity", [value], node.output)
        elif low == 0 and math.isinf(high):
            self.add("Relu", [value], node.output)
        else:
            ends = [self.constant(f"{node.output}/{n}", np.float32(e)) for n, e in (("low", low), ("high", high))]
            self.add("Clip", [value, *ends], node.output)


class Fitter(Protocol):
    """What an operator's `fit` may do around its node: the pass fit_kernels implements it."""

    def type(self, name: str) -> TensorType: ...

    def view(self, name: str, shape: Sequence[int]) -> str:
        """`name` in another shape; itself if it has that shape."""

    def transposed(self, name: str, perm: Sequence[int]) -> str: ...

    def inner(self, shape: Sequence[int]) -> str:
        """A new value like the node's output, in another shape."""

    def add(self, node: Node) -> None: ...

    def finish(self, name: str, perm: Sequence[int] | None = None) -> None:
        """The node's own output from `name`: a view of it, or its transpose."""


# A limit looks at (graph, node) and returns what it found if the node is beyond it, else None.
# Its docstring is the message: the limit, then the next step, as two sentences.
Limit = Callable[[Graph, Node], str | None]


@dataclass(frozen=True)
class OpDef:
    """One integer operator, whole.

    onnx       the ONNX operators it compiles, for the support table
    recognise  Unit -> Node of this operator (None: made by a pass)
    from_float FloatUnit -> Node of this operator, for one on float32 tensors (or what `takes` says)
    canonical  its meaning as ONNX nodes that ORT runs: the definition the C is held against. We keep no NumPy
               twin beside it: ORT is what equality is promised with
    lower      node -> its kernel calls for the core; () if it costs nothing at run time
    fit        puts views and transposes around a node whose shapes the kernel does not take; True if it did
    layout     how to_nhwc treats it: "spatial" (wants NHWC), "elementwise" (any order), "axis" (carries an axis
               attribute), "axes" (reduces axes that must lie together), "fixed" (wants the order it was exported in)
    exactness  for the support table; each Step states its own
    in_float   ORT runs it in float, element by element, and so an activation behind it changes nothing
    bits       the widths of the quantized activations it takes
    takes      dtypes of the first input that from_float is asked for
    makes      dtypes of the output that from_float is asked for
    """

    name: str
    onnx: tuple[str, ...]
    canonical: Callable[[Canonical, Node], None]
    lower: Callable[[Lowering, Node], Step | tuple[Step, ...]]
    layout: str
    exactness: str
    recognise: Callable[[Unit], Node] | None = None
    from_float: Callable[[FloatUnit], Node] | None = None
    fit: Callable[[Fitter, Node], bool] | None = None
    limits: tuple[Limit, ...] = field(default=())
    in_float: bool = False
    bits: tuple[int, ...] = (8,)
    takes: tuple[str, ...] = ("float32",)
    makes: tuple[str, ...] = ("float32",)
    about: str = ""


def check_limits(definition: OpDef, graph: Graph, node: Node) -> None:
    """UserError if the node is beyond a limit of its operator, or makes a tensor without elements."""
    for name in node.outputs:
        if graph.type(name).count == 0:
            raise UserError(
                f"the result of shape {list(graph.type(name).shape)} has no elements",
                origin=node.where,
                hint="Feed a larger input (--shape), or use smaller windows.",
            )
    _check_bits(definition, graph, node)
    for limit in definition.limits:
        try:
            found = limit(graph, node)
        except UserError as error:  # of arithmetic, which knows no nodes
            raise UserError(error.message, hint=error.hint, origin=error.origin or node.where) from None
        if found is not None:
            rule, _, hint = " ".join((limit.__doc__ or "").split()).partition(". ")
            raise UserError(f"{rule.rstrip('.')} ({found}).", hint=hint, origin=node.where)


_BITS = {"int8": 8, "int16": 16}


def _check_bits(definition: OpDef, graph: Graph, node: Node) -> None:
    """UserError if a quantized activation of the node is wider than its operator takes."""
    for name in (*filter(None, node.inputs), *node.outputs):
        bits = _BITS.get(graph.type(name).dtype, 0) if graph.data(name) is None else 0
        if bits and bits not in definition.bits:
            raise UserError(
                f"{definition.name} does not take activations of {bits} bits",
                origin=node.where,
                hint="Quantize its inputs and outputs to 8 bits, or leave it in float (`mcugen ops` lists the types).",
            )


def members(params: Any) -> dict[str, Any]:
    """A parameter dataclass of `requant` as the fields of the C struct it belongs to."""
    fields = dataclasses.asdict(params)
    return fields | {"activation": activation((fields.pop("activation_min"), fields.pop("activation_max")))}


def activation(clamp: tuple[int, int]) -> dict[str, int]:
    """cmsis_nn_activation."""
    return {"min": clamp[0], "max": clamp[1]}
