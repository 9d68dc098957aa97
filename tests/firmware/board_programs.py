"""The small C programs of the firmware tests, and the type of the fixture that runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from mcugen.prove.emulator import EmulatorRun

PROGRAMS = Path(__file__).parent / "programs"


class RunProgram(Protocol):
    """Fixture run_program: programs/NAME.c on an emulated core, with tmp_path as the folder of its files."""

    def __call__(self, name: str, *, icount: bool = True, timeout_s: float = 60) -> EmulatorRun: ...
