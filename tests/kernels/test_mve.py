"""The Helium kernels on an emulated Cortex-M55; those that have a path for SMLAD cores on a Cortex-M4 too.

Same bytes as their definition in NumPy, nothing written beside.

The specialised ones also run their portable path on the host: a project for this core is built for others too.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from board_calls import INCLUDES, KERNELS, LAYERS, WARNINGS, Calls, on_board
from specialised_program import GROUPED, Case, extreme, problem, program, ties

from mcugen.ops.specialised import call

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


TIED = [
    *(Case(channels=8, outputs=80, kernel=(1, 1), spread=spread) for spread in (0, 3, 11)),
    *(Case(channels=32, outputs=80, kernel=(1, 1), input_hw=(1, 1), spread=spread) for spread in (0, 3, 11)),
    *(Case(channels=80, outputs=80, depthwise=True, pads=(1, 1, 1, 1), spread=spread) for spread in (0, 3, 11)),
    *(Case(channels=6, outputs=6, depthwise=True, spread=spread) for spread in (0, 9)),
]
TIES = [ties(case, lowered) for case in TIED for lowered in (0, 9)]
PROBLEMS = [
    *map(problem, [*LAYERS, *GROUPED]),
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
LEADS = [None, 0, 1, 2, 3, 5, 17]  # from the output to an input that it runs over, element by element


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
            lead=LEADS[index % len(LEADS)],
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
            lead=LEADS[index % len(LEADS)],
            input=a,
            other=b,
        )


def lut_calls(calls: Calls) -> None:
    for index, count in enumerate(COUNTS):
        table, x = calls.bytes(256), calls.bytes(count)
        y, lead = table[x.astype(int) + 128], LEADS[index % len(LEADS)]
        calls.add(f"mcugen_lut_s8(table, input, output, {count});", y, lead=lead, table=table, input=x)


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


GROUPS: list[Callable[[Calls], None]] = [
    add_calls,
    mul_calls,
    lut_calls,
    average_calls,
    interleave_calls,
]


@pytest.mark.parametrize("name", ["cortex-m4", "cortex-m55"])
def test_single_calls(name: str, tmp_path: Path) -> None:
    calls = Calls(seed=5)
    for fill in GROUPS:
        fill(calls)
    names = ["mcugen_add_s8", "mcugen_mul_s8", "mcugen_lut_s8", "mcugen_global_average_pool_s8"]
    names.append("mcugen_interleave_s8")
    sources = [KERNELS / f"{name}.c" for name in names]
    on_board(name, calls.program(), sources, "-O2", tmp_path)
