"""Builds a kernel library for the host and calls it on NumPy arrays; the meaning of each call in NumPy.

Every buffer handed to C is a copy between guard bytes, at an odd address where C promises no alignment.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cffi
import numpy as np
from numpy.typing import NDArray

from mcugen import resources
from mcugen.emit.cmsis_sources import BUNDLED, arm_sources

Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]

WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wcast-qual", "-Werror"]
SHIM = Path(__file__).with_name("cmsis_shim.c")
_SHIM_CDEF = """
void requant_many(int32_t *, const int32_t *, int32_t, int32_t, int32_t);
void requant_wide_many(int32_t *, const int32_t *, int32_t, int32_t, int32_t);
void requant_stock_many(int32_t *, const int32_t *, int32_t, int32_t, int32_t);
void requant_library_many(int32_t *, const int32_t *, int32_t, int32_t, int32_t);
int32_t multiplier_entry(int32_t, int32_t);
"""
_GUARD = 64
_GUARD_BYTE = 0x5A


def cmsis_nn_root() -> Path | None:
    """The checkout of Arm's library that the tests may use, if any."""
    root = os.environ.get("CMSIS_NN_ROOT")
    return Path(root) if root else None


def configurations() -> list[str]:
    """library-requantization pairs to test, as build() takes them."""
    libraries = ["bundled", "arm"] if cmsis_nn_root() else ["bundled"]
    return [f"{library}-{requant}" for library in libraries for requant in ("int", "fpu", "stock")]


def declarations() -> str:
    """The types and prototypes of our API headers, as plain C."""
    folder = resources.cmsis() / "Include"
    text = "".join((folder / name).read_text() for name in ("arm_nn_types.h", "arm_nnfunctions.h"))
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"#ifdef __cplusplus.*?#endif", "", text, flags=re.DOTALL)
    return re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)


@dataclass(frozen=True)
class Scale:
    """One float32 requantization scale per channel: mantissa_q31 / 2^31 * 2^shift."""

    mantissa_q31: Int32
    shift: Int32

    @classmethod
    def of(cls, scales: NDArray[np.float32]) -> Scale:
        fraction, exponent = np.frexp(scales.astype(np.float32))
        return cls((fraction.astype(np.float64) * 2.0**31).astype(np.int32), exponent.astype(np.int32))

    def only(self, index: int) -> Scale:
        return Scale(self.mantissa_q31[index : index + 1], self.shift[index : index + 1])

    def floats(self) -> NDArray[np.float32]:
        return np.ldexp(self.mantissa_q31.astype(np.float32), self.shift - 31).astype(np.float32)


def requantize_exact(acc: NDArray[np.int64], scale: Scale) -> NDArray[np.int64]:
    """rne(fl32(fl32(acc) * s)); the last axis is the channel."""
    product = acc.astype(np.int32).astype(np.float32) * scale.floats()
    assert product.dtype == np.float32
    return np.rint(product).astype(np.int64)


def requantize_stock(acc: NDArray[np.int64], scale: Scale) -> NDArray[np.int64]:
    """CMSIS-NN: rounding doubling high multiply (half up), rounding division (half away from zero)."""
    shift = scale.shift.astype(np.int64)
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    high = ((acc << left) * scale.mantissa_q31.astype(np.int64) + (1 << 30)) >> 31
    magnitude = np.where(right > 0, (np.abs(high) + ((1 << right) >> 1)) >> right, np.abs(high))
    return np.sign(high) * magnitude


@dataclass(frozen=True)
class Addition:
    """The parameters of arm_elementwise_add_s8: offsets and Q31 scales of both inputs and of the output."""

    offsets: tuple[int, int]
    scale: Scale
    left_shift: int
    out_offset: int
    clamp: tuple[int, int]

    @classmethod
    def random(cls, rng: np.random.Generator, clamp: tuple[int, int], left_shift: int = 20) -> Addition:
        """Scales as TensorFlow Lite makes them: both inputs on the grid of twice the coarser one.

        Its shift is 20; with 23 values reach the ends of int32.
        """
        first, second, out = np.exp2(rng.uniform(-6, -3, 3))
        grid = 2 * max(first, second)
        offsets = rng.integers(-127, 129, 2)
        scale = Scale.of(np.array([first / grid, second / grid, grid / (2.0**left_shift * out)], np.float32))
        return cls((int(offsets[0]), int(offsets[1])), scale, left_shift, int(rng.integers(-128, 128)), clamp)

    def arguments(self, first: Any, second: Any, output: Any, count: int) -> list[Any]:
        """What the function takes, in its order."""
        (one, two, out), (left, right, last) = self.scale.mantissa_q31.tolist(), self.scale.shift.tolist()
        inputs = [first, second, self.offsets[0], one, left, self.offsets[1], two, right, self.left_shift]
        return [*inputs, output, self.out_offset, out, last, *self.clamp, count]

    def of(self, first: Int8, second: Int8) -> Int8:
        parts = [
            requantize_stock((values.astype(np.int64) + offset) << self.left_shift, self.scale.only(index))
            for index, (values, offset) in enumerate(zip((first, second), self.offsets, strict=True))
        ]
        total = requantize_stock(parts[0] + parts[1], self.scale.only(2)) + self.out_offset
        return np.clip(total, *self.clamp).astype(np.int8)


def _high_product(a: NDArray[np.int64], b: NDArray[np.int64] | int) -> NDArray[np.int64]:
    return (a * b + (1 << 30)) >> 31


def _divided(value: NDArray[np.int64], power: int) -> NDArray[np.int64]:
    return np.sign(value) * ((np.abs(value) + (1 << power >> 1)) >> power)


def _exponential(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """gemmlowp's exp_on_negative_values: Q5.26 to Q0.31."""
    quarter = 1 << 24
    part = (x & (quarter - 1)) - quarter
    y = part * 32 + (1 << 28)
    y2 = _high_product(y, y)
    y4 = _high_product(y2, y2)
    third = _high_product(_divided(y4, 2) + _high_product(y2, y), round(2**31 / 3))
    result = 1895147668 + _high_product(1895147668 + 0 * x, y + _divided(third + y2, 1))
    for bit in range(7):
        factor = round(np.exp(-(2.0 ** (bit - 2))) * 2**31)
        result = np.where((part - x) >> (24 + bit) & 1, _high_product(result, factor), result)
    return np.where(x == 0, 2**31 - 1, result)


def softmax(x: Int8, mult: int, shift: int, diff_min: int) -> Int8:
    """TensorFlow Lite's int8 softmax over the last axis of [rows, values]."""
    output = np.full(x.shape, -128, np.int8)
    for row, values in enumerate(x.astype(np.int64)):
        difference = values - values.max()
        kept = difference >= diff_min
        exponentials = _exponential(_high_product(difference[kept] << shift, mult))
        total = int(_divided(exponentials, 12).sum())
        headroom = 32 - total.bit_length()
        half = (total << headroom) // 2  # of 1 + x, x in [0, 1)
        z = 1515870810 + _high_product(np.array([half]), -1010580540)
        for _ in range(3):
            z += _high_product(z, (1 << 29) - _high_product(np.array([half]), z)) * 4
        scale = np.minimum(z * 2, 2**31 - 1)
        parts = _divided(_high_product(exponentials, scale), 35 - headroom)
        output[row, kept] = np.minimum(parts - 128, 127)
    return output


def transposed_sums(
    x: NDArray[np.int64], weights: Int8, stride: Sequence[int], before: Sequence[int], size: tuple[int, int]
) -> NDArray[np.int64]:
    """[n, h, w, c] by [outputs, kernel h, kernel w, c] to [n, *size, outputs]; before: padding at the top left."""
    n, h, w, _ = x.shape
    outputs, *kernel, _ = weights.shape
    ends = [max(b + s, (i - 1) * t + k) for b, s, i, t, k in zip(before, size, (h, w), stride, kernel, strict=True)]
    acc = np.zeros((n, *ends, outputs), np.int64)
    for i, j in np.ndindex(*kernel):
        rows, columns = (slice(at, at + (m - 1) * s + 1, s) for at, m, s in zip((i, j), (h, w), stride, strict=True))
        acc[:, rows, columns] += x @ weights[:, i, j].astype(np.int64).T
    return acc[:, before[0] : before[0] + size[0], before[1] : before[1] + size[1]]


@dataclass
class _Buffers:
    """Guarded copies of one call's arrays, alive until check()."""

    ffi: cffi.FFI
    rng: np.random.Generator
    raw: list[tuple[NDArray[np.uint8], int, int]] = field(default_factory=list)

    def place(self, array: NDArray[Any]) -> NDArray[Any]:
        offset = _GUARD + (int(self.rng.integers(0, 4)) if array.itemsize == 1 else 0)
        raw = np.full(offset + array.nbytes + _GUARD, _GUARD_BYTE, dtype=np.uint8)
        inside = raw[offset : offset + array.nbytes].view(array.dtype)
        inside[:] = array.ravel()
        self.raw.append((raw, offset, array.nbytes))
        return inside.reshape(array.shape)

    def pointer(self, array: NDArray[Any] | None, kind: str) -> Any:
        return self.ffi.NULL if array is None else self.ffi.cast(kind, array.ctypes.data)

    def check(self) -> None:
        for raw, offset, size in self.raw:
            outside = np.concatenate([raw[:offset], raw[offset + size :]])
            assert (outside == _GUARD_BYTE).all(), "written out of bounds"


@dataclass(frozen=True)
class Library:
    """One built library. requant is int, fpu or stock."""

    arm: bool
    requant: str
    ffi: cffi.FFI
    lib: Any

    def requantize(self, acc: NDArray[np.int64], scale: Scale) -> NDArray[np.int64]:
        return (requantize_stock if self.requant == "stock" else requantize_exact)(acc, scale)

    def requant_many(self, function: str, acc: Int32, mantissa_q31: int, shift: int) -> Int32:
        result = np.empty_like(acc)
        pointers = [self.ffi.cast("int32_t *", array.ctypes.data) for array in (result, acc)]
        getattr(self.lib, function)(*pointers, acc.size, mantissa_q31, shift)
        return result

    def table(self, scale: Scale) -> Int32:
        pairs = zip(scale.mantissa_q31.tolist(), scale.shift.tolist(), strict=True)
        return np.array([self.lib.multiplier_entry(m, s) for m, s in pairs], dtype=np.int32)

    def dims(self, *nhwc: int) -> Any:
        return self.ffi.new("cmsis_nn_dims *", list(nhwc))

    def weighted(
        self,
        function: str,
        params: Any,
        x: Int8,
        weights: Int8,
        bias: Int32 | None,
        scale: Scale,
        shapes: Sequence[Any],
        out_shape: tuple[int, ...],
        scratch_bytes: Sequence[int],
        quant_type: str = "cmsis_nn_per_channel_quant_params",
    ) -> Int8:
        """Calls a convolution, fully connected or matmul function, with a context of each size in scratch_bytes.

        shapes = input, filter, bias, output dims; without the bias for functions that take none.
        """
        ffi, buffers = self.ffi, _Buffers(self.ffi, np.random.default_rng(x.size))
        table, shift = buffers.place(self.table(scale)), buffers.place(scale.shift)
        if quant_type == "cmsis_nn_per_tensor_quant_params":
            quant = ffi.new(f"{quant_type} *", [int(table[0]), int(shift[0])])
        else:
            entries = [buffers.pointer(table, "int32_t *"), buffers.pointer(shift, "int32_t *")]
            if quant_type == "cmsis_nn_quant_params":
                entries.append(int(scale.shift.size > 1))
            quant = ffi.new(f"{quant_type} *", entries)
        contexts = []
        for size in scratch_bytes:
            scratch = buffers.place(np.zeros(size // 4 + 1, np.int32)) if size else None
            contexts.append(ffi.new("cmsis_nn_context *", [buffers.pointer(scratch, "void *"), size]))
        held = None if bias is None else buffers.place(bias)
        output = buffers.place(np.zeros(out_shape, np.int8))
        data = [buffers.pointer(buffers.place(array), "int8_t *") for array in (x, weights)]
        data += [buffers.pointer(held, "int32_t *")] * (len(shapes) == 4)
        data.append(buffers.pointer(output, "int8_t *"))
        pairs = [value for pair in zip(shapes, data, strict=True) for value in pair]
        status = getattr(self.lib, function)(*contexts, params, quant, *pairs)
        assert status == 0
        buffers.check()
        return output.copy()

    def plain(self, function: str, x: Int8, output: Int8, *args: Any, other: Int8 | None = None) -> Int8:
        """Calls function(*args) with INPUT, OTHER and OUTPUT replaced by guarded copies of x, other and output."""
        buffers = _Buffers(self.ffi, np.random.default_rng(x.size))
        places = {INPUT: buffers.place(x), OUTPUT: buffers.place(output)}
        if other is not None:
            places[OTHER] = buffers.place(other)
        placed = [buffers.pointer(places[arg], "int8_t *") if isinstance(arg, str) else arg for arg in args]
        status = getattr(self.lib, function)(*placed)
        assert status in (0, None)
        buffers.check()
        return places[OUTPUT].copy()


INPUT, OTHER, OUTPUT = "input", "other", "output"


def build(configuration: str, folder: Path) -> Library:
    """Compiles the library named by configurations() into folder and loads it."""
    library, requant = configuration.split("-")
    cmsis = resources.cmsis()
    common = ["-O2", "-g", "-fPIC", "-ffp-contract=off", f"-I{cmsis / 'exact'}"]
    common += [
        f"-DMCUGEN_REQUANT_STOCK={int(requant == 'stock')}",
        f"-DMCUGEN_REQUANT_FPU={int(requant == 'fpu')}",
    ]
    root = cmsis_nn_root()
    if library == "bundled":
        common += [f"-I{cmsis / 'Include'}", *WARNINGS, "-fsanitize=undefined", "-fno-sanitize-recover=all"]
        sources = [(cmsis / "Source" / name, False) for name in sorted(set(BUNDLED.values()))]
    else:
        assert root is not None
        common += [f"-I{root / 'Include'}"]
        sources = [(source.path, source.exact_override) for source in arm_sources(root)]
    override = ["-include", "cmsis_nn_override.h"] if requant != "stock" else []
    groups = {
        "plain": ([SHIM, *(path for path, exact in sources if not exact)], []),
        "exact": ([path for path, exact in sources if exact], override),
    }
    objects: list[Path] = []
    for group, (paths, flags) in groups.items():
        (folder / group).mkdir()
        if paths:
            subprocess.run(["gcc", *common, *flags, "-c", *map(str, paths)], cwd=folder / group, check=True)
        objects += sorted((folder / group).glob("*.o"))
    target = folder / "kernels.so"
    sanitizer = ["-fsanitize=undefined"] if library == "bundled" else []
    subprocess.run(["gcc", "-shared", *sanitizer, *map(str, objects), "-o", str(target)], check=True)
    ffi = cffi.FFI()
    ffi.cdef(declarations() + _SHIM_CDEF)
    return Library(library == "arm", requant, ffi, ffi.dlopen(str(target)))
