"""Running an image on an emulated Cortex-M board (QEMU), and turning its timer ticks into instructions."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mcugen.errors import UserError
from mcugen.prove.toolchain import QEMU
from mcugen.target import Core

# One instruction advances the emulated clock by 2**6 = 64 ns, more than one SysTick period on every
# board, so that single instructions show.
ICOUNT_SHIFT = 6
# firmware/board.h: BOARD_EXIT_FAULT, BOARD_WRAP_INSTRUCTIONS
FAULT_EXIT = 99
WRAP_INSTRUCTIONS = 5


class EmulatorError(RuntimeError):
    """The program did not come to its own end: it faulted, hung, or QEMU refused it."""


@dataclass(frozen=True)
class EmulatorRun:
    """What the program printed, and the code it returned from main."""

    output: str
    exit_code: int


def run(core: Core, elf: Path, *, workdir: Path, timeout_s: float, icount: bool = True) -> EmulatorRun:
    """Run an image to its end; the files it opens are relative to `workdir`.

    icount  count instructions (deterministic ticks); without it the run is faster and ticks mean nothing
    UserError if no emulator is there, EmulatorError on a fault, a timeout or a failure of QEMU itself.
    """
    if core.machine is None:
        raise UserError(f"no emulator has {core.name}.", hint="It can be built, not run.")
    if shutil.which(QEMU) is None:
        raise UserError(f"{QEMU} is not installed.", hint="apt-get install qemu-system-arm.")
    counting = ["-icount", f"shift={ICOUNT_SHIFT}"] if icount else []
    command = [
        *(QEMU, "-M", core.machine, "-display", "none", "-monitor", "none", "-serial", "null"),
        *("-chardev", "stdio,id=console"),
        *("-semihosting-config", "enable=on,target=native,chardev=console"),
        *counting,
        *("-kernel", str(elf.resolve())),
    ]
    try:
        done = subprocess.run(
            command,
            cwd=workdir,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        said = _text(expired.stdout)
        raise EmulatorError(f"{core.name}: no end after {timeout_s:g} s; output so far:\n{said}") from None
    output, complaint = _text(done.stdout), _text(done.stderr)
    if done.returncode == FAULT_EXIT and "FAULT" in output:
        raise EmulatorError(f"{core.name}: the program faulted\n{output}")
    if done.returncode < 0 or (done.returncode > 0 and complaint):
        raise EmulatorError(f"{core.name}: QEMU failed with exit code {done.returncode}\n{complaint}{output}")
    return EmulatorRun(output, done.returncode)


def instructions(ticks: int, wraps: int, core: Core) -> int:
    """Instructions in `ticks` of board_counter_ticks with `wraps` timer interrupts among them, rounded.

    A tick lasts 1e9 / systick_hz ns, an instruction 2**ICOUNT_SHIFT ns; the interrupt's own are taken off.
    """
    ns_times_hz = ticks * 1_000_000_000
    ns_per_instruction_times_hz = core.systick_hz << ICOUNT_SHIFT
    executed = (2 * ns_times_hz + ns_per_instruction_times_hz) // (2 * ns_per_instruction_times_hz)
    return executed - WRAP_INSTRUCTIONS * wraps


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode(errors="replace")
