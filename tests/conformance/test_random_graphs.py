"""Random quantized graphs: the C equals the canonical graph in every byte, and so the pinned session.

A graph grows node by node from one input; each tensor has scale and zero point of its own, drawn from what is ordinary
and from the ends of what is legal.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from checking import compile_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_models import DTYPES, Net, Tensor

from mcugen import UserError
from mcugen.prove.samples import random_samples
from mcugen.prove.verify import verify

SCALES = st.sampled_from([0.05, 0.0371, 0.5, 0.25, 2.0**-7, 1e-3, 1e-12])
ZEROS = st.sampled_from([-128, -127, -77, -1, 0, 3, 64, 127])
UNARY = ("Relu", "Sigmoid", "Tanh", "HardSwish", "Abs", "Neg", "Elu")
BINARY = ("Add", "Mul", "Sub", "Div", "Min", "Max")


class Grower:
    """Draws one node at a time; `shape` is that of the tensor it grows from, NCHW or a matrix."""

    def __init__(self, draw: st.DrawFn, dtype: str) -> None:
        self.draw = draw
        self.net = Net(dtype, seed=draw(st.integers(0, 2**16)))
        self.shape = tuple(draw(st.tuples(st.just(1), st.integers(1, 7), st.integers(3, 8), st.integers(3, 8))))
        self.x = self.net.input(self.shape, draw(SCALES), draw(ZEROS))
        self.kept = [(self.x, self.shape)]

    def pick(self, *items: object) -> object:
        return self.draw(st.sampled_from(items))

    def some(self, op: str, *operands: Tensor | str, **attributes: object) -> Tensor:
        return self.net.op(op, *operands, scale=self.draw(SCALES), zero_point=self.draw(ZEROS), **attributes)

    def grow(self) -> None:
        kinds = ["unary", "binary", "shuffle", "reduce"]
        if len(self.shape) == 4:
            kinds += ["conv", "conv", "depthwise", "pool", "resize", "weigh", "flatten"]
        else:
            kinds += ["gemm", "softmax"]
        self.x = getattr(self, str(self.pick(*kinds)))()
        self.kept.append((self.x, self.shape))

    def unary(self) -> Tensor:
        return self.some(str(self.pick(*UNARY)), self.x)

    def binary(self) -> Tensor:
        partners = [tensor for tensor, shape in self.kept if shape == self.shape]
        return self.some(str(self.pick(*BINARY)), self.x, self.draw(st.sampled_from(partners)))

    def conv(self) -> Tensor:
        _, channels, height, width = self.shape
        k = self.draw(st.integers(1, min(3, height, width)))
        outputs, stride, pad = (
            self.draw(st.integers(1, 9)),
            self.draw(st.integers(1, 2)),
            self.draw(st.integers(0, k - 1)),
        )
        then = str(self.pick("", "Relu"))
        zero = -128 if then else self.draw(ZEROS)
        x = self.net.conv(
            self.x, (outputs, channels, k, k), strides=[stride, stride], pads=[pad] * 4, then=then, zero_point=zero
        )
        self.shape = (1, outputs, *((n + 2 * pad - k) // stride + 1 for n in (height, width)))
        return x

    def depthwise(self) -> Tensor:
        channels = self.shape[1]
        return self.net.conv(self.x, (channels, 1, 3, 3), group=channels, pads=[1] * 4, zero_point=self.draw(ZEROS))

    def pool(self) -> Tensor:
        kernel = [min(2, n) for n in self.shape[2:]]
        op = str(self.pick("MaxPool", "AveragePool", "GlobalAveragePool"))
        given = {} if op.startswith("Global") else {"kernel_shape": kernel}
        copies = op == "MaxPool"
        x = self.net.copy(op, self.x, **given) if copies else self.some(op, self.x, **given)
        sizes = (1, 1) if op.startswith("Global") else (n - k + 1 for n, k in zip(self.shape[2:], kernel, strict=True))
        self.shape = (*self.shape[:2], *sizes)
        return x

    def resize(self) -> Tensor:
        scales = self.net.constant(np.array([1, 1, 2, 1], np.float32))
        self.shape = (*self.shape[:2], 2 * self.shape[2], self.shape[3])
        return self.net.copy("Resize", self.x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric")

    def weigh(self) -> Tensor:
        squeezed = self.some("GlobalAveragePool", self.x)
        return self.some(str(self.pick("Mul", "Add")), *self.draw(st.permutations([self.x, squeezed])))

    def reduce(self) -> Tensor:
        axis = self.draw(st.integers(1, len(self.shape) - 1))
        op = str(self.pick("ReduceMean", "ReduceMax"))
        self.shape = tuple(1 if k == axis else n for k, n in enumerate(self.shape))
        return self.some(op, self.x, axes=[axis], keepdims=1)

    def shuffle(self) -> Tensor:
        rank = len(self.shape)
        perm = [0, *self.draw(st.permutations(range(1, rank)))]
        self.shape = tuple(self.shape[axis] for axis in perm)
        return self.net.copy("Transpose", self.x, perm=perm)

    def flatten(self) -> Tensor:
        self.shape = (1, int(np.prod(self.shape)))
        return self.net.copy("Flatten", self.x)

    def gemm(self) -> Tensor:
        outputs, depth = self.draw(st.integers(1, 12)), self.shape[1]
        self.shape = (1, outputs)
        return self.net.gemm(self.x, outputs, depth, zero_point=self.draw(ZEROS))

    def softmax(self) -> Tensor:
        return self.net.op("Softmax", self.x, scale=1 / 256, zero_point=-128, axis=-1)


@st.composite
def graphs(draw: st.DrawFn) -> onnx.ModelProto:
    grower = Grower(draw, draw(st.sampled_from(DTYPES)))
    for _ in range(draw(st.integers(1, 12))):
        grower.grow()
    grower.net.output(grower.x)
    return grower.net.model()


def check(model: onnx.ModelProto, folder: Path) -> None:
    """What is refused names its node: scales too far apart, a softmax over one class."""
    try:
        compiled = compile_model(model, folder)
    except UserError as error:
        assert error.origin and error.hint, error
        return
    result = verify(compiled, random_samples(compiled, 2, seed=6))
    forms = any("integer form" in note for step in compiled.steps for note in step.notes)
    assert forms or result.bit_exact, result.first_difference
    # Of an integer form, the steps are exact, and only the pinned session may differ.
    assert not result.first_difference or result.first_difference.startswith("no step of the C")


_CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=_CHECKS)
@given(graphs())
def test_random_graphs(tmp_path: Path, model: onnx.ModelProto) -> None:
    check(model, tmp_path)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=_CHECKS)
@given(graphs())
def test_many_random_graphs(tmp_path: Path, model: onnx.ModelProto) -> None:
    check(model, tmp_path)
