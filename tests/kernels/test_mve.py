"""The Helium kernels on an emulated Cortex-M55 against their definition in NumPy: same bytes, nothing written beside;
those that also have a path for SMLAD cores on a Cortex-M4 too.

The specialised ones also run their portable path on the host: a project for this core is built for others too.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from board_calls import CMSIS, INCLUDES, KERNELS, LAYERS, WARNINGS, Calls, dims, on_board, table
from cmsis_library import Addition, Scale, requantize_exact, softmax, transposed_sums
from specialised_program import Case, Problem, extreme, problem, program

from mcugen.ops.specialised import call
from mcugen.step import Table

TRAPS = ["-fsanitize=undefined,address", "-fno-sanitize-recover=all"]


@pytest.mark.parametrize("fpu", [0, 1])
def test_portable_path(fpu: int, tmp_path: Path) -> None:
    source, binary = tmp_path / "cases.c", tmp_path / "cases"
    source.write_text(program("mve", PROBLEMS))
    flags = ["-std=c99", "-O1", "-ffp-contract=off", f"-DMCUGEN_REQUANT_FPU={fpu}"]
    command = [
        "gcc",
        *flags,
        *WARNINGS,
        *TRAPS,
        *(f"-I{path}" for path in INCLUDES),
        str(source),
        "-lm",
        "-o",
        str(binary),
    ]
    subprocess.run(command, check=True)
    done = subprocess.run([binary], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def ties(case: Case, lowered: int) -> Problem:
    """A layer of zero weights whose sums, the biases, lie where the float roundings decide: at ties and beside them.

    Every other scale has few bits, so that there are exact ties. All are 2^lowered smaller than the case's: sums then
    exceed 24 bits, and neighbours of ties are as near as ties.
    """
    random = problem(case)
    multiplier = random.layer.channels.multiplier
    assert multiplier.requant_shift is not None
    mantissa = multiplier.data.copy()
    mantissa[::2] &= -(1 << 27)
    scale = Scale(mantissa, (multiplier.requant_shift - lowered).astype(np.int32))
    chance = np.random.default_rng(lowered)
    odd = mantissa >> 27
    odd = np.where(np.arange(case.outputs) % 2 == 0, odd // (odd & -odd), 1)
    halves = odd * (2 * chance.integers(-128 // odd, 128 // odd) + 1) / 2
    near = np.rint(halves / scale.floats().astype(np.float64))
    bias = np.where(np.abs(near) < 2.0**30, near, 0).astype(np.int32)
    bias += chance.integers(-1, 2, case.outputs).astype(np.int32)
    channels = replace(
        random.layer.channels,
        multiplier=Table("multiplier", mantissa, scale.shift),
        shift=Table("shift", scale.shift),
        bias=bias,
    )
    layer = replace(random.layer, weights=np.zeros_like(random.layer.weights), channels=channels)
    fixed = bias.astype(np.int64) * mantissa >> (15 - scale.shift)
    assert np.count_nonzero(np.abs((fixed & 0xFFFF) - 0x8000) <= 2) > case.outputs // 8
    y = np.clip(requantize_exact(bias.astype(np.int64), scale) + case.zeros[1], *case.clamp)
    return Problem(case, layer, random.input, np.broadcast_to(y.astype(np.int8), layer.y_shape))


TIED = [
    *(Case(channels=8, outputs=80, kernel=(1, 1), spread=spread) for spread in (0, 3, 11)),
    *(Case(channels=32, outputs=80, kernel=(1, 1), input_hw=(1, 1), spread=spread) for spread in (0, 3, 11)),
    *(Case(channels=80, outputs=80, depthwise=True, pads=(1, 1, 1, 1), spread=spread) for spread in (0, 3, 11)),
    *(Case(channels=6, outputs=6, depthwise=True, spread=spread) for spread in (0, 9)),
]
TIES = [ties(case, lowered) for case in TIED for lowered in (0, 9)]
PROBLEMS = [
    *map(problem, LAYERS),
    *(extreme(Case(channels=c, outputs=c, depthwise=True, zeros=(0, 3))) for c in (4, 16, 20)),
]


def test_both_layouts_of_depthwise_weights_are_among_the_cases() -> None:
    calls = [call("mve", p.layer) for p in PROBLEMS if p.case.depthwise]
    assert {found.fields["unroll"] for found in calls if found is not None} == {1, 2}


@pytest.mark.parametrize("optimize", ["-O2", pytest.param("-Os", marks=pytest.mark.slow)])
def test_layers(optimize: str, tmp_path: Path) -> None:
    on_board("cortex-m55", program("mve", [*PROBLEMS, *TIES]), [], optimize, tmp_path)


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_layers_without_float(every: int, tmp_path: Path) -> None:
    on_board("cortex-m55+nofp", program("mve", [*PROBLEMS[::every], *TIES]), [], "-O2", tmp_path)


COUNTS = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 67]


def literal(value: np.floating) -> str:
    return f"{float(value).hex()}f"


def converted(real: np.ndarray, back: int, clamp: tuple[int, int]) -> np.ndarray:
    """float32 to int8 as x86 converts: what exceeds int32 becomes its lowest value."""
    fits = np.abs(real.astype(np.float64)) < 2.0**31
    whole = np.where(fits, np.rint(real.astype(np.float64)), -(2.0**31))
    return np.clip(whole - back, *clamp).astype(np.int8)


def add_calls(calls: Calls) -> None:
    for index, count in enumerate([*COUNTS, 400, 400]):
        a, b = calls.bytes(count), calls.bytes(count)
        ratios = calls.chance.uniform(0.1, 1.6, 2).astype(np.float32)
        if index == len(COUNTS):
            ratios = np.float32([3e8, 1e-3])
        fixed, origin = np.float32(calls.chance.uniform(-40, 150)), 128 * (index % 2)
        clamp = (-128, 127) if index % 3 else (-90, 64)
        # Exact products and one rounding: the long double holds both sums well enough for float32.
        part = (np.longdouble(ratios[1]) * (b + np.longdouble(origin)) + np.longdouble(fixed)).astype(np.float32)
        real = (np.longdouble(ratios[0]) * (a + np.longdouble(origin)) + part).astype(np.float32)
        params = (
            f"static const mcugen_add_params p = {{.a_ratio = {literal(ratios[0])}, .b_ratio = {literal(ratios[1])},"
            f" .fixed = {literal(fixed)}, .origin = {origin}, .activation = {{{clamp[0]}, {clamp[1]}}}}};"
        )
        calls.add(
            f"{params} mcugen_add_s8(&p, input, other, output, {count});",
            converted(real, origin, clamp),
            input=a,
            other=b,
        )


def mul_calls(calls: Calls) -> None:
    for index, count in enumerate([*COUNTS, 400, 400]):
        a, b = calls.bytes(count), calls.bytes(count)
        offsets = calls.chance.integers(-128, 129, 2)
        origin, zero = 128 * (index % 2), np.float32(calls.chance.integers(0, 200))
        ratio = np.float32(1e6 if index == len(COUNTS) else calls.chance.uniform(0.002, 0.02))
        clamp = (-128, 127) if index % 3 else (-90, 64)
        product = (a.astype(np.int32) + offsets[0]) * (b.astype(np.int32) + offsets[1])
        real = product.astype(np.float32) * ratio + zero
        params = (
            f"static const mcugen_mul_params p = {{.a_offset = {offsets[0]}, .b_offset = {offsets[1]},"
            f" .ratio = {literal(ratio)}, .zero_point = {literal(zero)}, .origin = {origin},"
            f" .activation = {{{clamp[0]}, {clamp[1]}}}}};"
        )
        calls.add(
            f"{params} mcugen_mul_s8(&p, input, other, output, {count});",
            converted(real, origin, clamp),
            input=a,
            other=b,
        )


def lut_calls(calls: Calls) -> None:
    for count in COUNTS:
        table, x = calls.bytes(256), calls.bytes(count)
        calls.add(f"mcugen_lut_s8(table, input, output, {count});", table[x.astype(int) + 128], table=table, input=x)


def average_calls(calls: Calls) -> None:
    for channels, pixels in [(1, 1), (3, 7), (8, 255), (9, 256), (16, 300), (21, 600), (2, 1100)]:
        x = calls.bytes(pixels, channels)
        if channels == 16:
            x[:] = -128  # the largest sums
        offset, zero = int(calls.chance.integers(-127, 129)), int(calls.chance.integers(-128, 128))
        scale = np.float32(calls.chance.uniform(0.5, 1.5) / pixels)
        total = x.sum(axis=0, dtype=np.int64) + offset * pixels
        real = total.astype(np.float32) * scale
        average = np.clip(np.rint(real).astype(np.int64) + zero, -100, 110).astype(np.int8)
        params = (
            f"static const mcugen_global_average_pool_params p = {{.input_offset = {offset}, .output_offset = {zero},"
            f" .multiplier = {scale.view(np.int32)}, .activation = {{-100, 110}}}};"
        )
        calls.add(f"{params} mcugen_global_average_pool_s8(&p, input, output, {pixels}, {channels});", average, input=x)


def max_pool_calls(calls: Calls) -> None:
    for channels, size, kernel, stride, pad in [
        *((c, 5, 2, 2, 0) for c in COUNTS),
        (5, 6, 3, 1, 1),
        (33, 7, 3, 2, 1),
    ]:
        x = calls.bytes(size, size + 1, channels)
        padded = np.pad(x.astype(np.int16), ((pad, pad), (pad, pad), (0, 0)), constant_values=-128)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (0, 1))[::stride, ::stride]
        pooled = np.clip(windows.max(axis=(3, 4)), -50, 100).astype(np.int8)
        height, width, _ = pooled.shape
        setup = (
            f"static const cmsis_nn_pool_params p = {{{{{stride}, {stride}}}, {{{pad}, {pad}}}, {{-50, 100}}}};"
            f" static const cmsis_nn_dims from = {{1, {size}, {size + 1}, {channels}}};"
            f" static const cmsis_nn_dims filter = {{1, {kernel}, {kernel}, 1}};"
            f" static const cmsis_nn_dims to = {{1, {height}, {width}, {channels}}};"
        )
        calls.add(f"{setup} arm_max_pool_s8(NULL, &p, &from, input, &filter, &to, output);", pooled, input=x)


def transpose_calls(calls: Calls) -> None:
    for shape, order in [
        ((1, 3, 9, 11), (0, 2, 3, 1)),
        ((2, 17, 3, 2), (0, 2, 3, 1)),
        ((1, 5, 6, 18), (0, 3, 1, 2)),
        ((1, 4, 5, 3), (0, 3, 1, 2)),
        ((3, 4, 5, 6), (3, 1, 0, 2)),
        ((2, 3, 4, 37), (0, 2, 1, 3)),
        ((1, 1, 20, 40), (0, 1, 3, 2)),
    ]:
        x = calls.bytes(*shape)
        turned = np.transpose(x, order)
        dims = [f"{{{', '.join(map(str, sizes))}}}" for sizes in (shape, turned.shape)]
        setup = (
            f"static const uint32_t order[] = {{{', '.join(map(str, order))}}};"
            " static const cmsis_nn_transpose_params p = {4, order};"
            f" static const cmsis_nn_dims from = {dims[0]}, to = {dims[1]};"
        )
        calls.add(f"{setup} arm_transpose_s8(input, output, &from, &to, &p);", turned, input=x)


def interleave_calls(calls: Calls) -> None:
    """Channels by pixels; some rows of a picture, whose planes are farther apart than they are long."""
    for channels, plane, pixels in [
        *((3, pixels, pixels) for pixels in (1, 3, 4, 7, 50)),
        *((3, 60, 21), (5, 40, 19), (20, 31, 18), (33, 9, 6)),
        *((2, 37, 37), (4, 16, 16), (8, 6, 6), (11, 23, 23), (17, 40, 40), (18, 20, 20), (40, 9, 9)),
        *((50, 3, 3), (19, 17, 17), (21, 18, 18), (9400, 2, 2), (2, 9400, 9400)),
    ]:
        x = calls.bytes(channels, plane)
        turned = np.ascontiguousarray(x[:, :pixels].T)
        calls.add(f"mcugen_interleave_s8(input, output, {plane}, {pixels}, {channels});", turned, input=x)


def arm_add_calls(calls: Calls) -> None:
    for count in [*COUNTS, 400, 400, 400]:
        a, b = calls.bytes(count), calls.bytes(count)
        addition = Addition.random(calls.chance, (-128, 127) if count % 3 else (-90, 64))
        arguments = ", ".join(map(str, addition.arguments("input", "other", "output", count)))
        calls.add(f"arm_elementwise_add_s8({arguments});", addition.of(a, b), input=a, other=b)


def arm_mul_calls(calls: Calls) -> None:
    for count in [*COUNTS, 400]:
        a, b = calls.bytes(count), calls.bytes(count)
        offsets, zero = calls.chance.integers(-127, 129, 2).tolist(), int(calls.chance.integers(-128, 128))
        scale = np.float32(calls.chance.uniform(0.002, 0.02))
        real = ((a.astype(np.int32) + offsets[0]) * (b.astype(np.int32) + offsets[1])).astype(np.float32) * scale
        product = np.clip(np.rint(real).astype(np.int64) + zero, -90, 127).astype(np.int8)
        tail = f"{zero}, {scale.view(np.int32)}, 0, -90, 127, {count}"
        calls.add(
            f"arm_elementwise_mul_s8(input, other, {offsets[0]}, {offsets[1]}, output, {tail});",
            product,
            input=a,
            other=b,
        )


def arm_extreme_calls(calls: Calls) -> None:
    shapes = [((1, 1, 1, count), (1, 1, 1, count)) for count in COUNTS]
    shapes += [((2, 3, 1, count), second) for count in (3, 33) for second in [(1, 1, 1, count), (2, 1, 1, 1)]]
    for name, (one, two) in itertools.product(("minimum", "maximum"), shapes):
        a, b = calls.bytes(*one), calls.bytes(*two)
        dims = [f"{{{', '.join(map(str, sizes))}}}" for sizes in (one, two)]
        calls.add(
            f"static const cmsis_nn_dims one = {dims[0]}, two = {dims[1]};"
            f" arm_{name}_s8(NULL, input, &one, other, &two, output, &one);",
            getattr(np, name)(a, b),
            input=a,
            other=b,
        )


def softmax_calls(calls: Calls) -> None:
    for rows, size in [(3, 1), (2, 5), (1, 64), (2, 37)]:
        x = calls.bytes(rows, size)
        mult, shift, least = int(calls.chance.integers(1 << 30, 1 << 31)), 22 + size % 3, -400 if size % 2 else -90
        arguments = f"{rows}, {size}, {mult}, {shift}, {least}"
        calls.add(f"arm_softmax_s8(input, {arguments}, output);", softmax(x, mult, shift, least), input=x)


def matrix_calls(calls: Calls) -> None:
    for (n, h), rows, columns, depth in [((1, 1), 3, 5, 21), ((2, 3), 2, 4, 64), ((2, 1), 1, 9, 7)]:
        left, right = calls.bytes(n, h, rows, depth), calls.bytes(1, h, columns, depth)
        offsets, zero = calls.chance.integers(-127, 129, 2).tolist(), int(calls.chance.integers(-128, 128))
        acc = (left.astype(np.int64) + offsets[0]) @ (right.astype(np.int64) + offsets[1]).swapaxes(2, 3)
        scale = np.float32(90 / np.abs(acc).max())
        real = np.rint(acc.astype(np.float32) * scale).astype(np.int64) + zero
        params = f"{{false, false, {{{offsets[0]}, {offsets[1]}, {zero}, {{-99, 99}}}}}}"
        calls.add(
            f"static const cmsis_nn_bmm_params p = {params};"
            f" static const cmsis_nn_per_tensor_quant_params quant = {{{scale.view(np.int32)}, 0}};"
            f" {dims('one', left.shape)} {dims('two', right.shape)} {dims('to', acc.shape)}"
            " arm_batch_matmul_s8(NULL, &p, &quant, &one, input, &two, other, &to, output);",
            np.clip(real, -99, 99).astype(np.int8),
            input=left,
            other=right,
        )


def transposed_calls(calls: Calls) -> None:
    for channels, outputs, kernel, stride in [(5, 3, (3, 3), (2, 2)), (16, 8, (4, 2), (2, 3)), (33, 5, (1, 5), (3, 1))]:
        x, weights = calls.bytes(1, 3, 4, channels), calls.bytes(outputs, *kernel, channels)
        offset, zero = (int(value) for value in calls.chance.integers(-127, 128, 2))
        before, size = [(k - 1) // 2 for k in kernel], (3 * stride[0], 4 * stride[1])
        bias = calls.chance.integers(-3000, 3000, outputs).astype(np.int32)
        acc = transposed_sums(x.astype(np.int64) + offset, weights, stride, before, size) + bias
        scale = (calls.chance.uniform(90, 200, outputs) / np.abs(acc).max()).astype(np.float32)
        real = np.rint(acc.astype(np.float32) * scale).astype(np.int64) + zero
        tiles = ", ".join(f"{{{pair[1]}, {pair[0]}}}" for pair in (stride, before, (0, 0), (1, 1)))
        calls.add(
            f"static const cmsis_nn_transpose_conv_params p = {{{offset}, {zero}, {tiles}, {{-128, 120}}}};"
            f" {table('bias', bias)} {table('multiplier', scale.view(np.int32))} {table('shift', 0 * bias)}"
            " const cmsis_nn_per_channel_quant_params quant = {(int32_t *)(uintptr_t)multiplier,"
            f" (int32_t *)(uintptr_t)shift}}; {dims('from', x.shape)} {dims('filter', weights.shape)}"
            f" {dims('one', (1, 1, 1, outputs))} {dims('to', acc.shape)}"
            " arm_transpose_conv_wrapper_s8(NULL, NULL, &p, &quant, &from, input, &filter, weights, &one, bias, &to,"
            " output);",
            np.clip(real, -128, 120).astype(np.int8),
            input=x,
            weights=weights,
        )


GROUPS: list[Callable[[Calls], None]] = [
    add_calls,
    mul_calls,
    lut_calls,
    average_calls,
    max_pool_calls,
    transpose_calls,
    interleave_calls,
    arm_add_calls,
    arm_mul_calls,
    arm_extreme_calls,
    softmax_calls,
    matrix_calls,
    transposed_calls,
]


CMSIS_NAMES = [
    "arm_max_pool_s8",
    "arm_transpose_s8",
    "arm_elementwise_add_s8",
    "arm_elementwise_mul_s8",
    "arm_minimum_maximum_s8",
    "arm_softmax_s8",
    "arm_fully_connected_s8",
    "arm_transpose_conv_s8",
]


@pytest.mark.parametrize("name", ["cortex-m4", "cortex-m55"])
def test_single_calls(name: str, tmp_path: Path) -> None:
    calls = Calls(seed=5)
    for fill in GROUPS:
        fill(calls)
    names = ["mcugen_add_s8", "mcugen_mul_s8", "mcugen_lut_s8", "mcugen_global_average_pool_s8"]
    names.append("mcugen_interleave_s8")
    sources = [KERNELS / f"{name}.c" for name in names]
    sources += [CMSIS / "Source" / f"{name}.c" for name in CMSIS_NAMES]
    on_board(name, calls.program(), sources, "-O2", tmp_path)
