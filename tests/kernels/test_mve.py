"""The Helium kernels on an emulated Cortex-M55 against their definition in NumPy: same bytes, nothing written beside.

The specialised ones also run their portable path on the host: a project for this core is built for others too.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cmsis_library import Scale, requantize_exact
from specialised_program import Case, Problem, multiplier_words, problem, program

from mcugen import resources
from mcugen.ops.specialised import call
from mcugen.prove.emulator import run
from mcugen.prove.toolchain import available, link_image
from mcugen.target import core

KERNELS, CMSIS = resources.templates() / "kernels", resources.cmsis()
INCLUDES = [KERNELS, CMSIS / "Include", CMSIS / "exact"]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wcast-qual", "-Werror"]
TRAPS = ["-fsanitize=undefined,address", "-fno-sanitize-recover=all"]

SAME = (1, 1, 1, 1)
POINT = Case(channels=1, outputs=1, kernel=(1, 1))
CONVOLUTIONS = [
    *(replace(POINT, channels=c, outputs=o) for c, o in [(1, 1), (8, 16), (15, 4), (16, 5)]),
    *(replace(POINT, channels=c, outputs=o) for c, o in [(17, 67), (40, 6), (67, 3)]),
    replace(POINT, channels=32, outputs=8, input_hw=(1, 1)),
    replace(POINT, channels=1001, outputs=9, input_hw=(1, 1), misaligned=3),
    replace(POINT, channels=300, outputs=6, input_hw=(3, 3)),
    replace(POINT, channels=9, outputs=4, input_hw=(1, 3), batch=3),
    replace(POINT, channels=16, outputs=4, strides=(2, 2), misaligned=0),
    replace(POINT, channels=16, outputs=4, strides=(2, 2), pads=SAME),
    replace(POINT, channels=5, outputs=4, input_hw=(2, 1), strides=(3, 3), batch=2),
    *(Case(channels=c, outputs=o, pads=SAME) for c, o in [(1, 8), (3, 16), (5, 3), (16, 7), (33, 9), (48, 4)]),
    *(Case(channels=16, outputs=4, pads=p) for p in [(0, 0, 0, 0), (0, 0, 1, 1), (2, 1, 0, 2)]),
    Case(channels=3, outputs=8, input_hw=(9, 12), strides=(2, 2), pads=(0, 0, 1, 1)),
    Case(channels=16, outputs=6, strides=(3, 1), pads=(2, 1, 0, 2), batch=2),
    Case(channels=16, outputs=4, dilations=(2, 1), pads=(1, 0, 1, 0), input_hw=(8, 4)),
    Case(channels=16, outputs=5, dilations=(2, 2), pads=(2, 2, 2, 2)),
    Case(channels=112, outputs=4, input_hw=(4, 5), pads=SAME),  # rows of more chunks than the core's ladder
    Case(channels=1, outputs=8, kernel=(10, 4), strides=(2, 2), pads=(4, 1, 5, 1), input_hw=(13, 10)),
    Case(channels=7, outputs=4, kernel=(1, 5), pads=(0, 2, 0, 2)),
    Case(channels=16, outputs=5, kernel=(25, 1), input_hw=(30, 3)),  # more rows than a program holds
    Case(channels=6, outputs=4, kernel=(5, 1), input_hw=(12, 1), dilations=(2, 1)),
    Case(channels=16, outputs=7, kernel=(2, 5), pads=(1, 4, 0, 0), input_hw=(3, 3)),
    Case(channels=4, outputs=8, pads=SAME, batch=2, clamp=(-7, 60), zeros=(-128, -128)),
    Case(channels=16, outputs=6, pads=SAME, zeros=(127, 127), spread=0),
    replace(POINT, channels=12, outputs=8, spread=11),
]
DEPTHWISE = [
    *(Case(channels=c, outputs=c, depthwise=True, pads=SAME) for c in [2, 3, 4, 5, 8, 15, 16, 17, 48, 67]),
    *(Case(channels=c, outputs=c, depthwise=True, strides=(2, 2), pads=(0, 0, 1, 1)) for c in [3, 8, 16]),
    Case(channels=6, outputs=6, depthwise=True, strides=(3, 1), pads=(2, 1, 1, 0), input_hw=(9, 17)),
    *(Case(channels=24, outputs=24, depthwise=True, kernel=(k, 1), input_hw=(17, 1)) for k in [1, 3, 5, 10, 15]),
    Case(channels=4, outputs=4, depthwise=True, kernel=(1, 4), pads=(0, 3, 0, 1)),
    Case(channels=16, outputs=16, depthwise=True, kernel=(5, 5), pads=(2, 2, 2, 2), batch=2, misaligned=3),
    Case(channels=7, outputs=7, depthwise=True, dilations=(2, 2), pads=(2, 2, 2, 2)),
    Case(channels=16, outputs=16, depthwise=True, dilations=(3, 1), input_hw=(9, 4)),
    Case(channels=8, outputs=8, depthwise=True, clamp=(-20, 90), zeros=(-128, 5)),
    Case(channels=16, outputs=16, depthwise=True, zeros=(0, -128), spread=0, misaligned=0),
]
LAYERS = [*CONVOLUTIONS, *DEPTHWISE]


@pytest.mark.parametrize("fpu", [0, 1])
def test_portable_path(fpu: int, tmp_path: Path) -> None:
    source, binary = tmp_path / "cases.c", tmp_path / "cases"
    source.write_text(program("mve", PROBLEMS))
    flags = ["-std=c99", "-O1", "-ffp-contract=off", f"-DMCUGEN_REQUANT_FPU={fpu}"]
    command = ["gcc", *flags, *WARNINGS, *TRAPS, *(f"-I{path}" for path in INCLUDES), str(source), "-o", str(binary)]
    subprocess.run(command, check=True)
    done = subprocess.run([binary], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def extreme(case: Case) -> Problem:
    """A depthwise layer without borders whose every product is -128 times -128: two of them overflow 16 bits."""
    random = problem(case)
    layer, x = replace(random.layer, weights=np.full_like(random.layer.weights, -128)), np.full_like(random.input, -128)
    scale = layer.channels.multiplier
    assert scale.requant_shift is not None
    taps = case.kernel[0] * case.kernel[1]
    acc = layer.channels.bias.astype(np.int64) + taps * (-128 - layer.x_zero) * -128
    y = np.clip(requantize_exact(acc, Scale(scale.data, scale.requant_shift)) + case.zeros[1], *case.clamp)
    return Problem(case, layer, x, np.broadcast_to(y.astype(np.int8), layer.y_shape))


PROBLEMS = [
    *map(problem, LAYERS),
    *(extreme(Case(channels=c, outputs=c, depthwise=True, zeros=(0, 3))) for c in (4, 16, 20)),
]


def test_both_layouts_of_depthwise_weights_are_among_the_cases() -> None:
    calls = [call("mve", p.layer) for p in PROBLEMS if p.case.depthwise]
    assert {found.fields["unroll"] for found in calls if found is not None} == {1, 2}


def on_m55(text: str, others: list[Path], optimize: str, folder: Path) -> None:
    board = core("cortex-m55")
    missing = available(board)
    if missing is not None:
        pytest.skip(missing)
    source = folder / "cases.c"
    source.write_text(text)
    includes = [*INCLUDES, CMSIS / "Source"]
    image = link_image(board, [source, *others], includes=includes, optimize=optimize, extra_flags=WARNINGS)
    done = run(board, image, workdir=folder, timeout_s=120, icount=False)
    assert (done.exit_code, done.output) == (0, "")


@pytest.mark.parametrize("optimize", ["-O2", pytest.param("-Os", marks=pytest.mark.slow)])
def test_layers(optimize: str, tmp_path: Path) -> None:
    on_m55(program("mve", PROBLEMS), [], optimize, tmp_path)


class Calls:
    """C text of calls over `input`, ... and `output`, with their data and what must come out, between guard bytes."""

    def __init__(self, seed: int) -> None:
        self.chance = np.random.default_rng(seed)
        self.functions: list[str] = []

    def bytes(self, *shape: int) -> np.ndarray:
        return self.chance.integers(-128, 128, shape, np.int8)

    def add(self, call: str, expected: np.ndarray, **arrays: np.ndarray) -> None:
        number = len(self.functions)
        body = [f"static int case_{number}(void)", "{"]
        for name, data in {**arrays, "expected": expected}.items():
            body.append(f"    static const int8_t {name}[] = {{{', '.join(map(str, data.ravel().tolist()))}}};")
        body += [
            f"    static int8_t room[{expected.size + 64}];",
            f"    int8_t *const output = room + {32 + number % 4};",
            "    memset(room, 0x5A, sizeof room);",
            f"    {call}",
            f"    int wrong = memcmp(output, expected, {expected.size}) != 0;",
            "    for (int8_t *byte = room; byte < output; byte++) wrong |= *byte != 0x5A;",
            f"    for (int8_t *byte = output + {expected.size}; byte < room + sizeof room; byte++)"
            " wrong |= *byte != 0x5A;",
            f'    if (wrong) board_puts("case {number}\\n");',
            "    return wrong;",
            "}",
        ]
        self.functions.append("\n".join(body))

    def program(self) -> str:
        heads = ["<string.h>", '"board.h"', '"arm_nnfunctions.h"', '"mcugen_kernels.h"']
        total = " + ".join(f"case_{number}()" for number in range(len(self.functions)))
        lines = [*(f"#include {head}" for head in heads), *self.functions]
        return "\n".join([*lines, "int main(void)", "{", "    board_init();", f"    return {total};", "}"]) + "\n"


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


def table(name: str, values: np.ndarray) -> str:
    return f"static const int32_t {name}[] = {{{', '.join(map(str, values.ravel().tolist()))}}};"


def dims(name: str, shape: tuple[int, ...]) -> str:
    return f"static const cmsis_nn_dims {name} = {{{', '.join(map(str, shape))}}};"


def cmsis_calls(calls: Calls) -> None:
    """The layers again, behind CMSIS-NN's calls; pointwise ones as fully connected too."""
    for case in LAYERS:
        p = problem(case)
        layer, outputs = p.layer, case.outputs
        scale = layer.channels.multiplier
        weights = layer.weights.transpose(3, 1, 2, 0) if case.depthwise else layer.weights
        pairs = [[pair[1], pair[0]] for pair in (case.strides, case.pads[:2], case.dilations)]
        tiles = ", ".join(f"{{{w}, {h}}}" for w, h in pairs)
        kind, name = ("dw_conv", "depthwise_conv") if case.depthwise else ("conv", "convolve")
        first = f"{-layer.x_zero}, {case.zeros[1]}"
        clamp = f"{{{case.clamp[0]}, {case.clamp[1]}}}"
        common = (
            f"{table('bias', layer.channels.bias)} {table('multiplier', multiplier_words(scale, fpu=True))}"
            f" {table('shift', layer.channels.shift.data)} static const cmsis_nn_context none = {{NULL, 0}};"
            " const cmsis_nn_per_channel_quant_params quant = {(int32_t *)(uintptr_t)multiplier,"
            f" (int32_t *)(uintptr_t)shift}}; {dims('one', (1, 1, 1, outputs))}"
        )
        tail = "input, &filter, weights, &one, bias, &to, output);"
        multiplied = ", 1" if case.depthwise else ""
        calls.add(
            f"{common} static const cmsis_nn_{kind}_params params = {{{first}{multiplied}, {tiles}, {clamp}}};"
            f" {dims('from', layer.x_shape)} {dims('filter', weights.shape)} {dims('to', layer.y_shape)}"
            f" if (arm_{name}_wrapper_s8(&none, &params, &quant, &from, {tail[:-1]} != 0) return 1;",
            p.expected,
            input=p.input,
            weights=weights,
        )
        if layer.pointwise and not case.depthwise:
            calls.add(
                f"{common} static const cmsis_nn_fc_params params = {{{-layer.x_zero}, 0, {case.zeros[1]}, {clamp}}};"
                f" {dims('from', (layer.pixels, 1, 1, case.channels))} {dims('filter', (case.channels, 1, 1, outputs))}"
                f" {dims('to', (layer.pixels, 1, 1, outputs))}"
                f" arm_fully_connected_per_channel_s8(&none, &params, &quant, &from, {tail}",
                p.expected,
                input=p.input,
                weights=weights,
            )


GROUPS: list[Callable[[Calls], None]] = [
    add_calls,
    mul_calls,
    lut_calls,
    average_calls,
    max_pool_calls,
    transpose_calls,
]


def test_cmsis_calls(tmp_path: Path) -> None:
    calls = Calls(seed=6)
    cmsis_calls(calls)
    names = ["arm_convolve_wrapper_s8", "arm_depthwise_conv_wrapper_s8", "arm_fully_connected_s8"]
    on_m55(calls.program(), [CMSIS / "Source" / f"{name}.c" for name in names], "-O2", tmp_path)


def test_single_calls(tmp_path: Path) -> None:
    calls = Calls(seed=5)
    for fill in GROUPS:
        fill(calls)
    names = ["mcugen_add_s8", "mcugen_mul_s8", "mcugen_lut_s8", "mcugen_global_average_pool_s8"]
    sources = [KERNELS / f"{name}.c" for name in names]
    sources += [CMSIS / "Source" / f"{name}.c" for name in ["arm_max_pool_s8", "arm_transpose_s8"]]
    on_m55(calls.program(), sources, "-O2", tmp_path)
