"""The C kernels against ONNX Runtime itself: same bytes, int8 and uint8, with and without an FPU."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cffi import FFI
from ort_node import DTYPES, from_model, quantization, run_node, to_model
from test_requant import ELEMENTWISE, PAIRS

from mcugen import requant, resources
from mcugen.ops.float_unary import LIBRARY_KERNELS

KERNELS = resources.templates() / "kernels"
SOURCES = sorted(KERNELS.glob("mcugen_*.c"))
INCLUDES = [f"-I{path}" for path in (KERNELS, resources.cmsis() / "Include", resources.cmsis() / "exact")]
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wcast-qual", "-Werror"]
GUARD = 77


class Library:
    """The kernels as a shared library; outputs are written into guarded, misaligned memory."""

    def __init__(self, folder: Path, fpu: int) -> None:
        for name in ("stdbool.h", "stdint.h"):  # cffi knows these types: what is left are our own declarations
            (folder / name).write_text("")
        header = KERNELS / "mcugen_kernels.h"
        declare = ["gcc", "-E", "-P", "-nostdinc", f"-I{folder}", *INCLUDES, str(header)]
        self.ffi = FFI()
        self.ffi.cdef(subprocess.run(declare, check=True, capture_output=True, text=True).stdout)
        shared = folder / "kernels.so"
        flags = ["-O1", "-ffp-contract=off", "-fsanitize=undefined", "-fno-sanitize-recover=all"]
        macros = [f"-DMCUGEN_REQUANT_FPU={fpu}"]
        command = ["gcc", *WARNINGS, *flags, *macros, *INCLUDES, "-shared", "-fPIC", "-o", str(shared)]
        subprocess.run([*command, *map(str, SOURCES), "-lm"], check=True)
        self.fpu = fpu
        self.c = self.ffi.dlopen(str(shared))

    def bytes(self, values: Any) -> Any:
        """An int8 array at an odd address."""
        data = np.ascontiguousarray(values, np.int8).ravel()
        memory = self.ffi.new("int8_t[]", data.size + 1)
        self.ffi.memmove(memory + 1, data.tobytes(), data.size)
        return _Kept(memory, memory + 1).pointer

    def output(self, size: int) -> Guarded:
        return Guarded(self.ffi, size)

    def array(self, ctype: str, values: Any) -> Any:
        return self.ffi.new(f"{ctype}[]", np.asarray(values).ravel().tolist())

    def params(self, ctype: str, params: Any, **more: Any) -> Any:
        """A C struct from a dataclass of the same members."""
        members = {k: v.item() if isinstance(v, np.generic) else v for k, v in asdict(params).items()}
        bounds = {"min": members.pop("activation_min"), "max": members.pop("activation_max")}
        return self.ffi.new(f"{ctype} *", {**members, "activation": bounds, **more})

    def dims(self, n: int, h: int, w: int, c: int) -> Any:
        return self.ffi.new("cmsis_nn_dims *", {"n": n, "h": h, "w": w, "c": c})


_KEPT: list[Any] = []


class _Kept:
    """Keeps a cffi buffer alive as long as the pointer into it may be used: to the end of the test."""

    def __init__(self, memory: Any, pointer: Any) -> None:
        _KEPT.append(memory)
        self.pointer = pointer


@pytest.fixture(autouse=True)
def _release() -> Any:
    yield
    _KEPT.clear()


class Guarded:
    """int8 memory at an odd address between guard bytes."""

    def __init__(self, ffi: FFI, size: int) -> None:
        self.ffi, self.size = ffi, size
        self.memory = ffi.new("int8_t[]", [GUARD] * (size + 32))
        self.pointer = self.memory + 15

    def fill(self, values: Any) -> Guarded:
        self.ffi.memmove(self.pointer, np.ascontiguousarray(values, np.int8).tobytes(), self.size)
        return self

    def read(self) -> np.ndarray:
        memory = np.frombuffer(self.ffi.buffer(self.memory), np.int8)
        assert np.all(memory[:15] == GUARD) and np.all(memory[15 + self.size :] == GUARD)
        return memory[15 : 15 + self.size].copy()


@pytest.fixture(scope="session", params=[0, 1], ids=["integer", "fpu"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(tmp_path_factory.mktemp(f"kernels{request.param}"), request.param)


# Element-wise


def _pairwise(op: str, case: str, dtype: Any, a: Any, b: Any) -> np.ndarray:
    sa, za, sb, zb, sc, zc = ELEMENTWISE[case]
    inputs = {
        "a": to_model(a, dtype),
        **quantization("a", sa, za, dtype),
        "b": to_model(b, dtype),
        **quantization("b", sb, zb, dtype),
        **quantization("c", sc, zc, dtype),
    }
    return from_model(run_node(op, inputs, dtype)).ravel()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ELEMENTWISE)
@pytest.mark.parametrize("op", ["add", "mul"])
def test_elementwise_on_all_pairs(library: Library, op: str, case: str, dtype: Any) -> None:
    make = {"add": requant.add_params, "mul": requant.mul_params}[op]
    params = library.params(f"mcugen_{op}_params", make(*ELEMENTWISE[case], unsigned=dtype == np.uint8))
    kernel = getattr(library.c, f"mcugen_{op}_s8")
    expected = _pairwise(f"QLinear{op.title()}", case, dtype, *PAIRS)
    a, b = (library.bytes(values) for values in PAIRS)
    output = library.output(65536)
    kernel(params, a, b, output.pointer, 65536)
    np.testing.assert_array_equal(output.read(), expected)

    for first in (True, False):  # in place over a, then over b
        output = library.output(65536).fill(PAIRS[0 if first else 1])
        kernel(params, *((output.pointer, b) if first else (a, output.pointer)), output.pointer, 65536)
        np.testing.assert_array_equal(output.read(), expected)


@pytest.mark.parametrize("op", ["add", "mul"])
def test_elementwise_activation_and_empty_input(library: Library, op: str) -> None:
    make = {"add": requant.add_params, "mul": requant.mul_params}[op]
    values = make(*ELEMENTWISE["ordinary"], activation=(-7, 60))
    params = library.params(f"mcugen_{op}_params", values)
    a, b = (library.bytes(x) for x in PAIRS)
    output = library.output(65536)
    getattr(library.c, f"mcugen_{op}_s8")(params, a, b, output.pointer, 65536)
    free = make(*ELEMENTWISE["ordinary"])
    reference = {"add": requant.ort_add, "mul": requant.ort_mul}[op](free, *PAIRS)
    np.testing.assert_array_equal(output.read(), np.clip(reference, -7, 60).ravel())

    output = library.output(4)
    getattr(library.c, f"mcugen_{op}_s8")(params, a, b, output.pointer, 0)
    assert np.all(output.read() == GUARD)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["add", "mul"])
def test_elementwise_with_random_parameters(library: Library, op: str, dtype: Any) -> None:
    rng = np.random.default_rng(20)
    make = {"add": requant.add_params, "mul": requant.mul_params}[op]
    a, b = rng.integers(-128, 128, (2, 3001))
    first, second = library.bytes(a), library.bytes(b)
    for _ in range(25):
        sa, sb, sc = (float(s) for s in np.float32(10.0 ** rng.uniform(-3, 0, 3)))
        za, zb, zc = (int(z) for z in rng.integers(-128, 128, 3))
        inputs = {
            "a": to_model(a, dtype),
            **quantization("a", sa, za, dtype),
            "b": to_model(b, dtype),
            **quantization("b", sb, zb, dtype),
            **quantization("c", sc, zc, dtype),
        }
        params = library.params(f"mcugen_{op}_params", make(sa, za, sb, zb, sc, zc, unsigned=dtype == np.uint8))
        output = library.output(3001)
        getattr(library.c, f"mcugen_{op}_s8")(params, first, second, output.pointer, 3001)
        np.testing.assert_array_equal(output.read(), from_model(run_node(f"QLinear{op.title()}", inputs, dtype)))


def test_lut_in_place(library: Library) -> None:
    table = np.random.default_rng(21).permutation(np.arange(-128, 128))
    every = np.arange(-128, 128)
    output = library.output(256).fill(every)
    library.c.mcugen_lut_s8(library.bytes(table), output.pointer, output.pointer, 256)
    np.testing.assert_array_equal(output.read(), table)


@pytest.mark.parametrize("dtype", DTYPES)
def test_quantize(library: Library, dtype: Any) -> None:
    rng = np.random.default_rng(22)
    special = [0.0, -0.0, np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, -1e-45, 1e-38]
    for scale, zero_point in [(0.0213, 3), (0.5, 0), (0.25, 1), (1e-12, -128), (1e12, 127), (1.0, -7)]:
        steps = np.arange(-300, 300) * 0.5 * np.float32(scale)
        values = np.concatenate([special, steps, np.nextafter(steps.astype(np.float32), np.float32(9e9))])
        x = np.concatenate([values, rng.normal(0, 60 * scale, 1003)]).astype(np.float32)
        output = library.output(x.size)
        library.c.mcugen_quantize_f32_s8(
            library.array("float", x), output.pointer, x.size, np.float32(scale).item(), zero_point
        )
        expected = run_node("QuantizeLinear", {"x": x, **quantization("y", scale, zero_point, dtype)}, dtype, domain="")
        np.testing.assert_array_equal(output.read(), from_model(expected))


@pytest.mark.parametrize("dtype", DTYPES)
def test_dequantize(library: Library, dtype: Any) -> None:
    every = np.arange(-128, 128)
    for scale, zero_point in [(0.0213, 3), (1e-38, -128), (1e12, 127)]:
        output = library.ffi.new("float[]", 256)
        library.c.mcugen_dequantize_s8_f32(library.bytes(every), output, 256, np.float32(scale).item(), zero_point)
        inputs = {"x": to_model(every, dtype), **quantization("x", scale, zero_point, dtype)}
        expected = run_node("DequantizeLinear", inputs, np.float32, domain="")
        assert np.array(list(output), np.float32).tobytes() == expected.tobytes()


# Softmax


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [2, 3, 10, 12, 100, 1001])
def test_softmax(library: Library, classes: int, dtype: Any) -> None:
    rng = np.random.default_rng(classes)
    rows = 20000 // classes  # enough values near a tie to tell the order of the sum
    for sx in (0.0009, 0.0213, 0.125, 0.5, 3.7, 1e-12):
        for sy, zero_point in [(1 / 256, -128), (1 / 255, 0), (0.01 / classes, -100), (0.5, 127)]:
            x = rng.integers(-128, 128, (rows, classes))
            x[0], x[1] = -128, np.sort(x[1])  # a flat row and a steep one
            x[2, 1:] = -128
            inputs = {
                "x": to_model(x, dtype),
                **quantization("x", sx, 0, dtype),
                **quantization("y", sy, zero_point, dtype),
            }
            table = library.array("float", requant.softmax_table(sx, classes))
            inverse = requant.softmax_scale_inverse(sy, classes).item()
            output = library.output(x.size).fill(x)
            library.c.mcugen_softmax_s8(table, inverse, zero_point, output.pointer, output.pointer, rows, classes)
            expected = run_node("QLinearSoftmax", inputs, dtype, axis=-1, opset=17)
            np.testing.assert_array_equal(output.read(), from_model(expected).ravel())


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_every_row_of_three_classes(library: Library, dtype: Any) -> None:
    second, third = PAIRS
    x = np.stack([np.full_like(second, 127), second, third], axis=-1).reshape(-1, 3)
    for sx, sy in [(0.0009, 1 / 256), (0.0031, 1 / 255), (0.05, 1 / 256), (0.125, 1 / 300)]:
        inputs = {
            "x": to_model(x, dtype),
            **quantization("x", sx, 0, dtype),
            **quantization("y", sy, -128, dtype),
        }
        table = library.array("float", requant.softmax_table(sx, 3))
        inverse = requant.softmax_scale_inverse(sy, 3).item()
        output = library.output(x.size)
        library.c.mcugen_softmax_s8(table, inverse, -128, library.bytes(x), output.pointer, len(x), 3)
        expected = run_node("QLinearSoftmax", inputs, dtype, axis=-1, opset=17)
        np.testing.assert_array_equal(output.read(), from_model(expected).ravel())


# Pooling

POOLS: dict[str, dict[str, Any]] = {
    "2x2": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "3x3 padded": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
    "3x3 counting pads": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    "asymmetric": {"kernel_shape": [3, 2], "strides": [1, 2], "pads": [0, 1, 2, 0]},
    "ceil": {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    "ceil counting pads": {
        "kernel_shape": [3, 2],
        "strides": [2, 3],
        "pads": [1, 0, 1, 1],
        "ceil_mode": 1,
        "count_include_pad": 1,
    },
    "7x5 counting pads": {"kernel_shape": [7, 5], "pads": [3, 2, 3, 2], "count_include_pad": 1},
    "1x1": {"kernel_shape": [1, 1]},
}
POOL_SCALES = {
    "equal": (0.1, 3, 0.1, 3),
    "powers of two": (0.5, 0, 0.25, 0),
    "ends": (0.0213, -128, 0.0371, 127),
    "narrow": (0.0713, 127, 0.0109, -128),
    "tiny": (1e-12, 5, 1e-12, -4),
    "subnormal": (1e-38, 5, 1e-38, -4),
    "saturating": (1.0, 1, 1e-12, 0),
    "vanishing": (1e-12, 1, 1.0, 7),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scales", POOL_SCALES)
@pytest.mark.parametrize("pool", POOLS)
def test_average_pool(library: Library, pool: str, scales: str, dtype: Any) -> None:
    attributes, (sx, zx, sy, zy) = POOLS[pool], POOL_SCALES[scales]
    rng = np.random.default_rng(23)
    x = rng.integers(-128, 128, (2, 9, 8, 13))  # NHWC
    x[1] = rng.integers(-2, 3, x[1].shape)
    quantized = {**quantization("x", sx, zx, dtype), **quantization("y", sy, zy, dtype)}
    nhwc = run_node("QLinearAveragePool", {"x": to_model(x, dtype), **quantized}, dtype, channels_last=1, **attributes)
    nchw = run_node(
        "QLinearAveragePool",
        {"x": to_model(x.transpose(0, 3, 1, 2), dtype), **quantized},
        dtype,
        channels_last=0,
        **attributes,
    )
    np.testing.assert_array_equal(nhwc, nchw.transpose(0, 2, 3, 1))

    height, width = attributes["kernel_shape"]
    pads, strides = attributes.get("pads", [0] * 4), attributes.get("strides", [1, 1])
    params = requant.average_pool_params(
        sx,
        zx,
        sy,
        zy,
        height * width,
        count_include_pad=bool(attributes.get("count_include_pad")),
        unsigned=dtype == np.uint8,
    )
    output = library.output(nhwc.size)
    library.c.mcugen_average_pool_s8(
        library.params(
            "mcugen_average_pool_params",
            params,
            stride={"h": strides[0], "w": strides[1]},
            padding={"h": pads[0], "w": pads[1]},
        ),
        library.dims(*x.shape),
        library.bytes(x),
        library.dims(1, height, width, 1),
        library.dims(*nhwc.shape),
        output.pointer,
    )
    np.testing.assert_array_equal(output.read(), from_model(nhwc).ravel())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("side", "sx"), [(2, 0.1), (2, 0.5), (3, 0.45), (5, 0.75431103)])
def test_average_pool_near_ties(library: Library, side: int, sx: float, dtype: Any) -> None:
    """Many sums are ties; under the last scale some are so near to one that the errors of the float sums decide.

    Those errors are large where the values of a window descend: the partial sums then grow before they shrink.
    """
    rng = np.random.default_rng(24)
    x = rng.integers(-128, 128, (2, side**2, 20000))
    x[0] = np.sort(x[0], axis=0)[::-1]
    x = x.reshape(1, 2 * side, side, 20000)
    quantized = {**quantization("x", sx, -1, dtype), **quantization("y", 0.1, 6, dtype)}
    shape = {"kernel_shape": [side, side], "strides": [side, side], "channels_last": 1}
    expected = run_node("QLinearAveragePool", {"x": to_model(x, dtype), **quantized}, dtype, **shape)
    params = requant.average_pool_params(sx, -1, 0.1, 6, side**2, unsigned=dtype == np.uint8)
    geometry = {"stride": {"h": side, "w": side}, "padding": {"h": 0, "w": 0}}
    output = library.output(expected.size)
    library.c.mcugen_average_pool_s8(
        library.params("mcugen_average_pool_params", params, **geometry),
        library.dims(*x.shape),
        library.bytes(x),
        library.dims(1, side, side, 1),
        library.dims(*expected.shape),
        output.pointer,
    )
    np.testing.assert_array_equal(output.read(), from_model(expected).ravel())


def _table_entry(library: Library, multiplier: int, shift: int) -> int:
    """MCUGEN_MULTIPLIER as the header of this build defines it."""
    if not library.fpu or multiplier == 0:
        return multiplier
    return int(np.float32(np.ldexp(multiplier / 2.0**31, shift)).view(np.int32))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7, 7), (25, 5), (64, 64)])
def test_global_average_pool(library: Library, shape: tuple[int, int], dtype: Any) -> None:
    rng = np.random.default_rng(25)
    x = rng.integers(-128, 128, (1, *shape, 21))
    x[..., 1::2] = np.clip(x[..., 1::2], 100, 127)
    pixels = shape[0] * shape[1]
    for sx, zx, sy, zy in [
        (0.1, 0, 0.1, 0),
        (0.0213, -128, 0.0021, 127),
        (0.5, 127, 0.25, -128),
        (1e-3, 4, 2.0, 9),
    ]:
        quantized = {**quantization("x", sx, zx, dtype), **quantization("y", sy, zy, dtype)}
        nhwc = run_node("QLinearGlobalAveragePool", {"x": to_model(x, dtype), **quantized}, dtype, channels_last=1)
        nchw = run_node(
            "QLinearGlobalAveragePool",
            {"x": to_model(x.transpose(0, 3, 1, 2), dtype), **quantized},
            dtype,
            channels_last=0,
        )
        np.testing.assert_array_equal(nhwc.ravel(), nchw.ravel())
        if shape != (1, 1):  # ONNX Runtime computes an average pool over everything in the same way
            pooled = run_node(
                "QLinearAveragePool",
                {"x": to_model(x, dtype), **quantized},
                dtype,
                channels_last=1,
                kernel_shape=list(shape),
            )
            np.testing.assert_array_equal(nhwc, pooled)

        scale = requant.global_average_scale(sx, sy, pixels)
        assert requant.exact_precondition(scale, [-255 * pixels], [255 * pixels])
        parts = requant.split(scale)
        multiplier, shift = int(parts.multiplier[0]), int(parts.shift[0])
        params = library.ffi.new(
            "mcugen_global_average_pool_params *",
            {
                "input_offset": -zx,
                "output_offset": zy,
                "multiplier": _table_entry(library, multiplier, shift),
                "shift": shift,
                "activation": {"min": -128, "max": 127},
            },
        )
        output = library.output(21)
        library.c.mcugen_global_average_pool_s8(params, library.bytes(x), output.pointer, pixels, 21)
        np.testing.assert_array_equal(output.read(), from_model(nhwc).ravel())


# The direct convolution

CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "3x3": {"shape": (1, 6, 5, 4), "filter": (7, 3, 3, 4), "pads": [1, 1, 1, 1]},
    "dilated": {"shape": (2, 9, 8, 3), "filter": (4, 3, 2, 3), "dilations": [2, 3], "pads": [2, 0, 1, 3]},
    "strided": {"shape": (1, 9, 8, 3), "filter": (5, 3, 3, 3), "strides": [2, 3], "pads": [0, 1, 1, 0]},
    "grouped": {"shape": (1, 5, 5, 6), "filter": (9, 3, 3, 2), "group": 3},
    "depthwise": {"shape": (1, 6, 6, 5), "filter": (10, 3, 3, 1), "group": 5, "pads": [1, 1, 1, 1]},
    "fully connected": {"shape": (3, 1, 1, 40), "filter": (11, 1, 1, 40)},
    "wider than the input": {"shape": (1, 2, 2, 2), "filter": (3, 5, 5, 2), "pads": [2, 2, 2, 2]},
}


@pytest.mark.parametrize("dtypes", [(np.int8, np.int8), (np.uint8, np.int8), (np.uint8, np.uint8)])
@pytest.mark.parametrize("kind", ["ordinary", "wrapping", "wide", "dead"])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_direct_convolution(library: Library, case: str, kind: str, dtypes: Any) -> None:
    dtype, filter_dtype = dtypes
    attributes = dict(CONVOLUTIONS[case])
    shape, filter_shape = attributes.pop("shape"), attributes.pop("filter")
    channels = filter_shape[0]
    rng = np.random.default_rng(26)
    x = rng.integers(-128, 128, shape)
    w = rng.integers(-63, 64, filter_shape)  # small: without VNNI, ONNX Runtime's uint8 products saturate
    bias = rng.integers(-9000, 9000, channels)
    if kind == "wrapping":
        bias = np.where(np.arange(channels) % 2, 2**31 - 1, -(2**31))
    zw = 17 if filter_dtype == np.uint8 else 0
    centre = {"ordinary": 2e-3, "wrapping": 4e-8, "wide": 3e4, "dead": 1e-16}[kind]
    sw = (centre * 10.0 ** rng.uniform(-1, 1, channels)).astype(np.float32)
    sw[::4] = 2.0 ** np.rint(np.log2(sw[::4]))
    sx, zx, sy, zy = 0.5, 11, 0.25, -20
    per_channel = filter_dtype == np.int8
    sw = sw if per_channel else sw[:1]
    inputs = {
        "x": to_model(x.transpose(0, 3, 1, 2), dtype),
        **quantization("x", sx, zx, dtype),
        "w": to_model(w.transpose(0, 3, 1, 2), filter_dtype),
        "w_scale": sw if per_channel else sw[0],
        "w_zero_point": to_model(np.full(channels, zw) if per_channel else zw, filter_dtype),
        **quantization("y", sy, zy, dtype),
        "bias": bias.astype(np.int32),
    }
    expected = run_node("QLinearConv", inputs, dtype, domain="", **attributes)

    parts = requant.split(np.broadcast_to(requant.conv_scale(sx, sw, sy), (channels,)))
    pads, strides = attributes.get("pads", [0] * 4), attributes.get("strides", [1, 1])
    dilations = attributes.get("dilations", [1, 1])
    multiplier, shift = (library.array("int32_t", v) for v in (parts.multiplier, parts.shift))
    zero_points = library.array("int32_t", [zw] * channels)
    params = library.ffi.new(
        "mcugen_direct_params *",
        {
            "input_offset": -zx,
            "output_offset": zy,
            "groups": attributes.get("group", 1),
            "stride": {"h": strides[0], "w": strides[1]},
            "padding": {"h": pads[0], "w": pads[1]},
            "dilation": {"h": dilations[0], "w": dilations[1]},
            "activation": {"min": -128, "max": 127},
            "multiplier": multiplier,
            "shift": shift,
            "filter_zero_point": zero_points if zw else library.ffi.NULL,
        },
    )
    n, c, h, width = expected.shape
    output = library.output(expected.size)
    library.c.mcugen_convolve_direct_s8(
        params,
        library.dims(*shape),
        library.bytes(x),
        library.dims(*filter_shape),
        library.bytes(w),
        library.array("int32_t", bias),
        library.dims(n, h, width, c),
        output.pointer,
    )
    np.testing.assert_array_equal(output.read(), from_model(expected).transpose(0, 2, 3, 1).ravel())


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
@pytest.mark.parametrize(
    "core",
    [
        ["-mcpu=cortex-m0", "-mfloat-abi=soft"],
        ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"],
        ["-mcpu=cortex-m55", "-mfloat-abi=hard"],
    ],
    ids=["m0", "m4", "m55"],
)
def test_every_kernel_compiles_for_the_core_without_the_math_library(core: list[str], tmp_path: Path) -> None:
    flags = [*core, "-mthumb", "-O2", "-ffp-contract=off", *WARNINGS, *INCLUDES]
    sources = [str(path) for path in SOURCES if path.stem not in LIBRARY_KERNELS]
    command = ["arm-none-eabi-gcc", *flags, "-r", "-nostdlib", "-o", "kernels.o", *sources]
    subprocess.run(command, check=True, cwd=tmp_path)
    symbols = subprocess.run(
        ["arm-none-eabi-nm", "--undefined-only", "kernels.o"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    ).stdout.split()
    helpers = {name for name in symbols if name != "U" and not name.startswith("__aeabi_")}
    assert not helpers - {"memcpy", "memset"}
