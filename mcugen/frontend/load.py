"""Read a model file that nobody vouched for: size, structure, opsets and external data are checked here."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError

from ..errors import UserError
from .fused import ADOPTED

OPSETS = range(10, 27)
NO_FUNCTIONS: Mapping[str, onnx.FunctionProto] = MappingProxyType({})
_MAX_BYTES = 2**31 - 1  # protobuf's own limit, which ORT shares
_MAX_NODES = 100_000  # of a model whose functions call functions


def load(path: Path, functions: Mapping[str, onnx.FunctionProto] = NO_FUNCTIONS) -> tuple[onnx.ModelProto, str]:
    """The model with its external data inside, and the SHA-256 of all the bytes read.

    functions: domain.Operator -> its meaning, for operators that stay as they are; a model's other functions are
    replaced by their bodies.
    """
    if path.is_dir():
        raise UserError("it is a folder, not a model file", origin=str(path), hint="Name the .onnx file in it.")
    if not path.is_file():
        raise UserError("no such file", origin=str(path), hint="Check the path.")
    if path.stat().st_size == 0:
        raise UserError("the file is empty", origin=str(path), hint="Export the model again.")
    if path.stat().st_size > _MAX_BYTES:
        raise UserError(
            "the file is larger than 2 GB", origin=str(path), hint="Keep the weights in a data file beside it."
        )
    content = path.read_bytes()
    digest = hashlib.sha256(content)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise _broken(path, "it is truncated or not an ONNX file") from None
    if not model.graph.node or not model.opset_import:
        raise _broken(path, "it holds no graph")
    _check_opsets(model)
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            digest.update(_load_external(tensor, path.parent.resolve()))
    if model.functions:
        _check_functions(model)
        kept = [(function.domain, function.name) for function in functions.values()]
        model = onnx.inliner.inline_selected_functions(model, kept, exclude=True)
    _define(model, functions)
    _check_structure(model, path)
    return model, digest.hexdigest()


def spelled_out(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which Attention is what ONNX defines it by.

    Not where it hands out its scores, which ONNX Runtime masks otherwise, nor where the inliner cannot: then it stays.
    """
    found = [node for node in model.graph.node if node.op_type == "Attention" and node.domain in ("", "ai.onnx")]
    if not found or any(any(node.output[3:]) for node in found):
        return model
    typed = onnx.shape_inference.infer_shapes(model, data_prop=True)  # the definition depends on types
    try:
        return onnx.inliner.inline_selected_functions(typed, [("", "Attention")], inline_schema_functions=True)
    except RuntimeError:  # an optional input left out before another one
        return model


def _check_functions(model: onnx.ModelProto) -> None:
    """Before their bodies replace them: they end, and do not become more nodes than a model can have."""
    bodies = {(function.domain, function.name): function.node for function in model.functions}
    counts: dict[tuple[str, str], int] = {}

    def count(nodes: Iterable[onnx.NodeProto], inside: tuple[tuple[str, str], ...]) -> int:
        total = 0
        for node in nodes:
            total += 1 + sum(count(g.node, inside) for a in node.attribute for g in (a.g, *a.graphs))
            key = node.domain, node.op_type
            if key in inside:
                raise UserError(f"the function {node.op_type} calls itself", hint="Export the model without functions.")
            if key in bodies and key not in counts:
                counts[key] = count(bodies[key], (*inside, key))
            total += counts.get(key, 0)
        return total

    if (total := count(model.graph.node, ())) > _MAX_NODES:
        raise UserError(
            f"with its functions in place, the model has {total:,} nodes, more than {_MAX_NODES:,}",
            hint="Export the model without functions, or in parts.",
        )


def _define(model: onnx.ModelProto, functions: Mapping[str, onnx.FunctionProto]) -> None:
    """Give the model the functions it calls; one that it brings itself stays, as its own definition."""
    called = {f"{node.domain}.{node.op_type}" for node in model.graph.node}
    brought = {f"{function.domain}.{function.name}" for function in model.functions}
    model.functions.extend(functions[name] for name in sorted((called & functions.keys()) - brought))


def _broken(path: Path, reason: str) -> UserError:
    return UserError(f"not a readable ONNX model: {reason}", origin=str(path), hint="Export the model again.")


def _check_opsets(model: onnx.ModelProto) -> None:
    if not any(entry.domain in ("", "ai.onnx") for entry in model.opset_import):
        raise UserError(
            f"the model uses no ONNX operators, only {', '.join(e.domain for e in model.opset_import)}",
            hint="Only operators of the ONNX and com.microsoft domains are supported.",
        )
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version not in OPSETS:
            raise UserError(
                f"opset {entry.version} is not supported (opsets {OPSETS.start} to {OPSETS.stop - 1} are)",
                hint="Convert the model with onnx.version_converter, or export it for another opset.",
            )


def _tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """Every tensor that the file holds, in branches and loop bodies too."""
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    constants = [tensor for a in attributes for tensor in (a.t, *a.tensors) if tensor.ByteSize()]
    inner = [tensor for a in attributes for g in (a.g, *a.graphs) for tensor in _tensors(g)]
    return [*graph.initializer, *constants, *inner]


def _load_external(tensor: onnx.TensorProto, folder: Path) -> bytes:
    """Move one tensor's external bytes inside. The location must stay below the model's folder."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    origin = f"initializer {tensor.name}"
    outside = UserError(
        f"external data location {location!r} is outside the model's folder",
        origin=origin,
        hint="Keep the data file beside the model, under a relative name.",
    )
    parts = PureWindowsPath(location)
    if (
        not location
        or "\0" in location
        or parts.drive
        or parts.root
        or PurePosixPath(location).is_absolute()
        or ".." in parts.parts
    ):
        raise outside
    file = (folder / location).resolve()
    if not file.is_relative_to(folder):
        raise outside
    if not file.is_file():
        raise UserError(f"external data file {location!r} is missing", origin=origin, hint="Put it beside the model.")
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries["length"]) if "length" in entries else file.stat().st_size - offset
    except ValueError:
        raise UserError(
            "external data offset or length is not a number", origin=origin, hint="Save the model again."
        ) from None
    if offset < 0 or length < 0 or offset + length > file.stat().st_size:
        raise UserError(f"external data runs past the end of {location!r}", origin=origin, hint="Save the model again.")
    with file.open("rb") as stream:
        stream.seek(offset)
        tensor.raw_data = stream.read(length)
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]
    return tensor.raw_data


def _check_structure(model: onnx.ModelProto, path: Path) -> None:
    if model.graph.sparse_initializer:
        raise UserError(
            "sparse initializers are not supported",
            origin=model.graph.sparse_initializer[0].values.name,
            hint="Export dense weights.",
        )
    for tensor in _tensors(model.graph):
        try:
            onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"the tensor's data does not fit its shape or type ({error})",
                origin=f"initializer {tensor.name}",
                hint="Export the model again.",
            ) from None
    if not all(isinstance(name, str) for name in _names(model.graph)):
        raise _broken(path, "a name is not UTF-8 text")
    names = [node.name for node in model.graph.node if node.name]
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise UserError(
            "two nodes have this name (ONNX Runtime does not run such a model)",
            origin=twice,
            hint="Give each node a name of its own, or none.",
        )
    if not model.graph.output:
        raise UserError("the model has no output", origin=str(path), hint="Export it again, with its outputs named.")
    idle = next((node for node in model.graph.node if not any(node.output)), None)
    if idle is not None:
        raise UserError(
            "the node has no output", origin=idle.name or idle.op_type, hint="Take it out, or export the model again."
        )
    try:
        onnx.checker.check_model(_checkable(model))
    except onnx.checker.ValidationError as error:
        raise _broken(path, str(error).splitlines()[0]) from None
    except UnicodeDecodeError:  # from the checker's own message about a name
        raise _broken(path, "a name is not UTF-8 text") from None


def _checkable(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model as ONNX's checker can read it.

    What is ONNX Runtime's does not bear ONNX's name; every output has a shape (of any kind: inference finds it).
    """
    adopted = [index for index, node in enumerate(model.graph.node) if node.op_type in ADOPTED and not node.domain]
    shapeless = [index for index, output in enumerate(model.graph.output) if _is_shapeless(output)]
    if not adopted and not shapeless:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for index in shapeless:
        copy.graph.output[index].type.tensor_type.shape.SetInParent()
    for index in adopted:
        copy.graph.node[index].domain = "com.microsoft"
    if adopted and not any(entry.domain == "com.microsoft" for entry in copy.opset_import):
        copy.opset_import.add(domain="com.microsoft", version=1)
    return copy


def _is_shapeless(output: onnx.ValueInfoProto) -> bool:
    return output.type.HasField("tensor_type") and not output.type.tensor_type.HasField("shape")


def _names(graph: onnx.GraphProto) -> Iterator[object]:
    """Every name in the graph; protobuf hands out bytes where the file holds no valid text."""
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for item in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        yield item.name
