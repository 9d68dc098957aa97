"""Every call of the CMSIS-NN boundary against its definition in NumPy, byte for byte.

The library is the bundled one, and Arm's too where CMSIS_NN_ROOT names a checkout.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from cmsis_library import INPUT, OTHER, OUTPUT, Addition, Int8, Int32, Library, Scale, softmax, transposed_sums

Rng = np.random.Generator


def int8(rng: Rng, *shape: int) -> Int8:
    return rng.integers(-128, 128, shape).astype(np.int8)


def random_scale(rng: Rng, acc: np.ndarray, channels: int) -> Scale:
    """Scales that spread acc (last axis: channels) a little beyond 8 bits; one channel may be dead (0)."""
    reach = np.abs(acc).reshape(-1, channels).max(axis=0) + 1.0
    scales = np.exp2(rng.uniform(5, 8.5, channels)) / reach
    if channels > 2 and rng.random() < 0.3:
        scales[rng.integers(channels)] = 0
    return Scale.of(np.minimum(scales, 8.0).astype(np.float32))


def finish(library: Library, acc: np.ndarray, scale: Scale, offset: int, clamp: tuple[int, int]) -> Int8:
    return np.clip(library.requantize(acc, scale) + offset, *clamp).astype(np.int8)


def random_clamp(rng: Rng) -> tuple[int, int]:
    return (-128, 127) if rng.random() < 0.5 else (int(rng.integers(-128, 0)), int(rng.integers(0, 128)))


@dataclass(frozen=True)
class Window:
    """Geometry along (h, w): sizes, and pads before and after."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]

    @classmethod
    def random(cls, rng: Rng, kernel: tuple[int, int], *, stride: int, dilation: int) -> Window:
        spans = [int(rng.integers(1, dilation + 1)) for _ in kernel]
        reaches = [(k - 1) * d for k, d in zip(kernel, spans, strict=True)]
        pads = [[int(rng.integers(0, reach + 1)) for reach in reaches] for _ in range(2)]
        strides = [int(rng.integers(1, stride + 1)) for _ in kernel]
        return cls(kernel, *(tuple(pair) for pair in (strides, spans, *pads)))  # type: ignore[arg-type]

    def size(self, axis: int, size: int) -> int:
        reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1
        return (size + self.before[axis] + self.after[axis] - reach) // self.stride[axis] + 1

    def taps(self, x: np.ndarray, fill: int) -> np.ndarray:
        """[n, h, w, c] -> [n, out h, out w, kernel h, kernel w, c], `fill` outside x."""
        n, h, w, c = x.shape
        pads = ((0, 0), (self.before[0], self.after[0]), (self.before[1], self.after[1]), (0, 0))
        padded = np.pad(x, pads, constant_values=fill)
        out = np.empty((n, self.size(0, h), self.size(1, w), *self.kernel, c), x.dtype)
        for ky in range(self.kernel[0]):
            for kx in range(self.kernel[1]):
                y0, x0 = ky * self.dilation[0], kx * self.dilation[1]
                rows = padded[:, y0 :: self.stride[0], x0 :: self.stride[1]]
                out[:, :, :, ky, kx] = rows[:, : out.shape[1], : out.shape[2]]
        return out

    def tiles(self) -> list[list[int]]:
        """stride, padding, dilation as cmsis_nn_tile: w before h."""
        return [list(reversed(pair)) for pair in (self.stride, self.before, self.dilation)]


def small_kernel(rng: Rng, case: int) -> tuple[int, int]:
    row, anything = (1, int(rng.integers(2, 6))), (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    return [(1, 1), row, (3, 3), anything][case % 4]


def conv_call(
    library: Library,
    rng: Rng,
    window: Window,
    x: Int8,
    weights: Int8,
    depthwise: int = 0,
    zero: int | None = None,
) -> tuple[Int8, Int8]:
    """(What C computed, what it should be). depthwise = channel multiplier; 0 = dense or grouped."""
    n, h, w, c = x.shape
    zero_x = int(rng.integers(-128, 128)) if zero is None else zero
    taps = window.taps(x.astype(np.int64) - zero_x, 0)
    if depthwise:
        outputs = weights.shape[3]
        acc = np.einsum("nyxijo,ijo->nyxo", taps.repeat(depthwise, axis=5), weights[0].astype(np.int64))
    else:
        outputs, groups = weights.shape[0], c // weights.shape[3]
        inputs, filters = np.split(taps, groups, axis=5), np.split(weights.astype(np.int64), groups)
        parts = zip(inputs, filters, strict=True)
        acc = np.concatenate([np.einsum("nyxijc,oijc->nyxo", *part) for part in parts], axis=3)
    bias: Int32 | None = rng.integers(-3000, 3000, outputs).astype(np.int32)
    grouped = not depthwise and c != weights.shape[3]
    if rng.random() < 0.2 and not (library.arm and grouped):  # Arm's grouped convolution needs a bias
        bias = None
    acc = acc + (0 if bias is None else bias)
    scale, offset, clamp = random_scale(rng, acc, outputs), int(rng.integers(-128, 128)), random_clamp(rng)

    kind = "cmsis_nn_dw_conv_params" if depthwise else "cmsis_nn_conv_params"
    name = "arm_depthwise_conv_wrapper_s8" if depthwise else "arm_convolve_wrapper_s8"
    multiplier = [depthwise] if depthwise else []
    params = library.ffi.new(f"{kind} *", [-zero_x, offset, *multiplier, *window.tiles(), list(clamp)])
    shapes = [
        library.dims(n, h, w, c), library.dims(*weights.shape),
        library.dims(1, 1, 1, outputs), library.dims(*acc.shape),
    ]  # fmt: skip
    size = getattr(library.lib, f"{name}_get_buffer_size")(params, shapes[0], shapes[1], shapes[3])
    assert library.arm or size == 0
    got = library.weighted(name, params, x, weights, bias, scale, shapes, acc.shape, [size])
    return got, finish(library, acc, scale, offset, clamp)


@pytest.mark.parametrize("case", range(48))
def test_convolution(library: Library, case: int) -> None:
    rng = np.random.default_rng(100 + case)
    kernel = small_kernel(rng, case)
    window = Window.random(rng, kernel, stride=3, dilation=1 if case % 3 else 3)
    groups = int(rng.choice([1, 1, 2, 3])) if case % 4 > 1 else 1
    group_in, group_out = int(rng.integers(1, 21)), int(rng.integers(1, 10))
    x = int8(rng, int(rng.integers(1, 3)), *(int(v) for v in rng.integers(13, 18, 2)), groups * group_in)
    got, want = conv_call(library, rng, window, x, int8(rng, groups * group_out, *kernel, group_in))
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("case", range(48))
def test_depthwise(library: Library, case: int) -> None:
    rng = np.random.default_rng(200 + case)
    kernel = small_kernel(rng, case)
    window = Window.random(rng, kernel, stride=3, dilation=1 if case % 3 else 3)
    multiplier = int(rng.choice([1, 1, 1, 2, 4, 8, 9]))
    channels = int(rng.integers(1, 15))
    x = int8(rng, int(rng.integers(1, 3)), *(int(v) for v in rng.integers(13, 18, 2)), channels)
    weights = int8(rng, 1, *kernel, channels * multiplier)
    got, want = conv_call(library, rng, window, x, weights, depthwise=multiplier)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("depthwise", [0, 1, 2])
def test_windows_wholly_inside_the_padding(library: Library, depthwise: int) -> None:
    if library.arm:
        pytest.skip("not promised by Arm's library")
    rng = np.random.default_rng(300)
    window = Window(kernel=(2, 2), stride=(1, 1), dilation=(2, 1), before=(4, 3), after=(5, 6))
    x = int8(rng, 1, 2, 3, 5)
    weights = int8(rng, 1, 2, 2, 5 * depthwise) if depthwise else int8(rng, 6, 2, 2, 5)
    got, want = conv_call(library, rng, window, x, weights, depthwise)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("depthwise", [0, 1])
@pytest.mark.parametrize("zero", [-128, 127])
def test_extreme_values(library: Library, depthwise: int, zero: int) -> None:
    rng = np.random.default_rng(400)
    window = Window(kernel=(3, 3), stride=(1, 1), dilation=(1, 1), before=(1, 1), after=(1, 1))
    x = np.full((1, 5, 5, 24), -1 - zero, np.int8)
    weights = np.full((1, 3, 3, 24) if depthwise else (7, 3, 3, 24), -128, np.int8)
    got, want = conv_call(library, rng, window, x, weights, depthwise, zero)
    np.testing.assert_array_equal(got, want)


def test_groups_that_do_not_divide_are_refused(library: Library) -> None:
    dims = [library.dims(*nhwc) for nhwc in ((1, 4, 4, 6), (4, 1, 1, 4), (1, 1, 1, 4), (1, 4, 4, 4))]
    tile = [1, 1]
    params = library.ffi.new("cmsis_nn_conv_params *", [0, 0, tile, [0, 0], tile, [-128, 127]])
    quant = library.ffi.new("cmsis_nn_per_channel_quant_params *")
    ctx = library.ffi.new("cmsis_nn_context *")
    null = library.ffi.NULL
    call = library.lib.arm_convolve_wrapper_s8
    assert call(ctx, params, quant, dims[0], null, dims[1], null, dims[2], null, dims[3], null) == -1


@pytest.mark.parametrize("case", range(30))
@pytest.mark.parametrize("name", ["s8", "per_channel_s8", "wrapper_s8"])
def test_fully_connected(library: Library, name: str, case: int) -> None:
    rng = np.random.default_rng(500 + case)
    batches, inputs, outputs = (int(rng.integers(1, high)) for high in (4, 70, 14))
    zero_x, offset = (int(rng.integers(-127, 128)) for _ in range(2))
    zero_w = int(rng.integers(-127, 128)) if case % 3 == 0 else 0
    x, weights = int8(rng, batches, inputs), int8(rng, outputs, inputs)
    bias: Int32 | None = None if case % 5 == 0 else rng.integers(-3000, 3000, outputs).astype(np.int32)
    acc = (x.astype(np.int64) - zero_x) @ (weights.astype(np.int64) - zero_w).T
    acc = acc + (0 if bias is None else bias)
    scale, clamp = random_scale(rng, acc, outputs), random_clamp(rng)
    if name == "s8" or (name == "wrapper_s8" and case % 2):
        scale = random_scale(rng, acc.ravel(), 1)
    quant = {"s8": "per_tensor_", "per_channel_s8": "per_channel_", "wrapper_s8": ""}[name]

    params = library.ffi.new("cmsis_nn_fc_params *", [-zero_x, -zero_w, offset, list(clamp)])
    shapes = [
        library.dims(batches, 1, 1, inputs), library.dims(inputs, 1, 1, outputs),
        library.dims(1, 1, 1, outputs), library.dims(batches, 1, 1, outputs),
    ]  # fmt: skip
    size = library.lib.arm_fully_connected_s8_get_buffer_size(shapes[1])
    assert size == 0
    got = library.weighted(
        f"arm_fully_connected_{name}", params, x, weights, bias, scale, shapes, acc.shape, [size],
        quant_type=f"cmsis_nn_{quant}quant_params",
    )  # fmt: skip
    np.testing.assert_array_equal(got, finish(library, acc, scale, offset, clamp))


@pytest.mark.parametrize("with_bias", [False, True])
def test_vector_sum(library: Library, with_bias: bool) -> None:
    rng = np.random.default_rng(600)
    weights, bias = int8(rng, 13, 37), rng.integers(-9999, 9999, 13).astype(np.int32)
    sums = np.full(13 + 1, 77, np.int32)
    cast = library.ffi.cast
    status = library.lib.arm_vector_sum_s8(
        cast("int32_t *", sums.ctypes.data), 37, 13, cast("int8_t *", weights.ctypes.data), -55, 12,
        cast("int32_t *", bias.ctypes.data) if with_bias else library.ffi.NULL,
    )  # fmt: skip
    assert status == 0
    want = -55 * (weights.astype(np.int64) + 12).sum(axis=1) + (bias if with_bias else 0)
    np.testing.assert_array_equal(sums, [*want, 77])


@pytest.mark.parametrize("case", range(20))
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_pooling(library: Library, kind: str, case: int) -> None:
    rng = np.random.default_rng(700 + case)
    kernel = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    window = Window.random(rng, kernel, stride=3, dilation=1)
    x = int8(rng, int(rng.integers(1, 3)), *(int(v) for v in rng.integers(5, 9, 2)), int(rng.integers(1, 21)))
    clamp = random_clamp(rng)
    if kind == "max":
        pooled = window.taps(x.astype(np.int64), -1000).max(axis=(3, 4))
    else:
        total = window.taps(x.astype(np.int64), 0).sum(axis=(3, 4))
        count = window.taps(np.ones_like(x, np.int64), 0).sum(axis=(3, 4))
        pooled = np.sign(total) * ((np.abs(total) + count // 2) // count)
    stride, padding, _ = window.tiles()
    params = library.ffi.new("cmsis_nn_pool_params *", [stride, padding, list(clamp)])
    dims = library.dims(*x.shape), library.dims(1, *kernel, 1), library.dims(*pooled.shape)
    function = {"max": "arm_max_pool_s8", "avg": "arm_avgpool_s8"}[kind]
    ctx, output = library.ffi.new("cmsis_nn_context *"), np.zeros(pooled.shape, np.int8)
    got = library.plain(function, x, output, ctx, params, dims[0], INPUT, dims[1], dims[2], OUTPUT)
    np.testing.assert_array_equal(got, np.clip(pooled, *clamp).astype(np.int8))


@pytest.mark.parametrize("axis", "xyzw")
def test_concatenation(library: Library, axis: str) -> None:
    rng = np.random.default_rng(800)
    numpy_axis = "wzyx".index(axis)
    shapes = [[2, 3, 4, 5] for _ in range(3)]
    for shape, size in zip(shapes, (1, 7, 2), strict=True):
        shape[numpy_axis] = size
    parts = [int8(rng, *shape) for shape in shapes]
    want = np.concatenate(parts, axis=numpy_axis)
    got, offset = np.zeros_like(want), 0
    for part in parts:
        w, z, y, x = part.shape
        total = [want.shape[numpy_axis]] if axis != "w" else []
        function = f"arm_concatenation_s8_{axis}"
        got = library.plain(function, part, got, INPUT, x, y, z, w, OUTPUT, *total, offset)
        offset += part.shape[numpy_axis]
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("case", range(8))
def test_padding(library: Library, case: int) -> None:
    rng = np.random.default_rng(900 + case)
    x = int8(rng, *(int(v) for v in rng.integers(1, 5, 4)))
    before, after = (rng.integers(0, 3, 4).tolist() for _ in range(2))
    if case % 2:
        before[3] = after[3] = 0
    want = np.pad(x, list(zip(before, after, strict=True)), constant_values=-77)
    dims = [library.dims(*values) for values in (x.shape, before, after)]
    got = library.plain("arm_pad_s8", x, np.zeros_like(want), INPUT, OUTPUT, -77, *dims)
    np.testing.assert_array_equal(got, want)


PERMUTATIONS = [p for axes in (1, 3, 4) for p in itertools.permutations(range(axes))] + [(1, 0)]


@pytest.mark.parametrize("permutation", PERMUTATIONS, ids=str)
def test_transposition(library: Library, permutation: tuple[int, ...]) -> None:
    axes = len(permutation)
    x = int8(np.random.default_rng(1000), *(3, 4, 5, 6)[:axes])
    want = np.transpose(x, permutation)
    order = library.ffi.new("uint32_t[]", list(permutation))
    params = library.ffi.new("cmsis_nn_transpose_params *", [axes, order])
    dims = [library.dims(*array.shape, *[1] * (4 - axes)) for array in (x, want)]
    got = library.plain("arm_transpose_s8", x, np.zeros_like(want), INPUT, OUTPUT, *dims, params)
    np.testing.assert_array_equal(got.reshape(want.shape), want)


def test_a_permutation_out_of_range_is_refused(library: Library) -> None:
    order = library.ffi.new("uint32_t[]", [0, 1, 3])
    params = library.ffi.new("cmsis_nn_transpose_params *", [3, order])
    dims = library.dims(1, 1, 1, 1)
    assert library.lib.arm_transpose_s8(library.ffi.NULL, library.ffi.NULL, dims, dims, params) == -1


@pytest.mark.parametrize("case", range(20))
def test_addition(library: Library, case: int) -> None:
    rng = np.random.default_rng(1100 + case)
    first, second = int8(rng, 2, 1 + case if case < 18 else 4000)
    addition = Addition.random(rng, random_clamp(rng), left_shift=(20, 22, 23)[case % 3])
    args = addition.arguments(INPUT, OTHER, OUTPUT, first.size)
    got = library.plain("arm_elementwise_add_s8", first, np.zeros_like(first), *args, other=second)
    np.testing.assert_array_equal(got, addition.of(first, second))


@pytest.mark.parametrize("case", range(20))
def test_multiplication(library: Library, case: int) -> None:
    rng = np.random.default_rng(1200 + case)
    first, second = int8(rng, 2, 1 + case if case < 18 else 4000)
    offsets, offset, clamp = rng.integers(-127, 129, 2).tolist(), int(rng.integers(-128, 128)), random_clamp(rng)
    product = (first.astype(np.int64) + offsets[0]) * (second.astype(np.int64) + offsets[1])
    scale = random_scale(rng, product, 1)
    args = (*offsets, OUTPUT, offset, int(library.table(scale)[0]), int(scale.shift[0]), *clamp, first.size)
    got = library.plain(
        "arm_elementwise_mul_s8", first, np.zeros_like(first), INPUT, OTHER, *args, other=second
    )  # fmt: skip
    np.testing.assert_array_equal(got, finish(library, product[:, None], scale, offset, clamp)[:, 0])


BROADCASTS = [
    *(((1, 1, 1, c), (1, 1, 1, c)) for c in (1, 3, 4, 21)),
    *(((2, 3, 4, 5), second) for second in [(1, 1, 1, 1), (1, 1, 1, 5), (2, 3, 4, 1), (2, 3, 4, 5)]),
    *(((2, 3, 4, 5), second) for second in [(1, 3, 1, 5), (2, 1, 4, 1), (2, 1, 1, 5), (1, 1, 4, 5)]),
    ((2, 1, 4, 1), (1, 3, 1, 5)),
    ((1, 3, 4, 5), (2, 1, 1, 1)),
    ((2, 3, 4, 1), (1, 1, 1, 17)),
    ((3, 1, 1, 1), (3, 1, 1, 17)),
]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("shapes", BROADCASTS, ids=str)
@pytest.mark.parametrize("name", ["minimum", "maximum"])
def test_the_smaller_and_the_larger(
    library: Library, name: str, shapes: tuple[tuple[int, ...], ...], swapped: bool
) -> None:
    rng = np.random.default_rng(1300)
    first, second = (int8(rng, *shape) for shape in (reversed(shapes) if swapped else shapes))
    want = getattr(np, name)(first, second)
    one, two, to = (library.dims(*array.shape) for array in (first, second, want))
    ctx = library.ffi.new("cmsis_nn_context *")
    args = ctx, INPUT, one, OTHER, two, OUTPUT, to
    got = library.plain(f"arm_{name}_s8", first, np.zeros_like(want), *args, other=second)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("output", [(1, 2, 3, 4), (1, 2, 1, 3), (1, 2, 2, 4)], ids=str)
def test_shapes_that_do_not_broadcast_are_refused(library: Library, output: tuple[int, ...]) -> None:
    if library.arm:
        pytest.skip("not promised by Arm's library")
    null, ctx = library.ffi.NULL, library.ffi.new("cmsis_nn_context *")
    one, two, to = (library.dims(*shape) for shape in ((1, 2, 1, 4), (1, 2, 1, 1), output))
    for function in (library.lib.arm_minimum_s8, library.lib.arm_maximum_s8):
        assert function(ctx, null, one, null, two, null, to) == -1


@pytest.mark.parametrize("case", range(24))
def test_softmax(library: Library, case: int) -> None:
    rng = np.random.default_rng(1400 + case)
    rows, size = int(rng.integers(1, 5)), int(rng.integers(1, 40)) if case % 8 else 511
    x = int8(rng, rows, size) if case % 3 else np.full((rows, size), case, np.int8)
    real = float(np.exp2(rng.uniform(-10, 0)))  # the input's scale times beta
    fraction, exponent = np.frexp(real * 2.0**26)
    mult, shift = int(fraction * 2**31), int(exponent)
    diff_min = -int(31 * 2.0 ** (26 - shift)) if case % 4 else -20
    got = library.plain("arm_softmax_s8", x, np.zeros_like(x), INPUT, rows, size, mult, shift, diff_min, OUTPUT)
    np.testing.assert_array_equal(got, softmax(x, mult, shift, diff_min))


MATRICES = [  # n and h of the left and of the right matrices
    *(((n, h), (n, h)) for n, h in [(1, 1), (1, 3), (3, 1), (2, 3)]),
    *(((2, 3), right) for right in [(1, 1), (1, 3), (2, 1)]),
    *((left, (2, 3)) for left in [(1, 1), (1, 3), (2, 1)]),
]


@pytest.mark.parametrize("batches", MATRICES, ids=str)
@pytest.mark.parametrize("case", range(4))
def test_batch_matmul(library: Library, batches: tuple[tuple[int, int], tuple[int, int]], case: int) -> None:
    rng = np.random.default_rng(1500 + case)
    rows, columns, depth = (int(rng.integers(1, high)) for high in (6, 14, 70))
    zero_x, offset = (int(rng.integers(-127, 128)) for _ in range(2))
    zero_w = int(rng.integers(-127, 128)) if case % 2 else 0
    left, right = int8(rng, *batches[0], rows, depth), int8(rng, *batches[1], columns, depth)
    acc = (left.astype(np.int64) - zero_x) @ (right.astype(np.int64) - zero_w).swapaxes(2, 3)
    scale, clamp = random_scale(rng, acc.ravel(), 1), random_clamp(rng)
    fully_connected = [-zero_x, -zero_w, offset, list(clamp)]
    params = library.ffi.new("cmsis_nn_bmm_params *", [False, False, fully_connected])
    shapes = [library.dims(*array.shape) for array in (left, right, acc)]
    size = library.lib.arm_fully_connected_s8_get_buffer_size(shapes[1])
    got = library.weighted(
        "arm_batch_matmul_s8", params, left, right, None, scale, shapes, acc.shape, [size],
        quant_type="cmsis_nn_per_tensor_quant_params",
    )  # fmt: skip
    want = finish(library, acc.reshape(-1, 1), scale, offset, clamp).reshape(acc.shape)
    np.testing.assert_array_equal(got, want)


def test_matrices_of_different_depth_are_refused(library: Library) -> None:
    if library.arm:
        pytest.skip("not promised by Arm's library")
    dims, null = [library.dims(1, 1, 2, size) for size in (3, 4, 2)], library.ffi.NULL
    call = library.lib.arm_batch_matmul_s8
    assert call(null, null, null, dims[0], null, dims[1], null, dims[2], null) == -1


@pytest.mark.parametrize("case", range(32))
@pytest.mark.parametrize("name", ["s8", "wrapper_s8"])
def test_transposed_convolution(library: Library, name: str, case: int) -> None:
    rng = np.random.default_rng(1600 + case)
    kernel, stride = rng.integers(1, 6, 2).tolist(), rng.integers(1, 4, 2).tolist()
    n, h, w = int(rng.integers(1, 3)), *rng.integers(1, 6, 2).tolist()
    channels, outputs = int(rng.integers(1, 21)), int(rng.integers(1, 10))
    before = [int(rng.integers(0, size)) for size in kernel]
    full = [(size - 1) * s + k for size, s, k in zip((h, w), stride, kernel, strict=True)]
    served = [(size - 1) * s + max(k, s) for size, s, k in zip((h, w), stride, kernel, strict=True)]
    height, width = (max(1, f - b - int(rng.integers(-2, b + 2))) for f, b in zip(full, before, strict=True))
    if case % 2:  # as many output pixels as input pixels and strides, as "same" padding has them
        before = [max(k - s, 0) // 2 for k, s in zip(kernel, stride, strict=True)]
        height, width = h * stride[0], w * stride[1]
    flushed = h * stride[0]  # rows that Arm's kernel writes for the input rows, but for the padding
    rows, columns = height + before[0], width + before[1]
    if library.arm and not (before[0] <= flushed <= rows <= served[0] and columns <= served[1]):
        pytest.skip("not promised by Arm's library")
    x, weights = int8(rng, n, h, w, channels), int8(rng, outputs, *kernel, channels)
    zero_x, offset, clamp = int(rng.integers(-127, 128)), int(rng.integers(-128, 128)), random_clamp(rng)
    bias: Int32 | None = None if case % 5 == 0 else rng.integers(-3000, 3000, outputs).astype(np.int32)

    acc = transposed_sums(x.astype(np.int64) - zero_x, weights, stride, before, (height, width))
    acc = acc + (0 if bias is None else bias)
    scale = random_scale(rng, acc, outputs)

    tiles = [list(reversed(pair)) for pair in (stride, before)]
    params = library.ffi.new("cmsis_nn_transpose_conv_params *", [-zero_x, offset, *tiles, [0, 0], [1, 1], list(clamp)])
    shapes = [
        library.dims(*x.shape), library.dims(*weights.shape),
        library.dims(1, 1, 1, outputs), library.dims(*acc.shape),
    ]  # fmt: skip
    sizes = [
        library.lib.arm_transpose_conv_s8_get_buffer_size(params, shapes[0], shapes[1], shapes[3]),
        library.lib.arm_transpose_conv_s8_get_reverse_conv_buffer_size(params, shapes[0], shapes[1]),
    ]
    assert library.arm or sizes == [0, 0]
    if library.arm:  # its size is the wrapper's, and takes the stride along the wrong axis
        sizes[0] = max(sizes[0], 4 * outputs * max(kernel[0], stride[0]) * served[1])
    got = library.weighted(f"arm_transpose_conv_{name}", params, x, weights, bias, scale, shapes, acc.shape, sizes)
    np.testing.assert_array_equal(got, finish(library, acc, scale, offset, clamp))
