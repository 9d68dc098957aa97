"""The node tests of the onnx package, which nobody here wrote.

As it is, every case is compiled or refused: nothing else. Single float nodes are quantized too: DequantizeLinear
before them and QuantizeLinear behind, with the case's own shapes, attributes and constants. What compiles is exact.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mcugen import Options, UserError, compile, oracle
from mcugen.emit.artefact import Compiled
from mcugen.emit.canonical import canonical_model
from mcugen.frontend.load import OPSETS
from mcugen.ops import OPS
from mcugen.prove.samples import given_samples, random_samples, to_canonical, to_firmware_outputs, to_model
from mcugen.prove.verify import verify

# Operators whose float operands are all activations; others have one, and constants.
_ACTIVATIONS = ("Add", "Sub", "Mul", "Div", "Min", "Max", "Sum", "Mean", "Concat", "MatMul")
_WEIGHTS = ("Conv", "ConvTranspose", "Gemm")
_BLOCKS = 12  # the default run builds every twelfth model, the slow one all


@functools.cache
def cases() -> list[Any]:
    from onnx.backend.test.case.node import collect_testcases

    return sorted(collect_testcases(None), key=lambda case: case.name)


def attempt(model: onnx.ModelProto, folder: Path) -> Compiled | UserError:
    path = folder / "case.onnx"
    path.write_bytes(model.SerializeToString())
    try:
        return compile(path, Options())
    except UserError as error:
        return error


def test_every_case_is_compiled_or_refused(tmp_path: Path) -> None:
    refused = []
    for case in cases():
        result = attempt(case.model, tmp_path)
        if isinstance(result, UserError):
            assert result.message, case.name
            refused.append(result.message)
    print(f"{len(cases())} cases, {len(refused)} refused")
    print(Counter(message[:70] for message in refused).most_common(20))
    assert 0 < len(refused) < len(cases())


INTEGER = [case.name for case in cases() if case.model.graph.node[0].op_type in ("ConvInteger", "MatMulInteger")]


@pytest.mark.parametrize("name", INTEGER)
def test_integer_layers(name: str, tmp_path: Path) -> None:
    """As they are, all operands inputs: equal to ONNX Runtime, and to what the case wants."""
    (case,) = (case for case in cases() if case.name == name)
    compiled = attempt(case.model, tmp_path)
    if isinstance(compiled, UserError):  # not by ONNX Runtime either
        assert name == "test_convinteger_with_padding" and "with one zero point of the weights" in compiled.message
        return
    names = [value.name for value in case.model.graph.input]
    given = {key: array[None] for key, array in zip(names, case.data_sets[0][0], strict=True)}
    result = verify(compiled, given_samples(compiled, given, tmp_path, None))
    assert result.bit_exact
    (got,) = result.outputs.values()
    assert np.array_equal(got[0], case.data_sets[0][1][0])
    assert verify(compiled, random_samples(compiled, 8, seed=1)).bit_exact


def scale_and_zero(array: np.ndarray, dtype: np.dtype) -> tuple[np.float32, np.ndarray]:
    """Over the values' range and zero."""
    finite = array[np.isfinite(array)] if array.size else np.zeros(1)
    low, high = min(float(finite.min(initial=0)), 0.0), max(float(finite.max(initial=0)), 0.0)
    scale = np.float32(max((high - low) / 255, 1e-3))
    info = np.iinfo(dtype)
    return scale, np.asarray(np.clip(np.rint(info.min - low / scale), info.min, info.max)).astype(dtype)


def quantized(case: Any, dtype: np.dtype) -> onnx.ModelProto | None:
    """The case's node between DequantizeLinear and QuantizeLinear; None if it is no single node on float32.

    Of a later opset than ONNX Runtime runs, as of the last one that it does.
    """
    graph = case.model.graph
    known = {name for op in OPS.values() for name in op.onnx}
    if len(graph.node) != 1 or graph.node[0].op_type not in known or not case.data_sets:
        return None
    node = graph.node[0]
    data = dict(zip([i.name for i in graph.input], case.data_sets[0][0], strict=False))
    wanted = dict(zip([o.name for o in graph.output], case.data_sets[0][1], strict=False))
    floats = [n for n in dict.fromkeys(node.input) if n in data and getattr(data[n], "dtype", None) == np.float32]
    outputs = [n for n in node.output if n in wanted and getattr(wanted[n], "dtype", None) == np.float32]
    if (
        not floats
        or outputs != list(filter(None, node.output))
        or not all(isinstance(a, np.ndarray) for a in data.values())
    ):
        return None
    activations = floats if node.op_type in _ACTIVATIONS else floats[:1]
    if any(data[n].size == 0 or data[n].ndim == 0 for n in floats) or any(wanted[n].size == 0 for n in outputs):
        return None
    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []
    renamed: dict[str, str] = {}

    def constant(name: str, array: Any) -> str:
        initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def params(name: str, scale: Any, zero: Any) -> list[str]:
        return [constant(f"{name}_scale", scale), constant(f"{name}_zero", zero)]

    def through(name: str, array: np.ndarray) -> str:
        """Q and DQ of `name`: the real value behind them."""
        scale, zero = scale_and_zero(array, dtype)
        nodes.append(helper.make_node("QuantizeLinear", [name, *params(f"{name}_q", scale, zero)], [f"{name}_int"]))
        back = [f"{name}_int", *params(f"{name}_dq", scale, zero)]
        nodes.append(helper.make_node("DequantizeLinear", back, [f"{name}_real"]))
        return f"{name}_real"

    for name, array in data.items():
        if name in activations:
            renamed[name] = through(name, array)
        elif name in floats and node.op_type in _WEIGHTS and name == node.input[1]:
            scale = np.float32(np.abs(array).max() / 127)
            raw = constant(name, np.rint(array / scale).astype(np.int8))
            parts = [raw, *params(name, scale, np.int8(0))]
            nodes.append(helper.make_node("DequantizeLinear", parts, [f"{name}_real"]))
            renamed[name] = f"{name}_real"
        else:
            constant(name, array)
    middle = onnx.NodeProto()
    middle.CopyFrom(node)
    for slot, name in enumerate(node.input):
        middle.input[slot] = renamed.get(name, name)
    nodes.append(middle)
    ends = [through(name, wanted[name]) for name in outputs]
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, data[n].shape) for n in activations]
    shapes = [wanted[name].shape for name in outputs]
    reals = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in zip(ends, shapes, strict=True)]
    made = helper.make_graph(nodes, case.name, inputs, reals, initializers)
    opsets = [helper.make_opsetid(e.domain, min(e.version, OPSETS.stop - 1)) for e in case.model.opset_import]
    return helper.make_model(made, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets, True))


def mismatches_of_canonical(compiled: Compiled) -> int:
    """Output values in which the canonical graph differs from the pinned session: no C is built."""
    samples = random_samples(compiled, 2, seed=4)
    wanted = oracle.run_all(oracle.pinned_session(compiled.model), samples.model)
    native = to_canonical(compiled, samples.firmware)
    canonical = oracle.run_all(oracle.plain_session(canonical_model(compiled)), native)
    got = to_model(compiled, to_firmware_outputs(compiled, canonical))
    return sum(int((got[name].reshape(wanted[name].shape) != wanted[name]).sum()) for name in got)


def is_exact(compiled: Compiled, built: bool) -> bool:
    """In every byte; in integer form, in every byte of the canonical graph."""
    forms = any("integer form" in note for step in compiled.steps for note in step.notes)
    if built:
        result = verify(compiled, random_samples(compiled, 2, seed=4))
        return result.bit_exact or (forms and result.max_lsb <= 1)
    return forms or mismatches_of_canonical(compiled) == 0


def counts(dtype: str, folder: Path, every: int) -> Counter[str]:
    found: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    failed = []
    for number, case in enumerate(cases()):
        model = quantized(case, np.dtype(dtype))
        if model is None:
            continue
        result = attempt(model, folder)
        if isinstance(result, UserError):
            found["refused"] += 1
            reasons[f"{case.model.graph.node[0].op_type}: {result.message[:90]}"] += 1
            continue
        if not is_exact(result, number % every == 0):
            failed.append(case.name)
        found["failed" if case.name in failed else "passed"] += 1
    print(dict(found), *reasons.most_common(), sep="\n")
    assert not failed
    return found


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_quantized_cases(dtype: str, tmp_path: Path) -> None:
    found = counts(dtype, tmp_path, _BLOCKS)
    assert found["passed"] >= PASSED and found["refused"] <= REFUSED, "fewer cases compile than before"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_quantized_cases_all_built(dtype: str, tmp_path: Path) -> None:
    counts(dtype, tmp_path, int(os.environ.get("CONFORMANCE_EVERY", "1")))


PASSED, REFUSED = 453, 32
"""Of the onnx package's cases that are single nodes on float32 in our table.

Refused are averages and transposed convolutions over three spatial dimensions, a BatchNormalization in training,
average pools with dilations, unsigned exponents, Scatter with a reduction, Mod of float32 numbers, SpaceToDepth with a
mode, a DequantizeLinear whose scale is computed or has blocks, and recurrent layers with layout = 1, which ONNX Runtime
does not run.
"""
