"""Layers whose output begins as close before their input as the kernel's order allows, and runs over it.

Up to 300 channels, on emulated cores: each instruction set has loops of its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from board_calls import CMSIS_SOURCES, Calls, cmsis_calls, on_board
from specialised_program import Case, overlapping, problem, program

from mcugen.ops.specialised import call
from mcugen.target import core

CORES = ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m33", "cortex-m55", "cortex-m55+nofp"]


def specialised(name: str, cases: list[Case], optimize: str, folder: Path) -> None:
    isa = core(name).isa
    problems = [problem(case) for case in cases]
    assert all(call(isa, p.layer) is not None for p in problems)
    on_board(name, program(isa, problems), [], optimize, folder)


def api(name: str, cases: list[Case], optimize: str, folder: Path) -> None:
    calls = Calls(seed=7)
    cmsis_calls(calls, [problem(case) for case in cases], fpu=core(name).requantizes_in_float)
    on_board(name, calls.program(), CMSIS_SOURCES, optimize, folder)


# -O1 aligns functions to 2 bytes only.
@pytest.mark.parametrize(
    ("name", "optimize"), [("cortex-m0", "-Os"), ("cortex-m3", "-O2"), ("cortex-m4", "-O2"), ("cortex-m55", "-O1")]
)
def test_specialised(name: str, optimize: str, tmp_path: Path) -> None:
    specialised(name, overlapping(40, seed=0), optimize, tmp_path)


@pytest.mark.parametrize("name", ["cortex-m3", "cortex-m4", "cortex-m55"])
def test_api(name: str, tmp_path: Path) -> None:
    api(name, overlapping(40, seed=0), "-O2", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("optimize", ["-Os", "-O2", "-O3"])
@pytest.mark.parametrize("name", CORES)
def test_many(name: str, optimize: str, seed: int, tmp_path: Path) -> None:
    cases = overlapping(60, seed)
    specialised(name, cases, optimize, tmp_path)
    api(name, cases, optimize, tmp_path)
