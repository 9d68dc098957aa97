"""Weights of 4 bits.

With quantized activations ONNX Runtime computes such layers in float32: they are held against the canonical integer
graph in every byte, and against the session. Weights in blocks stay in float.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from checking import compile_model, exact_integer_form, kernels
from onnx import TensorProto, helper
from small_models import Net

from mcugen.emit.artefact import Compiled
from mcugen.emit.codegen import const_bytes
from mcugen.errors import UserError
from mcugen.prove.board import run_on_board
from mcugen.prove.host import HostModel
from mcugen.prove.samples import random_samples
from mcugen.prove.toolchain import available
from mcugen.prove.verify import verify
from mcugen.target import core

DTYPES = ("uint8", "int8", "int16")
KINDS: dict[str, tuple[Any, int]] = {"int4": (ml_dtypes.int4, 0), "uint4": (ml_dtypes.uint4, 8)}


def layer(model: onnx.ModelProto, folder: Path, **options: Any) -> Compiled:
    """Every step equals the canonical graph; the outputs are within one step of the session's, and most are equal."""
    compiled = exact_integer_form(model, folder)
    result = verify(compiled, random_samples(compiled, 16, seed=1))
    assert result.passed and result.max_lsb <= 1 and result.mismatches <= result.values // 20, result
    assert len(np.unique(result.outputs["y"])) > 8
    return compiled


CONVS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "3x3": ((1, 5, 7, 6), (4, 5, 3, 3), {"pads": [1, 1, 1, 1]}),
    "1x1": ((1, 13, 4, 4), (6, 13, 1, 1), {}),
    "strides and dilations": (
        (1, 3, 9, 9),
        (5, 3, 2, 3),
        {"pads": [2, 0, 1, 3], "strides": [2, 1], "dilations": [1, 2]},
    ),
    "grouped": ((1, 6, 5, 5), (4, 3, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
    "depthwise": ((1, 6, 6, 5), (6, 1, 3, 3), {"group": 6, "pads": [1, 1, 1, 1]}),
    "per tensor": ((2, 4, 5, 5), (3, 4, 2, 2), {"axis": None, "bias": False}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CONVS)
def test_conv(case: str, dtype: str, kind: str, tmp_path: Path) -> None:
    x_shape, w_shape, options = CONVS[case]
    w_dtype, w_zero = KINDS[kind]
    n = Net(dtype, opset=21)
    n.output(n.conv(n.input(x_shape), w_shape, w_dtype=w_dtype, w_zero=w_zero, **options))
    compiled = layer(n.model(), tmp_path)
    packed = {"mcugen_convolve_s4", "mcugen_convolve_s16_s4"} & set(kernels(compiled))
    assert bool(packed) == (case != "depthwise")
    if dtype != "int16" and not packed:
        assert any("stored in 8" in note for step in compiled.steps for note in step.notes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gemm(dtype: str, kind: str, tmp_path: Path) -> None:
    """Half a byte a weight, rows padded to whole words."""
    w_dtype, w_zero = KINDS[kind]
    n = Net(dtype, opset=21)
    n.output(n.gemm(n.input((3, 101)), 20, 101, w_dtype=w_dtype, w_zero=w_zero))
    compiled = layer(n.model(), tmp_path)
    (weights,) = [t for step in compiled.steps for t in step.tables() if t.role == "weights"]
    assert weights.data.nbytes == 20 * 52
    assert const_bytes(compiled) < 20 * 101


def test_zero_point_that_does_not_centre(tmp_path: Path) -> None:
    """Weights less a zero point of 3 reach 12: stored in 8 bits."""
    n = Net("int8", opset=21)
    n.output(n.gemm(n.input((2, 40)), 6, 40, w_dtype=ml_dtypes.uint4, w_zero=3))
    compiled = layer(n.model(), tmp_path)
    assert "mcugen_convolve_s4" not in kernels(compiled)


@pytest.mark.parametrize("core_name", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_on_a_board(core_name: str, tmp_path: Path) -> None:
    """Both widths of activations, a window alone and several: the bytes of the host."""
    if available(core(core_name)):
        pytest.skip(available(core(core_name)))
    for dtype in ("uint8", "int16"):
        n = Net(dtype, opset=21)
        # odd numbers of windows, taps and filters of a group
        y = n.conv(n.input((1, 6, 5, 5)), (10, 3, 3, 3), group=2, pads=[1, 1, 1, 1], w_dtype=ml_dtypes.int4)
        n.output(n.gemm(n.copy("Flatten", y, axis=1), 7, 250, w_dtype=ml_dtypes.int4))
        compiled = compile_model(n.model(), tmp_path, core=core_name)
        samples = random_samples(compiled, 4, seed=1)
        board, host = run_on_board(compiled, samples.firmware).outputs, HostModel(compiled).run_all(samples.firmware)
        assert np.array_equal(board["y"], host["y"]) and len(np.unique(host["y"])) > 8


# In blocks


def in_blocks(
    n: Net,
    x: str,
    depth: int,
    outputs: int,
    block: int,
    *,
    kind: str = "uint4",
    zeros: bool = True,
    transposed: bool = False,
) -> str:
    """MatMul or Gemm of a float value and weights with a scale for each block of the sum."""
    blocks = -(-depth // block)
    info = {"int4": (-8, 7), "uint4": (0, 15)}[kind]
    element = TensorProto.INT4 if kind == "int4" else TensorProto.UINT4

    def narrow(name: str, shape: tuple[int, int], low: int, high: int) -> str:
        values = n.rng.integers(low, high, shape, endpoint=True)
        values = values.T if transposed else values
        n.initializers.append(helper.make_tensor(name, element, values.shape, values.reshape(-1)))
        return name

    scale = n.rng.uniform(0.01, 0.03, (blocks, outputs)).astype(np.float32)
    parts = [narrow("w", (depth, outputs), *info), n.constant(scale.T if transposed else scale)]
    parts += [narrow("z", (blocks, outputs), info[0] + 6, info[1] - 6)] if zeros else []
    weights = n.node("DequantizeLinear", *parts, axis=int(transposed), block_size=block)
    return n.node("Gemm", x, weights, transB=1) if transposed else n.node("MatMul", x, weights)


def near(model: onnx.ModelProto, folder: Path) -> Compiled:
    compiled = compile_model(model, folder)
    result = verify(compiled, random_samples(compiled, 16, seed=1))
    assert (result.passed and result.max_abs_difference > 0) or result.bit_exact, result
    return compiled


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("depth, block, zeros", [(64, 16, True), (96, 32, False), (72, 32, True)])
def test_blocks(depth: int, block: int, zeros: bool, transposed: bool, kind: str, tmp_path: Path) -> None:
    n = Net("int8", opset=21)
    y = in_blocks(n, n.float_input((3, depth)), depth, 10, block, kind=kind, zeros=zeros, transposed=transposed)
    n.nodes[-1].output[0] = "y"
    n._output("y", TensorProto.FLOAT)
    assert y
    assert kernels(near(n.model(), tmp_path)) == ["mcugen_f32_matmul_s4"]


def test_blocks_between_quantized_layers(tmp_path: Path) -> None:
    n = Net("int8", opset=21)
    x = n.gemm(n.input((2, 20)), 32, 20)
    n.output(n.quantize(n.node("Relu", in_blocks(n, n.real(x), 32, 9, 16)), 0.05, -20))
    assert "mcugen_f32_matmul_s4" in kernels(near(n.model(), tmp_path))


def matmul_nbits(
    depth: int, outputs: int, block: int, *, zeros: bool, bias: bool, **attributes: Any
) -> onnx.ModelProto:
    rng = np.random.default_rng(5)
    n = Net("int8", opset=17)
    blocks = -(-depth // block)
    parts = [
        n.constant(rng.integers(0, 256, (outputs, blocks, block // 2), np.uint8)),
        n.constant(rng.uniform(0.01, 0.03, outputs * blocks).astype(np.float32)),
        n.constant(rng.integers(0, 256, outputs * -(-blocks // 2), np.uint8)) if zeros else "",
    ]
    parts += ["", n.constant(rng.normal(size=outputs).astype(np.float32))] if bias else []
    n.node(
        "MatMulNBits",
        n.float_input((2, 3, depth)),
        *parts,
        name="head/NBits",
        domain="com.microsoft",
        **({"K": depth, "N": outputs, "bits": 4, "block_size": block} | attributes),
    )
    n.nodes[-1].output[0] = "y"
    model = n.model()
    model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3, outputs]))
    return model


@pytest.mark.parametrize("zeros, bias", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("depth, block", [(64, 16), (80, 32), (256, 128)])
def test_matmul_nbits(depth: int, block: int, zeros: bool, bias: bool, tmp_path: Path) -> None:
    compiled = near(matmul_nbits(depth, 7, block, zeros=zeros, bias=bias), tmp_path)
    assert kernels(compiled)[0] == "mcugen_f32_matmul_s4"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "accuracy level": ({"accuracy_level": 4}, "head/NBits.*accuracy_level 4.*accuracy_level 0"),
    "bits": ({"bits": 8}, "head/NBits.*8 bits.*4 bits"),
    "block size": ({"block_size": 24}, "head/NBits.*block_size 24"),
    "sizes": ({"N": 9}, "head/NBits.*weights.*values of type uint8, not"),
    "size of nothing": ({"K": 0}, "head/NBits.*K 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    attributes, words = REFUSED[case]
    with pytest.raises(UserError) as refused:
        compile_model(matmul_nbits(64, 7, 16, zeros=True, bias=False, **attributes), tmp_path)
    assert re.search(words, str(refused.value), re.DOTALL), refused.value


def test_blocks_of_a_convolution_are_refused(tmp_path: Path) -> None:
    n = Net("int8", opset=21)
    w = n.constant(n.rng.integers(-8, 8, (4, 16, 1, 1)).astype(np.int8))
    real = n.node(
        "DequantizeLinear", w, n.constant(np.full((4, 1, 1, 1), 0.1, np.float32)), axis=1, block_size=16, name="w/DQ"
    )
    n.output(n.quantize(n.node("Conv", n.real(n.input((1, 16, 3, 3))), real), 0.1))
    with pytest.raises(UserError, match=r"w/DQ.*blocked quantization"):
        compile_model(n.model(), tmp_path)


def test_weights_of_four_bits_in_float(tmp_path: Path) -> None:
    """Without quantized activations, and without blocks: dequantized when compiled."""
    n = Net("int8", opset=21)
    weights, _ = n.weights((12, 5), axis=1, dtype=ml_dtypes.int4)
    n.node("MatMul", n.float_input((2, 12)), weights)
    n.nodes[-1].output[0] = "y"
    n._output("y", TensorProto.FLOAT)
    near(n.model(), tmp_path)
