"""The bundled kernels behind CMSIS-NN's calls on emulated cores: each has paths made for its instruction set.

Same bytes as their definition in NumPy, nothing written beside.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from board_calls import (
    CMSIS_SOURCES,
    LAYERS,
    POINT,
    SAME,
    Calls,
    cmsis_calls,
    dims,
    listed,
    multipliers,
    on_board,
    table,
)
from cmsis_library import Addition, softmax, transposed_sums
from specialised_program import GROUPED, Case, problem, ties

from mcugen.target import core

CORES = ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m33", "cortex-m55", "cortex-m55+nofp"]
COLUMNS = [  # around the lengths at which one column is made instead of two, or none; around the rows of one turn
    *(replace(POINT, channels=c, outputs=o, input_hw=(1, 3)) for c in (159, 160, 161, 163) for o in (4, 7)),
    *(replace(POINT, channels=c, outputs=o, input_hw=(2, 1)) for c in (319, 320, 321, 640, 641) for o in (5, 3)),
    *(replace(POINT, channels=7, outputs=o, input_hw=(1, 3)) for o in (63, 64, 65, 66, 67, 255, 256, 257)),
    *(replace(POINT, channels=c, outputs=o, input_hw=(6, 11)) for c, o in [(16, 1), (10, 2), (33, 3)]),
    Case(channels=32, outputs=6, pads=SAME, input_hw=(3, 3), misaligned=1),
    Case(channels=64, outputs=6, pads=SAME, input_hw=(3, 3), misaligned=3),
    Case(channels=72, outputs=4, pads=SAME, input_hw=(2, 3)),
    *(Case(channels=c, outputs=o, pads=SAME, input_hw=(3, 3)) for c, o in [(3, 3), (5, 2), (2, 1)]),
]
GROUPS_OF_CHANNELS = [  # that wait for a second pixel, for no other, and are too many to wait
    *(
        Case(channels=c, outputs=o, groups=g, pads=SAME)
        for c, o, g in [(8, 8, 2), (10, 12, 2), (21, 12, 3), (24, 20, 4)]
    ),
    Case(channels=96, outputs=48, groups=4, pads=SAME, input_hw=(3, 2)),
    *GROUPED,
]
TIED = [
    ties(Case(channels=4, outputs=80, kernel=(1, 1), input_hw=(1, width), spread=spread, clamp=clamp), lowered)
    for width, clamp in [(2, (-128, 127)), (1, (-100, 120))]
    for spread in (0, 3, 11)
    for lowered in (0, 3, 9)
]
SWEEP = [
    *(replace(POINT, channels=c, outputs=1 + c * 5 % 23, input_hw=(1, 2)) for c in range(1, 68)),
    *(Case(channels=c, outputs=c, depthwise=True, pads=SAME, input_hw=(3, 4)) for c in range(1, 68)),
    *(
        Case(channels=c, outputs=o, strides=(s, 4 - s), pads=(p, 2 - p, 1, p), dilations=(d, 3 - d), input_hw=(7, 9))
        for s in (1, 2, 3)
        for p in (0, 1, 2)
        for d in (1, 2)
        for c, o in [(1 + s, 5), (16, 4 + p)]
    ),
]


COUNTS = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 67]


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


def average_calls(calls: Calls) -> None:
    for channels, size, kernel, stride, pad in [
        *((c, 4, 2, 2, 0) for c in COUNTS),
        (5, 6, 3, 1, 1),
        (33, 7, 3, 2, 1),
        (9, 3, 1, 1, 0),
        (13, 18, 18, 1, 0),  # sums beyond 16 bits
        (3, 65, 65, 1, 0),
    ]:
        x = np.full((size, size, channels), -128, np.int8) if size == 18 else calls.bytes(size, size, channels)
        inside = np.pad(np.ones_like(x), ((pad, pad), (pad, pad), (0, 0)))
        padded = np.pad(x.astype(np.int64), ((pad, pad), (pad, pad), (0, 0)))
        sums, counts = (
            np.lib.stride_tricks.sliding_window_view(a, (kernel, kernel), (0, 1))[::stride, ::stride].sum(axis=(3, 4))
            for a in (padded, inside.astype(np.int64))
        )
        means = np.clip(np.sign(sums) * ((np.abs(sums) + counts // 2) // counts), -120, 100).astype(np.int8)
        height, width, _ = means.shape
        setup = (
            f"static const cmsis_nn_pool_params p = {{{{{stride}, {stride}}}, {{{pad}, {pad}}}, {{-120, 100}}}};"
            f" {dims('from', (1, *x.shape))} {dims('filter', (1, kernel, kernel, 1))}"
            f" {dims('to', (1, height, width, channels))}"
        )
        calls.add(f"{setup} arm_avgpool_s8(NULL, &p, &from, input, &filter, &to, output);", means, input=x)


def pad_calls(calls: Calls) -> None:
    for shape, before, after in [
        ((1, 3, 4, 17), (0, 1, 2, 0), (0, 2, 1, 0)),
        ((2, 2, 3, 5), (1, 0, 1, 3), (0, 1, 0, 20)),
        ((1, 1, 1, 40), (0, 0, 0, 0), (2, 0, 0, 0)),
    ]:
        x = calls.bytes(*shape)
        padded = np.pad(x, list(zip(before, after, strict=True)), constant_values=-5)
        setup = f"{dims('size', shape)} {dims('front', before)} {dims('back', after)}"
        calls.add(f"{setup} arm_pad_s8(input, output, -5, &size, &front, &back);", padded, input=x)


def concatenation_calls(calls: Calls) -> None:
    """The first of two inputs, then the second: arguments are the sizes from the fastest axis to the slowest."""
    for axis, (letter, size) in enumerate(zip("wzyx", (2, 1, 3, 21), strict=True)):
        shape = (2, 2, 3, 5)
        parts = [calls.bytes(*shape), calls.bytes(*(size if i == axis else n for i, n in enumerate(shape)))]
        whole = np.concatenate(parts, axis)
        text = []
        for name, part, offset in zip(("input", "other"), parts, (0, shape[axis]), strict=True):
            sizes = ", ".join(map(str, reversed(part.shape)))
            total = "" if letter == "w" else f"{whole.shape[axis]}, "
            text.append(f"arm_concatenation_s8_{letter}({name}, {sizes}, output, {total}{offset});")
        calls.add(" ".join(text), whole, input=parts[0], other=parts[1])


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


def arm_add_calls(calls: Calls) -> None:
    for case, count in enumerate([*COUNTS, 400, 400, 400]):
        a, b = calls.bytes(count), calls.bytes(count)
        clamp = (-128, 127) if count % 3 else (-90, 64)
        addition = Addition.random(calls.chance, clamp, left_shift=(20, 22, 23)[case % 3])
        arguments = ", ".join(map(str, addition.arguments("input", "other", "output", count)))
        calls.add(f"arm_elementwise_add_s8({arguments});", addition.of(a, b), input=a, other=b)


def arm_mul_calls(calls: Calls) -> None:
    for count, tied in [*((count, None) for count in [*COUNTS, 400]), (400, 2.0**-6)]:
        a, b = calls.bytes(count), calls.bytes(count)
        offsets, zero = calls.chance.integers(-127, 129, 2).tolist(), int(calls.chance.integers(-128, 128))
        scale = np.float32(calls.chance.uniform(0.002, 0.02) if tied is None else tied)
        real = ((a.astype(np.int32) + offsets[0]) * (b.astype(np.int32) + offsets[1])).astype(np.float32) * scale
        product = np.clip(np.rint(real).astype(np.int64) + zero, -90, 127).astype(np.int8)
        (entry,), (shift,) = multipliers(scale)
        tail = f"{zero}, {entry}, {shift}, -90, 127, {count}"
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
        mult, shift, least = int(calls.chance.integers(1 << 30, 1 << 31)), 22 + size % 2, -400 if size % 2 else -90
        arguments = f"{rows}, {size}, {mult}, {shift}, {least}"
        calls.add(f"arm_softmax_s8(input, {arguments}, output);", softmax(x, mult, shift, least), input=x)


def matrix_calls(calls: Calls) -> None:
    for (n, h), rows, columns, depth in [((1, 1), 3, 5, 21), ((2, 3), 2, 4, 64), ((2, 1), 1, 9, 7)]:
        left, right = calls.bytes(n, h, rows, depth), calls.bytes(1, h, columns, depth)
        offsets, zero = calls.chance.integers(-127, 129, 2).tolist(), int(calls.chance.integers(-128, 128))
        acc = (left.astype(np.int64) + offsets[0]) @ (right.astype(np.int64) + offsets[1]).swapaxes(2, 3)
        scale = np.float32(90 / np.abs(acc).max())
        real = np.rint(acc.astype(np.float32) * scale).astype(np.int64) + zero
        (entry,), (shift,) = multipliers(scale)
        params = f"{{false, false, {{{offsets[0]}, {offsets[1]}, {zero}, {{-99, 99}}}}}}"
        calls.add(
            f"static const cmsis_nn_bmm_params p = {params};"
            f" static const cmsis_nn_per_tensor_quant_params quant = {{{entry}, {shift}}};"
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
        entries, shifts = multipliers(scale)
        tiles = ", ".join(f"{{{pair[1]}, {pair[0]}}}" for pair in (stride, before, (0, 0), (1, 1)))
        calls.add(
            f"static const cmsis_nn_transpose_conv_params p = {{{offset}, {zero}, {tiles}, {{-128, 120}}}};"
            f" {table('bias', bias)} {listed('multiplier', entries)} {listed('shift', shifts)}"
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
    max_pool_calls,
    average_calls,
    pad_calls,
    concatenation_calls,
    transpose_calls,
    arm_add_calls,
    arm_mul_calls,
    arm_extreme_calls,
    softmax_calls,
    matrix_calls,
    transposed_calls,
]


def check(name: str, cases: list[Case], optimize: str, folder: Path) -> None:
    calls = Calls(seed=6)
    problems = [*map(problem, [*GROUPS_OF_CHANNELS, *cases]), *TIED]
    cmsis_calls(calls, problems, fpu=core(name).requantizes_in_float)
    for fill in GROUPS:
        fill(calls)
    on_board(name, calls.program(), CMSIS_SOURCES, optimize, folder)


@pytest.mark.parametrize("name", CORES)
def test_core(name: str, tmp_path: Path) -> None:
    """Every other call; the columns and a fifth of the layers, on Helium, whose kernels are its own, all of them."""
    layers = LAYERS if core(name).isa == "mve" else LAYERS[CORES.index(name) :: 5]
    check(name, [*COLUMNS, *layers], "-O2", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("optimize", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("name", CORES)
def test_core_with_every_case(name: str, optimize: str, tmp_path: Path) -> None:
    check(name, [*COLUMNS, *LAYERS, *SWEEP], optimize, tmp_path)
