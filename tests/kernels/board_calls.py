"""Calls of kernels on an emulated core, their data and what must come out; layers behind CMSIS-NN's calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cmsis_library import Scale
from specialised_program import Case, Problem, multiplier_words, overlap_lead

from mcugen import resources
from mcugen.prove.emulator import run
from mcugen.prove.toolchain import available, link_image
from mcugen.target import core

KERNELS, CMSIS = resources.templates() / "kernels", resources.cmsis()
INCLUDES = [KERNELS, CMSIS / "Include", CMSIS / "exact"]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wcast-qual", "-Werror"]
CMSIS_SOURCES = sorted((CMSIS / "Source").glob("*.c"))

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


def on_board(name: str, text: str, others: list[Path], optimize: str, folder: Path) -> None:
    """Builds and runs a program that prints what is wrong and returns their number."""
    board = core(name)
    missing = available(board)
    if missing is not None:
        pytest.skip(missing)
    source = folder / "cases.c"
    source.write_text(text)
    includes = [*INCLUDES, CMSIS / "Source"]
    image = link_image(board, [source, *others], includes=includes, optimize=optimize, extra_flags=WARNINGS)
    done = run(board, image, workdir=folder, timeout_s=120, icount=False)
    assert (done.exit_code, done.output) == (0, ""), done


class Calls:
    """C text of calls over `input`, ... and `output`, with their data and what must come out, between guard bytes."""

    def __init__(self, seed: int) -> None:
        self.chance = np.random.default_rng(seed)
        self.functions: list[str] = []

    def bytes(self, *shape: int) -> np.ndarray:
        return self.chance.integers(-128, 128, shape, np.int8)

    def add(self, call: str, expected: np.ndarray, lead: int | None = None, **arrays: np.ndarray) -> None:
        """lead: bytes from the output to `input`, where the first runs over the second."""
        number = len(self.functions)
        body = [f"static int case_{number}(void)", "{"]
        room, moved = expected.size, []
        if lead is not None:
            size = arrays["input"].size
            room = max(room, lead + size)
            moved = [f"    int8_t *const input = output + {lead};", f"    memcpy(input, given, {size});"]
            arrays = {"given" if name == "input" else name: data for name, data in arrays.items()}
        for name, data in {**arrays, "expected": expected}.items():
            body.append(f"    static const int8_t {name}[] = {{{', '.join(map(str, data.ravel().tolist()))}}};")
        body += [
            f"    static int8_t room[{room + 64}], before[sizeof room];",
            f"    int8_t *const output = room + {32 + number % 4};",
            "    memset(room, 0x5A, sizeof room);",
            *moved,
            "    memcpy(before, room, sizeof room);",
            f"    {call}",
            f"    memcpy(before + (output - room), expected, {expected.size});",
            "    const int wrong = memcmp(room, before, sizeof room) != 0;",
            f'    if (wrong) board_puts("case {number}\\n");',
            "    return wrong;",
            "}",
        ]
        self.functions.append("\n".join(body))

    def program(self) -> str:
        heads = ["<string.h>", '"board.h"', '"arm_nnfunctions.h"', '"mcugen_kernels.h"', '"mcugen_requant.h"']
        total = " + ".join(f"case_{number}()" for number in range(len(self.functions)))
        lines = [*(f"#include {head}" for head in heads), *self.functions]
        return "\n".join([*lines, "int main(void)", "{", "    board_init();", f"    return {total};", "}"]) + "\n"


def table(name: str, values: np.ndarray) -> str:
    return listed(name, values.ravel().tolist())


def listed(name: str, entries: Sequence[object]) -> str:
    return f"static const int32_t {name}[] = {{{', '.join(map(str, entries))}}};"


def multipliers(scales: np.ndarray) -> tuple[list[str], list[int]]:
    """The tables of float32 scales, in C: each build makes of an entry what it takes."""
    exact = Scale.of(np.atleast_1d(scales))
    pairs = zip(exact.mantissa_q31.tolist(), exact.shift.tolist(), strict=True)
    return [f"MCUGEN_MULTIPLIER({mantissa}, {shift})" for mantissa, shift in pairs], exact.shift.tolist()


def dims(name: str, shape: tuple[int, ...]) -> str:
    return f"static const cmsis_nn_dims {name} = {{{', '.join(map(str, shape))}}};"


def cmsis_calls(calls: Calls, problems: list[Problem], *, fpu: bool) -> None:
    """Layers behind CMSIS-NN's calls; pointwise ones as fully connected too. fpu: how the core requantizes."""
    for p in problems:
        case = p.case
        layer, outputs = p.layer, case.outputs
        scale = layer.channels.multiplier
        weights = layer.weights.transpose(3, 1, 2, 0) if case.depthwise else layer.weights
        pairs = [[pair[1], pair[0]] for pair in (case.strides, case.pads[:2], case.dilations)]
        tiles = ", ".join(f"{{{w}, {h}}}" for w, h in pairs)
        kind, name = ("dw_conv", "depthwise_conv") if case.depthwise else ("conv", "convolve")
        first = f"{-layer.x_zero}, {case.zeros[1]}"
        clamp = f"{{{case.clamp[0]}, {case.clamp[1]}}}"
        common = (
            f"{table('bias', layer.channels.bias)} {table('multiplier', multiplier_words(scale, fpu=fpu))}"
            f" {table('shift', layer.channels.shift.data)} static const cmsis_nn_context none = {{NULL, 0}};"
            " const cmsis_nn_per_channel_quant_params quant = {(int32_t *)(uintptr_t)multiplier,"
            f" (int32_t *)(uintptr_t)shift}}; {dims('one', (1, 1, 1, outputs))}"
        )
        tail = "input, &filter, weights, &one, bias, &to, output);"
        multiplied = ", 1" if case.depthwise else ""
        lead = overlap_lead(layer, f"arm_{name}_wrapper_s8") if case.overlap else None
        calls.add(
            f"{common} static const cmsis_nn_{kind}_params params = {{{first}{multiplied}, {tiles}, {clamp}}};"
            f" {dims('from', layer.x_shape)} {dims('filter', weights.shape)} {dims('to', layer.y_shape)}"
            f" if (arm_{name}_wrapper_s8(&none, &params, &quant, &from, {tail[:-1]} != 0) return 1;",
            p.expected,
            lead=lead,
            input=p.input,
            weights=weights,
        )
        if layer.pointwise and layer.groups == 1 and not case.depthwise and not case.overlap:
            calls.add(
                f"{common} static const cmsis_nn_fc_params params = {{{-layer.x_zero}, 0, {case.zeros[1]}, {clamp}}};"
                f" {dims('from', (layer.pixels, 1, 1, case.channels))} {dims('filter', (case.channels, 1, 1, outputs))}"
                f" {dims('to', (layer.pixels, 1, 1, outputs))}"
                f" arm_fully_connected_per_channel_s8(&none, &params, &quant, &from, {tail}",
                p.expected,
                input=p.input,
                weights=weights,
            )
