"""Fixtures of the firmware tests: each emulated core, and a way to run one of the small C programs on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from board_programs import PROGRAMS, RunProgram

from mcugen.prove import emulator, toolchain
from mcugen.prove.emulator import EmulatorRun
from mcugen.target import CORES, Core

# One core of those that are alike to programs and their board.
_KINDS = {(core.machine, core.isa, core.memory): core for core in reversed(CORES) if core.machine}


@pytest.fixture(params=list(reversed(_KINDS.values())), ids=lambda core: core.name)
def core(request: pytest.FixtureRequest) -> Core:
    """An emulated core; the test is skipped where it cannot be built or run."""
    candidate: Core = request.param
    reason = toolchain.available(candidate)
    if reason:
        pytest.skip(reason)
    return candidate


@pytest.fixture
def run_program(core: Core, tmp_path: Path) -> RunProgram:
    def run(name: str, *, icount: bool = True, timeout_s: float = 60) -> EmulatorRun:
        elf = toolchain.link_image(core, [PROGRAMS / f"{name}.c"])
        return emulator.run(core, elf, workdir=tmp_path, timeout_s=timeout_s, icount=icount)

    return run
