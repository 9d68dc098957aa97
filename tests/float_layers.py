"""Models of single float32 operators, and what holds them within their stated tolerance."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from small_models import Net

from mcugen.emit.artefact import Compiled
from mcugen.prove.samples import random_samples
from mcugen.prove.toolchain import available
from mcugen.prove.verify import Verification, verify
from mcugen.target import core


def near(compiled: Compiled, *, samples: int = 6, on: str = "host") -> Verification:
    """The outputs, and on the host every step, within what the float steps state."""
    if on != "host":
        reason = available(core(on))
        if reason:
            pytest.skip(reason)
    result = verify(compiled, random_samples(compiled, samples, seed=1), on)
    assert result.passed, f"{result.max_abs_difference:g}: {result.first_difference}"
    for name, array in result.outputs.items():
        assert len(np.unique(array)) > 2 or array.size < 8, name
    return result


def layer(
    op: str, shape: list[int], *constants: Any, opset: int = 20, outputs: int = 1, **attributes: Any
) -> onnx.ModelProto:
    """One float operator on a model input; constants become initializers, None an absent input."""
    net = Net(opset=opset)
    names = ["" if c is None else net.constant(np.asarray(c), "c") for c in constants]
    y = net.node(op, net.float_input(shape), *names, name="only", **attributes)
    net.nodes[-1].output.extend(f"{y}{number}" for number in range(1, outputs))
    for name in net.nodes[-1].output:
        net._output(name, TensorProto.FLOAT)
    return net.model()


def rand(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def pair(op: str, a: list[int], b: list[int] | np.ndarray) -> onnx.ModelProto:
    """Two operands: model inputs, or the second one a constant."""
    net = Net()
    x = net.float_input(a)
    other = net.constant(b, "b") if isinstance(b, np.ndarray) else net.float_input(b, "b")
    net._output(net.node(op, x, other, name="only"), TensorProto.FLOAT)
    return net.model()


def together(cases: dict[str, onnx.ModelProto]) -> onnx.ModelProto:
    """All in one model, side by side: one program to build. What differs is named with its case."""
    graph = onnx.GraphProto(name="cases")
    for name, model in cases.items():
        part = onnx.compose.add_prefix(model, f"{name}/").graph
        for field in ("node", "input", "output", "initializer"):
            getattr(graph, field).extend(getattr(part, field))
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def some(cases: dict[str, onnx.ModelProto], part: int, parts: int = 6) -> dict[str, onnx.ModelProto]:
    return {name: cases[name] for name in list(cases)[part::parts]}
