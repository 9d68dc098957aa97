"""ONNX Runtime as the oracle: every session is made here, with the pinned options.

ORT's answer depends on its options and on the CPU, so the reference is one session, spelled out, printed and
recorded in each report. It also fills the tables of unary functions: exact by construction.
"""

from __future__ import annotations

import math
import platform
import re
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from .errors import UserError
from .ir import unique

Arrays = dict[str, np.ndarray]

# Without it, x86 leaves int8 QDQ Conv and MatMul in float.
_SIGNED = ("session.qdqisint8allowed", "1")
# Without it, CPUs that lack VNNI saturate in vpmaddubsw. It makes uint8 of int8 constants: see `_uint8_constants`.
_UNSIGNED = ("session.x64quantprecision", "1")

# Without it, a MatMul of a float input and weights of 4 bits rounds the input to 8 bits.
_NARROW = ("session.qdq_matmulnbits_accuracy_level", "0")

# No option of ORT's: what _UNSIGNED does to a model that needs _SIGNED.
_MIXED = ("int8 constants beside uint8 activations", "uint8")

_LARGE = 2**26

_QDQ = ("QuantizeLinear", "DequantizeLinear")
_NAMED = (onnx.TensorProto.INT8, onnx.TensorProto.INT16, onnx.TensorProto.UINT16)  # uint8 needs no name

WHY_PINNED = (
    "by default ORT runs parts of int8 QDQ models in float on x86, and uint8 models with saturating instructions on "
    "CPUs without VNNI, and rounds floats that meet weights of 4 bits; the pinned session runs integer kernels or float"
)


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Initializers, and the tensors of Constant nodes."""
    found = {i.name: i for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            found[node.output[0]] = node.attribute[0].t
    return found


def _left_out(model: onnx.ModelProto) -> list[tuple[onnx.NodeProto, int]]:
    """Q/DQ nodes of activations that have no zero point, and the type that it would have: 8 or 16 bits, not uint8."""
    constants = _constants(model.graph)
    found = [
        node
        for node in model.graph.node
        if node.op_type in _QDQ
        and not any(node.input[2:])
        and node.input[0] not in constants
        and node.input[1] in constants
    ]
    if not found:
        return []
    inferred = onnx.shape_inference.infer_shapes(model).graph
    known = (*inferred.input, *inferred.value_info, *inferred.output)
    types = {info.name: info.type.tensor_type.elem_type for info in known}
    codes = ((node, (node.output if node.op_type == "QuantizeLinear" else node.input)[0]) for node in found)
    return [(node, types[name]) for node, name in codes if types.get(name) in _NAMED]


def _activation_types(model: onnx.ModelProto) -> set[int]:
    """Types of zero points of activations (not of initializers), in QDQ, QOperator or dynamic form."""
    constants = _constants(model.graph)
    found = {kind for _, kind in _left_out(model)}
    for node in model.graph.node:
        if node.op_type == "DynamicQuantizeLinear":
            found.add(onnx.TensorProto.UINT8)
        is_quantized = node.op_type in _QDQ or node.op_type.startswith("QLinear")
        if not (is_quantized or node.op_type == "QGemm") or node.input[0] in constants:
            continue
        zero_point = constants.get(node.input[2]) if len(node.input) > 2 else None
        if zero_point is not None:
            found.add(zero_point.data_type)
    return found


def _in_four_bits(model: onnx.ModelProto) -> bool:
    kinds = (onnx.TensorProto.INT4, onnx.TensorProto.UINT4)
    return any(tensor.data_type in kinds for tensor in _constants(model.graph).values())


def session_options(model: onnx.ModelProto) -> dict[str, str]:
    """The pinned session as text, for reports.

    int8 models and uint8 models need different options, and a session with both refuses int8 models.
    """
    types = _activation_types(model)
    key, value = _SIGNED if onnx.TensorProto.INT8 in types else _UNSIGNED
    return {
        "provider": "CPUExecutionProvider",
        "graph_optimization_level": "ORT_ENABLE_ALL",
        "intra_op_num_threads": "1",
        "inter_op_num_threads": "1",
        key: value,
        **dict([_MIXED] if types >= {onnx.TensorProto.INT8, onnx.TensorProto.UINT8} else []),
        **dict([_NARROW] if _in_four_bits(model) else []),
    }


def environment() -> dict[str, str]:
    return {
        "onnxruntime": ort.__version__,
        "system": platform.system(),
        "machine": platform.machine(),
    }


def _session(
    model: onnx.ModelProto, level: Any, config: Iterable[tuple[str, str]], saved: Path | None = None
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    if saved is not None:
        options.optimized_model_filepath = str(saved)
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = level
    options.log_severity_level = 4
    for key, value in config:
        options.add_session_config_entry(key, value)
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def pinned_session(model: onnx.ModelProto, saved: Path | None = None) -> ort.InferenceSession:
    """The reference: `session_options(model)`, every Q/DQ node with initializers of its own.

    saved: where to write the graph that the session runs. UserError if ORT refuses the model.
    """
    spelled = session_options(model)
    config = [(k, v) for k, v in spelled.items() if k.startswith("session.")]
    own = unshare_qdq(model)
    if _MIXED[0] in spelled:
        _uint8_constants(own)
    try:
        return _session(own, ort.GraphOptimizationLevel.ORT_ENABLE_ALL, config, saved)
    except Exception as error:  # ORT raises its own types for each failure; all mean the same here
        raise _refused(error) from None


def _refused(error: Exception) -> UserError:
    text = str(error).splitlines()[0]
    node = re.search("Name:'([^']*)'", text)  # what a kernel complains of; a model that does not load names none
    return UserError(
        f"ONNX Runtime does not run the model, so there is nothing to be equal to: {text}",
        hint="Run it with onnxruntime.InferenceSession, and export it again.",
        origin=node[1] if node else "",
    )


def executed_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph the pinned session runs: fused, with the kernels of this machine. Not a model to deliver."""
    with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
        saved = Path(scratch) / "executed.onnx"
        pinned_session(model, saved)
        return onnx.load(saved)


def default_session(model: onnx.ModelProto) -> ort.InferenceSession:
    """What a user gets who sets no option (but one thread): shown beside the reference by `verify`.

    Where ORT refuses what it made of int8 codes whose type output_dtype names: with zero points that name it.
    """
    try:
        return _session(model, ort.GraphOptimizationLevel.ORT_ENABLE_ALL, ())
    except Exception:  # as above
        return _session(unshare_qdq(model), ort.GraphOptimizationLevel.ORT_ENABLE_ALL, ())


def plain_session(model: onnx.ModelProto) -> ort.InferenceSession:
    """No optimization: runs the canonical integer graph exactly as it is written."""
    return _session(model, ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ())


def run(session: ort.InferenceSession, feeds: Mapping[str, np.ndarray]) -> Arrays:
    """One inference; UserError if ORT gives up on it."""
    names = [output.name for output in session.get_outputs()]
    arrays = {name: np.asarray(array) for name, array in feeds.items()}  # ORT takes no NumPy scalars
    try:
        return dict(zip(names, session.run(names, arrays), strict=True))
    except Exception as error:  # as above
        raise _refused(error) from None


def run_all(
    session: ort.InferenceSession,
    feeds: Mapping[str, np.ndarray],
    advance: Callable[[], None] = lambda: None,
) -> Arrays:
    """Run every sample (the first axis of each feed) by itself; results stacked along a new first axis."""
    count = len(next(iter(feeds.values())))
    rows = []
    for index in range(count):
        try:
            rows.append(run(session, {name: array[index] for name, array in feeds.items()}))
        except UserError as error:
            raise UserError(
                error.message,
                origin=f"sample {index}",
                hint="Feed indices within their axes, or export the model again.",
            ) from None
        advance()
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def check_runs(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]] = MappingProxyType({})) -> None:
    """UserError unless the pinned session runs the model, on zeros: what it does not run, nothing can be equal to.

    model: with every dimension fixed. Inputs beyond `_LARGE` bytes, which no microcontroller has, are not run on.
    shapes: of outputs, as ONNX infers them; ONNX Runtime must agree.
    """
    session = pinned_session(model)
    given = {tensor.name for tensor in model.graph.initializer}
    feeds = {}
    for info in (info for info in model.graph.input if info.name not in given):
        tensor = info.type.tensor_type
        shape = tuple(dim.dim_value for dim in tensor.shape.dim)
        feeds[info.name] = np.zeros(shape, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    if sum(array.nbytes for array in feeds.values()) > _LARGE:
        return
    made = run(session, feeds)
    for name, shape in shapes.items():
        if made[name].shape != shape:
            raise UserError(
                f"ONNX says that the shape is {list(shape)}, ONNX Runtime makes {list(made[name].shape)}",
                origin=name,
                hint="Export the model without ceil_mode.",
            )


@contextmanager
def blaming(model: onnx.ModelProto) -> Iterator[None]:
    """What breaks inside while ONNX Runtime refuses the model too is the fault of the file: UserError."""
    try:
        yield
    except UserError:
        raise
    except Exception:
        check_runs(model)
        raise


def compute(
    node: onnx.NodeProto, operands: Mapping[str, np.ndarray], outputs: Sequence[onnx.ValueInfoProto], opset: int = 21
) -> Arrays:
    """A node's outputs from constants; UserError where ONNX Runtime cannot compute them."""
    initializers = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in operands.items()]
    model = make_model([node], [], outputs, initializers, opset=opset)
    try:
        if node.op_type in ("Div", "Mod") and _overflows(*(operands[name] for name in node.input)):
            raise OverflowError("the quotient is beyond its type")
        return dict(zip((o.name for o in outputs), plain_session(model).run(None, {}), strict=True))
    except Exception as error:  # as above
        words = str(error).splitlines()[0]
        raise UserError(
            f"{node.op_type} of constants cannot be computed: {words}",
            origin=node.name or node.output[0],
            hint="Export the model with constants that fit, or without the node.",
        ) from None


def _overflows(dividend: np.ndarray, divisor: np.ndarray) -> bool:
    """The smallest integer by -1, where the processor stops ONNX Runtime, and with it this process."""
    return dividend.dtype.kind == "i" and bool(np.any((dividend == np.iinfo(dividend.dtype).min) & (divisor == -1)))


def unshare_qdq(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which each Q/DQ node has initializers of its own, and each reader of a dequantized constant a node.

    ORT 1.31 with session.x64quantprecision=1 refuses graphs that share them ("Attempt to replace the
    existing tensor").
    """
    copy = name_types(model)
    _move_constants(copy.graph)
    constants = {i.name: i for i in copy.graph.initializer}
    _unshare_constants(copy.graph, constants.keys())
    used: set[str] = set()
    for node in copy.graph.node:
        if node.op_type not in _QDQ:
            continue
        for slot, name in enumerate(node.input):
            if name not in constants:
                continue
            if name in used:
                twin = copy.graph.initializer.add()
                twin.CopyFrom(constants[name])
                twin.name = f"{name}__mcugen_{len(used)}"
                node.input[slot] = twin.name
                used.add(twin.name)
            used.add(name)
    return copy


def _move_constants(graph: onnx.GraphProto) -> None:
    """Initializers of Constant nodes, in place."""
    names = {i.name for i in graph.initializer}
    for name, tensor in _constants(graph).items():
        if name not in names:
            graph.initializer.add().CopyFrom(tensor)
            graph.initializer[-1].name = name
    moved = {i.name for i in graph.initializer} - names
    kept = [node for node in graph.node if not (node.op_type == "Constant" and node.output[0] in moved)]
    del graph.node[:]
    graph.node.extend(kept)


def name_types(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which zero points name the types that the output_dtype of QuantizeLinear named.

    Of what has no zero point, ORT takes the codes for uint8 when it fuses.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = _constants(copy.graph)
    taken = {*constants, *(i.name for i in copy.graph.input), *(name for n in copy.graph.node for name in n.output)}
    for node, kind in _left_out(copy):
        zero = copy.graph.initializer.add(name=unique(f"{node.input[1]}__mcugen_zero", taken), data_type=kind)
        taken.add(zero.name)
        zero.dims.extend(constants[node.input[1]].dims)
        zero.int32_data.extend([0] * math.prod(zero.dims))
        del node.input[2:]
        node.input.append(zero.name)
        kept = [attribute for attribute in node.attribute if attribute.name != "output_dtype"]
        del node.attribute[:]
        node.attribute.extend(kept)
    return copy


def _unshare_constants(graph: onnx.GraphProto, constants: Container[str]) -> None:
    """Give every reader of a DequantizeLinear of a constant a node of its own, where there are several."""
    found = [n for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in constants]
    read = {node.output[0]: node for node in found}
    seen: set[str] = set()
    twins: list[onnx.NodeProto] = []
    for node in graph.node:
        for slot, name in enumerate(node.input):
            if name in seen:
                twin = onnx.NodeProto()
                twin.CopyFrom(read[name])
                twin.name = ""
                twin.output[0] = node.input[slot] = f"{name}__mcugen_{len(twins)}"
                twins.append(twin)
            elif name in read:
                seen.add(name)
    nodes = [*twins, *graph.node]  # they read constants only
    if twins:
        del graph.node[:]
        graph.node.extend(nodes)


# Inputs of layers on integers that hold the weights and their zero point; that of the activation is the one at 2.
_WEIGHTS = {name: (3, 5) for name in ("QLinearConv", "QLinearMatMul", "QGemm")}
_WEIGHTS |= {name: (1, 3) for name in ("ConvInteger", "MatMulInteger")}


def _uint8_constants(model: onnx.ModelProto) -> None:
    """Make uint8 of int8 constants that meet a uint8 activation, in place: the same numbers.

    What session.x64quantprecision does, which cannot be had beside session.qdqisint8allowed. Each reader of a
    dequantized constant has its own (`unshare_qdq`).
    """
    constants = {i.name: i for i in model.graph.initializer}
    read = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    signed = {name for name, tensor in constants.items() if tensor.data_type == onnx.TensorProto.INT8}
    unsigned = {name for name, tensor in constants.items() if tensor.data_type == onnx.TensorProto.UINT8}
    unsigned |= {node.output[2] for node in model.graph.node if node.op_type == "DynamicQuantizeLinear"}

    def reads_uint8(node: onnx.NodeProto) -> bool:
        """An activation, from its zero point."""
        return node.input[0] not in constants and not unsigned.isdisjoint(node.input[2:3])

    def shift(node: onnx.NodeProto, slots: tuple[int, int]) -> None:
        """The weights and their zero point, if they are int8 constants."""
        if len(node.input) <= slots[1] or not all(node.input[slot] in signed for slot in slots):
            return
        for slot in slots:
            name = node.input[slot]
            codes = onnx.numpy_helper.to_array(constants[name]).astype(np.int16) + 128
            node.input[slot] = f"{name}__mcugen_uint8"
            constants[node.input[slot]] = onnx.numpy_helper.from_array(codes.astype(np.uint8), node.input[slot])

    for node in model.graph.node:
        if node.op_type in _WEIGHTS and reads_uint8(node):
            shift(node, _WEIGHTS[node.op_type])
        found = [read[name] for name in node.input if name in read]
        if any(map(reads_uint8, found)):
            for dq in found:
                if len(dq.input) == 2 and dq.input[0] in signed:
                    zero = np.zeros(constants[dq.input[1]].dims, np.int8)
                    dq.input.append(f"{dq.input[0]}__mcugen_zero")
                    constants[dq.input[2]] = onnx.numpy_helper.from_array(zero, dq.input[2])
                    signed.add(dq.input[2])
                shift(dq, (0, 2))
    del model.graph.initializer[:]
    model.graph.initializer.extend(constants.values())


def make_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Sequence[onnx.TensorProto],
    *,
    opset: int = 21,
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    graph = onnx.helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(initializers))
    opsets = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid("com.microsoft", 1)]
    opsets += [onnx.helper.make_opsetid(domain, 1) for domain in sorted({function.domain for function in functions})]
    return onnx.helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)
