"""Generated projects through the C compilers, every warning an error."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from mcugen.target import CORES

GCC = "gcc"
ARM_GCC = "arm-none-eabi-gcc"
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wcast-qual", "-Werror", "-ffp-contract=off")

needs_arm_gcc = pytest.mark.skipif(shutil.which(ARM_GCC) is None, reason=f"{ARM_GCC} is not installed")
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")

# Cores less those that are like another one to programs.
DIFFERENT = [core for core in CORES if core.name not in ("cortex-m0plus", "cortex-m35p")]
# Those that the installed Arm compiler has to know; newer ones are tried where it does.
BUILDABLE = [core for core in DIFFERENT if core.gcc <= 12]


def run(command: Sequence[object], **options: object) -> str:
    """Standard output; the test fails with everything the tool said."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, errors="replace", **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def sources(folder: Path) -> list[Path]:
    """The C files of a generated project that make its library, test vectors included."""
    found = [*folder.glob("*.c"), *(folder / "kernels").glob("*.c"), *(folder / "cmsis" / "Source").glob("*.c")]
    return sorted([*found, folder / "test" / "vectors.c"])


def includes(folder: Path, library: Path | None = None) -> list[str]:
    cmsis = folder / "cmsis"
    header = cmsis / "Include" if library is None else library / "Include"
    return [f"-I{path}" for path in (folder, folder / "kernels", header, cmsis / "exact")]


def compile_project(folder: Path, compiler: Sequence[str], *, library: Path | None = None) -> None:
    """Every source to an object, warnings being errors; `library`: with Arm's headers, without our sources."""
    chosen = [path for path in sources(folder) if library is None or "cmsis" not in path.relative_to(folder).parts]
    objects = folder.parent / "objects"
    objects.mkdir(exist_ok=True)
    paths = [path.resolve() for path in chosen]
    run([*compiler, *STRICT, "-O1", *includes(folder.resolve(), library), "-c", *paths], cwd=objects)


def cmake(*arguments: object) -> str:
    return run(["cmake", *arguments], env={**os.environ, "CFLAGS": " ".join(STRICT)})


def generator() -> list[str]:
    return ["-G", "Ninja"] if shutil.which("ninja") else []


def build_for_board(folder: Path, core: str, where: Path, program: str) -> Path:
    """The project `folder`, built with its own toolchain file; the program's image."""
    file = folder / "firmware" / "toolchain" / f"{core}.cmake"
    cmake("-S", folder, "-B", where, *generator(), f"-DCMAKE_TOOLCHAIN_FILE={file}")
    cmake("--build", where)
    (elf,) = (path for path in where.iterdir() if path.stem == program and path.is_file())
    return elf
