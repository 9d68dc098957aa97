"""A project of a user: CMake, a toolchain file, the library `board`; the image runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from board_programs import PROGRAMS

from mcugen import resources
from mcugen.prove import emulator, toolchain
from mcugen.prove.emulator import EmulatorRun
from mcugen.target import CORES, Core

PROJECT = """\
cmake_minimum_required(VERSION 3.16)
project(hello C)
add_subdirectory({firmware} board)
add_executable(hello {programs}/hello.c)
target_link_libraries(hello PRIVATE board)
"""


def _cmake(*arguments: str) -> str:
    strict = "-Wall -Wextra -Wpedantic -Wconversion -Wcast-qual -Werror"
    done = subprocess.run(
        ["cmake", *arguments],
        env={**os.environ, "CFLAGS": strict},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_hello_project(core: Core, tmp_path: Path) -> None:
    reason = toolchain.available(core, to_run=False)
    if reason:
        pytest.skip(reason)
    firmware = resources.firmware()
    (tmp_path / "CMakeLists.txt").write_text(PROJECT.format(firmware=firmware, programs=PROGRAMS))
    build = tmp_path / "build"
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    file = firmware / "toolchain" / f"{core.name}.cmake"
    _cmake("-S", str(tmp_path), "-B", str(build), *generator, f"-DCMAKE_TOOLCHAIN_FILE={file}")
    said = _cmake("--build", str(build))
    assert "warning" not in said
    elf = build / "hello.elf"
    assert toolchain.symbol_sizes(elf)["main"] > 0
    if toolchain.available(core) is None:
        expected = EmulatorRun(f"hello 0 {2**64 - 1} 0x0123abcd\n", 42)
        assert emulator.run(core, elf, workdir=tmp_path, timeout_s=60) == expected
