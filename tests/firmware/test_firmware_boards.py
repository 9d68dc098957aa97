"""Every emulated core runs the firmware: text, exit codes, files, counter, memory, stack, faults, FPU."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from board_programs import PROGRAMS, RunProgram

from mcugen.errors import UserError
from mcugen.prove import emulator, toolchain
from mcugen.prove.emulator import EmulatorError, EmulatorRun
from mcugen.target import Core
from mcugen.target import core as core_named

STACK_BYTES = 0x8000  # link.ld's default


@pytest.mark.parametrize("icount", [True, False])
def test_text_and_exit_code_reach_the_caller(run_program: RunProgram, icount: bool) -> None:
    expected = EmulatorRun(f"hello 0 {2**64 - 1} 0x0123abcd\n", 42)
    assert run_program("hello", icount=icount) == expected


@pytest.mark.parametrize("standard", ["c99", "c11"])
def test_firmware_compiles_without_warnings(core: Core, standard: str) -> None:
    strict = ("-Werror", "-Wpedantic", "-Wconversion", "-Wcast-qual", f"-std={standard}")
    assert toolchain.link_image(core, [PROGRAMS / "hello.c"], extra_flags=strict).exists()


def test_files_in_both_directions(run_program: RunProgram, tmp_path: Path) -> None:
    content = random.Random(0).randbytes(100_001)
    (tmp_path / "in.bin").write_bytes(content)
    assert run_program("files") == EmulatorRun("100001", 0)
    block = 65536
    assert (tmp_path / "out.bin").read_bytes() == content[:block][::-1] + content[block:][::-1]


def test_counter_is_exact_and_repeats(run_program: RunProgram, core: Core) -> None:
    first = run_program("count")
    assert run_program("count") == first
    lines = [tuple(map(int, line.split())) for line in first.output.splitlines()]
    (cost, _), (short, short_wraps), (long, long_wraps) = lines
    assert short_wraps == 0
    assert long_wraps >= 2
    # A call starts and ends within a tick and an instruction of its readings.
    assert abs(emulator.instructions(short - cost, short_wraps, core) - 1_000_001) <= 3
    assert abs(emulator.instructions(long - cost, long_wraps, core) - 30_000_001) <= 3


def test_counter_runs_evenly_across_wraps(run_program: RunProgram) -> None:
    assert run_program("wrap").exit_code == 0


def test_memory_map_holds_what_it_says(run_program: RunProgram, core: Core) -> None:
    done = run_program("memory")
    assert done.exit_code == 0
    used = toolchain.sizes(toolchain.link_image(core, [PROGRAMS / "memory.c"]))
    alignment_gaps = core.memory.ram.size_bytes - STACK_BYTES - used.ram_bytes - int(done.output)
    assert 0 <= alignment_gaps < 32


def test_stack_high_water_mark(run_program: RunProgram) -> None:
    untouched, after_1000, after_5000, later = map(int, run_program("stack").output.split())
    assert untouched == 0
    assert 1000 <= after_1000 <= 1064
    assert 5000 <= after_5000 <= 5064
    assert later == after_5000


def test_fault_prints_registers(run_program: RunProgram, core: Core) -> None:
    with pytest.raises(EmulatorError) as caught:
        run_program("fault")
    text = str(caught.value)
    assert text.startswith(f"{core.name}: the program faulted\nbefore\nFAULT\n exception 0x00000003\n pc   0x")
    # The address of the bad load: where it was reported, or at least in the register that held it.
    assert (" bfar 0xf0000000" if core.isa != "v6m" else " 0xf0000000\n") in text


def test_fpu_keeps_subnormals_and_a_changed_mode_is_noticed(run_program: RunProgram, core: Core) -> None:
    refused = EmulatorRun("board: FPSCR is not in its reset mode, float results would differ\n", 1)
    assert run_program("fpu") == (refused if core.has_fpu else EmulatorRun("", 0))


def test_endless_program_is_stopped(run_program: RunProgram) -> None:
    with pytest.raises(EmulatorError, match=r"no end after 1 s; output so far:\nwaiting"):
        run_program("forever", timeout_s=1)


def test_core_without_emulator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no emulator has cortex-m85"):
        emulator.run(core_named("cortex-m85"), tmp_path / "none.elf", workdir=tmp_path, timeout_s=1)


@pytest.mark.parametrize(
    ("name", "ticks", "wraps", "expected"),
    [
        ("cortex-m4", 1_600_000, 0, 1_000_000),  # 40 ns per tick
        ("cortex-m33", 1_280_000, 0, 1_000_000),  # 50 ns
        ("cortex-m55", 2_048_000, 0, 1_000_000),  # 31.25 ns
        ("cortex-m55", 2_048_001, 3, 1_000_000 - 15),  # half an instruction more, three handlers less
        ("cortex-m4", 0, 0, 0),
    ],
)
def test_instructions_from_ticks(name: str, ticks: int, wraps: int, expected: int) -> None:
    assert emulator.instructions(ticks, wraps, core_named(name)) == expected
