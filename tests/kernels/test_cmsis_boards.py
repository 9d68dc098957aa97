"""The bundled kernels behind CMSIS-NN's calls on emulated cores against their definition in NumPy: each has paths made
for its instruction set. Same bytes, nothing written beside.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from board_calls import CMSIS_SOURCES, LAYERS, POINT, SAME, Calls, cmsis_calls, on_board
from specialised_program import Case

from mcugen.target import core

CORES = ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m33", "cortex-m55"]
COLUMNS = [  # around the lengths at which one column is made instead of two, or none; around the rows of one turn
    *(replace(POINT, channels=c, outputs=o, input_hw=(1, 3)) for c in (159, 160, 161, 163) for o in (4, 7)),
    *(replace(POINT, channels=c, outputs=o, input_hw=(2, 1)) for c in (319, 320, 321, 640, 641) for o in (5, 3)),
    *(replace(POINT, channels=7, outputs=o, input_hw=(1, 3)) for o in (63, 64, 65, 66, 67, 129)),
    Case(channels=32, outputs=6, pads=SAME, input_hw=(3, 3), misaligned=1),
    Case(channels=64, outputs=6, pads=SAME, input_hw=(3, 3), misaligned=3),
    Case(channels=72, outputs=4, pads=SAME, input_hw=(2, 3)),
    *(Case(channels=c, outputs=o, pads=SAME, input_hw=(3, 3)) for c, o in [(3, 3), (5, 2), (2, 1)]),
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


def check(name: str, cases: list[Case], optimize: str, folder: Path) -> None:
    calls = Calls(seed=6)
    cmsis_calls(calls, cases, fpu=core(name).requantizes_in_float)
    on_board(name, calls.program(), CMSIS_SOURCES, optimize, folder)


@pytest.mark.parametrize("name", CORES)
def test_core(name: str, tmp_path: Path) -> None:
    """On each core the columns and a fifth of the layers; on Helium, whose kernels are its own, all of them."""
    layers = LAYERS if core(name).isa == "mve" else LAYERS[CORES.index(name) :: 5]
    check(name, [*COLUMNS, *layers], "-O2", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("optimize", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("name", CORES)
def test_core_with_every_case(name: str, optimize: str, tmp_path: Path) -> None:
    check(name, [*COLUMNS, *LAYERS, *SWEEP], optimize, tmp_path)
