"""Inputs to prove with: a user's .npz or random ones, as the model takes them and as the firmware does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from ..emit.artefact import Compiled, Port
from ..emit.canonical import from_native, to_native
from ..ops.gather import index_ranges
from .feeds import Input, fit, read_archive


@dataclass(frozen=True)
class Samples:
    """Both by ONNX input name, samples along the first axis."""

    model: Mapping[str, np.ndarray]  # what ONNX Runtime is fed
    firmware: Mapping[str, np.ndarray]  # what the C is fed
    count: int
    source: str


def model_dtypes(compiled: Compiled) -> dict[str, np.dtype]:
    """NumPy dtype of each input and output of the ONNX model."""
    infos = (*compiled.model.graph.input, *compiled.model.graph.output)
    return {i.name: onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in infos}


def load_samples(compiled: Compiled, path: Path, limit: int | None) -> Samples:
    """The arrays of an .npz: one for each model input, by its name, first axis = samples."""
    return given_samples(compiled, read_archive(path), path, limit)


def given_samples(compiled: Compiled, arrays: Mapping[str, np.ndarray], source: Path, limit: int | None) -> Samples:
    """Arrays that stand for a file `source`, as `load_samples` would read them from it."""
    dtypes = model_dtypes(compiled)
    inputs = [Input(port.name, dtypes[port.name], port.model_shape) for port in compiled.inputs]
    feeds, count = fit(arrays, inputs, source)
    kept = count if limit is None else min(limit, count)
    feeds = {name: array[:kept] for name, array in feeds.items()}
    return Samples(feeds, _to_firmware(compiled, feeds), kept, source.name)


def random_samples(compiled: Compiled, count: int, seed: int) -> Samples:
    """Random values of every input: integers over the whole range, indices over that of their axis.

    Reals reach a little beyond what the input's quantization holds.
    """
    chance = np.random.default_rng(seed)
    dtypes, allowed = model_dtypes(compiled), index_ranges(compiled.graph)
    feeds: dict[str, np.ndarray] = {}
    for port in compiled.inputs:
        shape = (count, *port.model_shape)
        dtype = dtypes[port.name]
        if dtype == np.float32:
            low, high = _real_range(compiled, port)
            feeds[port.name] = chance.uniform(low, high, shape).astype(np.float32)
        elif dtype == np.bool_:
            feeds[port.name] = chance.integers(0, 1, shape, np.int8, endpoint=True).astype(dtype)
        else:
            info = np.iinfo(dtype)
            low, high = allowed.get(port.name, (info.min, info.max))  # in int64, of which the input may have less
            feeds[port.name] = chance.integers(max(low, info.min), min(high, info.max), shape, dtype, endpoint=True)
    return Samples(feeds, _to_firmware(compiled, feeds), count, f"random, seed {seed}")


def _real_range(compiled: Compiled, port: Port) -> tuple[float, float]:
    type = port.type
    if type.quant is None:  # float in the firmware too: the quantize step knows
        reader = next((n for n in compiled.graph.nodes if port.name in n.inputs), None)
        type = compiled.graph.type(reader.output) if reader is not None and reader.op == "quantize" else type
    if type.quant is None:
        return -1.0, 1.0
    scale, zero_point = type.quant.per_tensor
    ends = np.iinfo(type.dtype)
    low, high = (ends.min - zero_point) * float(scale), (ends.max - zero_point) * float(scale)
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def _to_firmware(compiled: Compiled, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Quantize as ONNX's QuantizeLinear does: true division, half to even, saturated."""
    result: dict[str, np.ndarray] = {}
    for port in compiled.inputs:
        array, q = feeds[port.name], port.type.quant
        if port.type.dtype in ("int8", "int16") and array.dtype == np.float32:
            assert q is not None
            scale, zero_point = q.per_tensor
            # NaN compares false with the lower end, so it takes it, as in ORT.
            ends = np.iinfo(port.type.dtype)
            low, high = ends.min - zero_point, ends.max - zero_point
            scaled = np.rint(array / scale)
            array = (np.where(scaled > low, np.minimum(scaled, high), low) + zero_point).astype(port.type.dtype)
        array = np.transpose(array, (0, *(axis + 1 for axis in port.perm)))
        result[port.name] = np.ascontiguousarray(from_native(array))
    return result


def to_canonical(compiled: Compiled, firmware: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Inputs of the firmware as the canonical graph takes them."""
    return {port.name: to_native(port.type, firmware[port.name]) for port in compiled.inputs}


def to_firmware_outputs(compiled: Compiled, native: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of the canonical graph as the firmware types them."""
    return {port.name: from_native(native[port.name]) for port in compiled.outputs}


def to_model(compiled: Compiled, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The firmware's outputs in the types of the ONNX model: float32 by (q - zero point) * scale."""
    dtypes = model_dtypes(compiled)
    result: dict[str, np.ndarray] = {}
    for port in compiled.outputs:
        array, q = outputs[port.name], port.type.quant
        if dtypes[port.name] == np.float32 and array.dtype in (np.int8, np.int16):
            assert q is not None
            scale, zero_point = q.per_tensor
            array = (array.astype(np.int32) - zero_point).astype(np.float32) * scale
        result[port.name] = to_native(port.type, array) if array.dtype == port.type.dtype else array
    return result
