"""What every target asks of a model before it is exported: checked, fixed in shape, named, stripped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnxruntime import InferenceSession

from .. import oracle
from ..errors import UserError
from ..frontend.fold import fold_shapes
from ..frontend.load import load
from ..frontend.shapes import fix_shapes

MAX_IR = 13  # what ONNX Runtime 1.31 reads
FLOAT, QDQ, QOPERATOR, DYNAMIC = "float", "qdq", "qoperator", "dynamic"

_DYNAMIC_OPS = {"DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "DynamicQuantizeMatMul"}


@dataclass(frozen=True)
class Gated:
    """A model that passed, and where it came from."""

    model: onnx.ModelProto
    form: str  # FLOAT, QDQ, QOPERATOR or DYNAMIC
    source: str
    sha256: str

    @property
    def quantized(self) -> bool:
        return self.form != FLOAT


def gate(path: Path, shapes: Mapping[str, tuple[int, ...]], *, prequantized: bool) -> Gated:
    """Read and check; UserError for what no target accepts. A batch left open becomes 1."""
    loaded, sha256 = load(path)
    if loaded.ir_version > MAX_IR:
        raise UserError(
            f"IR version {loaded.ir_version} is newer than {MAX_IR}",
            origin=path.name,
            hint="Save the model with onnx.helper.make_model(..., ir_version=10).",
        )
    model = strip(named(fold_shapes(fix_shapes(loaded, shapes))))
    form = quantization_form(model)
    if form != FLOAT and not prequantized:
        raise UserError(
            f"the model is already quantized ({form})",
            origin=path.name,
            hint="Pass --prequantized to export it as it is, or export the float model with --calibration.",
        )
    return Gated(infer(model), form, path.name, sha256)


def quantization_form(model: onnx.ModelProto) -> str:
    ops = {node.op_type for node in model.graph.node}
    if ops & _DYNAMIC_OPS:
        return DYNAMIC
    if "QGemm" in ops or any(op.startswith("QLinear") for op in ops):
        return QOPERATOR
    return QDQ if ops & {"QuantizeLinear", "DequantizeLinear"} else FLOAT


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every node has a name of its own: reports, excludes and placements go by name."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    taken = {node.name for node in copy.graph.node}
    seen: set[str] = set()
    for index, node in enumerate(copy.graph.node):
        if not node.name or node.name in seen:
            base = name = node.name or f"{node.op_type}_{index}"
            number = 1
            while name in taken:
                name, number = f"{base}_{number}", number + 1
            node.name = name
            taken.add(name)
        seen.add(node.name)
    return copy


def strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without metadata, doc strings and the imports of domains that no node uses."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    used = {node.domain if node.domain != "ai.onnx" else "" for node in copy.graph.node} | {""}
    kept = [entry for entry in copy.opset_import if ("" if entry.domain == "ai.onnx" else entry.domain) in used]
    imports = [onnx.helper.make_opsetid(entry.domain, entry.version) for entry in kept]
    del copy.opset_import[:]
    copy.opset_import.extend(imports)
    graph = copy.graph
    for item in (copy, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    return copy


def infer(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with the shape of every tensor; UserError if one is not fixed."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise UserError(
            f"shape inference fails: {str(error).splitlines()[0]}", hint="Export the model again with fixed shapes."
        ) from None
    makers = {name: node for node in model.graph.node for name in filter(None, node.output)}
    known = {info.name for info in (*inferred.graph.value_info, *inferred.graph.output) if fixed_shape(info)}
    unknown = [name for name in makers if name not in known]
    if unknown:  # the standard inference knows no operators of other domains
        found = _runtime_shapes(model, unknown)
        for name in unknown:
            if found[name] is None:
                raise UserError(
                    f"the shape of its output {name!r} is not fixed",
                    origin=makers[name].name,
                    hint="Fix the inputs with --shape, or take the data-dependent operator out.",
                )
        for info in (*inferred.graph.value_info, *inferred.graph.output):
            if info.name in found:
                info.CopyFrom(found[info.name])
        present = {info.name for info in (*inferred.graph.value_info, *inferred.graph.output)}
        inferred.graph.value_info.extend(found[name] for name in unknown if name not in present)
    onnx.checker.check_model(inferred)
    return inferred


def fixed_shape(info: onnx.ValueInfoProto) -> bool:
    tensor = info.type.tensor_type
    return tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim)


def _runtime_shapes(model: onnx.ModelProto, names: list[str]) -> dict[str, onnx.ValueInfoProto | None]:
    """Shapes by ONNX Runtime's own inference; None where it finds no fixed one."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    found: dict[str, onnx.ValueInfoProto | None] = {}
    for output in runtime(oracle.plain_session, probe).get_outputs():
        known = output.type in _ELEMENTS and all(isinstance(dim, int) for dim in output.shape)
        found[output.name] = (
            onnx.helper.make_tensor_value_info(output.name, _ELEMENTS[output.type], output.shape) if known else None
        )
    return found


def runtime(make: Callable[[onnx.ModelProto], InferenceSession], model: onnx.ModelProto) -> InferenceSession:
    """A session, or a UserError with ONNX Runtime's own words."""
    try:
        return make(model)
    except Exception as error:  # ORT's exceptions have no common base of their own
        words = str(error).splitlines()[0]
        raise UserError(f"ONNX Runtime does not load the model: {words}", hint="Export the model again.") from None


_ELEMENTS = {
    "tensor(float)": onnx.TensorProto.FLOAT,
    "tensor(float16)": onnx.TensorProto.FLOAT16,
    "tensor(double)": onnx.TensorProto.DOUBLE,
    "tensor(int8)": onnx.TensorProto.INT8,
    "tensor(uint8)": onnx.TensorProto.UINT8,
    "tensor(int16)": onnx.TensorProto.INT16,
    "tensor(uint16)": onnx.TensorProto.UINT16,
    "tensor(int32)": onnx.TensorProto.INT32,
    "tensor(int64)": onnx.TensorProto.INT64,
    "tensor(bool)": onnx.TensorProto.BOOL,
}
