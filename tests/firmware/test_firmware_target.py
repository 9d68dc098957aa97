"""The table of cores, memory sizes, and the CMake files that repeat the table for users without Python."""

from __future__ import annotations

import itertools
import re
import subprocess

import pytest

from mcugen import resources
from mcugen.emit.memory import toolchain_file
from mcugen.errors import UserError
from mcugen.prove import emulator, toolchain
from mcugen.target import CORES, Core, core, parse_size

TOOLCHAINS = resources.firmware() / "toolchain"


def test_known_cores() -> None:
    assert [known.name for known in CORES] == [
        *("cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m23", "cortex-m33"),
        *("cortex-m35p", "cortex-m52", "cortex-m55", "cortex-m85"),
    ]
    assert all(core(known.name) is known for known in CORES)


@pytest.mark.parametrize("name", ["host", "cortex-m1", "Cortex-M4", "", "cortex-m1+nofp", "+nofp"])
def test_unknown_core_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UserError, match=rf"unknown core '{re.escape(name)}'\. Known: cortex-m0, .*, cortex-m85\."):
        core(name)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("cortex-m0+nofp", "cortex-m0."),
        ("cortex-m4+nodsp", "cortex-m4, cortex-m4+nofp."),
        ("cortex-m4+nofp+nofp", "cortex-m4, cortex-m4+nofp."),
        ("cortex-m33+", "cortex-m33, cortex-m33+nodsp, cortex-m33+nofp."),
    ],
)
def test_unknown_option_lists_the_cores_own(name: str, known: str) -> None:
    with pytest.raises(UserError) as refused:
        core(name)
    assert refused.value.hint == f"Known: {known}"


def _every_core() -> list[Core]:
    """Each core less each set of its options."""
    sets = [(known, some) for known in CORES for n in range(3) for some in itertools.combinations(known.options, n)]
    return [core("+".join((known.name, *some))) for known, some in sets]


@pytest.mark.parametrize("known", _every_core(), ids=lambda known: known.name)
def test_compiler_agrees_on_what_a_core_has(known: Core) -> None:
    reason = toolchain.available(known, to_run=False)
    if reason:
        pytest.skip(reason)
    command = [toolchain.ARM_GCC, "-mthumb", *known.flags, "-dM", "-E", "-x", "c", "/dev/null"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    macros = dict(re.findall(r"^#define __ARM_(\w+) (\w+)$", text, re.MULTILINE))
    helium = int(macros.get("FEATURE_MVE", "0"))
    isa = "mve" if helium else "dsp" if "FEATURE_DSP" in macros else "v7m" if macros["ARCH_ISA_THUMB"] == "2" else "v6m"
    assert (isa, "FP" in macros) == (known.isa, known.has_fpu)
    assert known.isa != "mve" or known.mve_float == (helium == 3)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("262144", 262144),
        ("1", 1),
        ("256K", 262144),
        ("256k", 262144),
        ("64KiB", 65536),
        ("64 KB", 65536),
        ("512B", 512),
        ("1M", 1048576),
        (" 2MiB ", 2097152),
    ],
)
def test_parse_size(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "K", "0", "0K", "-1", "1.5M", "1G", "256 K B", "256iB", "1e3", "\u0663K"])
def test_parse_size_refuses(text: str) -> None:
    with pytest.raises(UserError, match="is not a memory size"):
        parse_size(text)


def test_every_core_has_a_toolchain_file() -> None:
    assert {path.stem for path in TOOLCHAINS.glob("cortex-*.cmake")} == {known.name for known in CORES}


@pytest.mark.parametrize("known", CORES, ids=lambda known: known.name)
def test_toolchain_file_agrees_with_the_table(known: Core) -> None:
    assert (TOOLCHAINS / f"{known.name}.cmake").read_text() == toolchain_file(known)


def test_constants_shared_with_the_header() -> None:
    header = (resources.firmware() / "board.h").read_text()
    numbers = dict(re.findall(r"#define (BOARD_\w+) (\d+)", header))
    assert numbers == {
        "BOARD_EXIT_FAULT": str(emulator.FAULT_EXIT),
        "BOARD_WRAP_INSTRUCTIONS": str(emulator.WRAP_INSTRUCTIONS),
    }
