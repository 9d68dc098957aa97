"""The table of cores, memory sizes, and the CMake files that repeat the table for users without Python."""

from __future__ import annotations

import re

import pytest

from mcugen import resources
from mcugen.errors import UserError
from mcugen.prove import emulator
from mcugen.target import CORES, Core, core, parse_size

TOOLCHAINS = resources.firmware() / "toolchain"


def test_known_cores() -> None:
    assert [known.name for known in CORES] == [
        *("cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"),
        "cortex-m85",
    ]
    assert all(core(known.name) is known for known in CORES)


@pytest.mark.parametrize("name", ["host", "cortex-m1", "Cortex-M4", ""])
def test_unknown_core_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UserError, match=rf"unknown core '{name}'\. Known: cortex-m0, .*, cortex-m85\."):
        core(name)


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
    text = (TOOLCHAINS / f"{known.name}.cmake").read_text()
    flags = re.search(r'set\(CORE_FLAGS "(.*)"\)', text)
    assert flags is not None
    assert tuple(flags[1].split()) == known.flags
    numbers = {name: int(value, 16) for name, value in re.findall(r"^  (\w+)=(0x[0-9a-f]+)$", text, re.MULTILINE)}
    assert numbers == known.memory.symbols()
    assert text.splitlines()[0].startswith(f"# {known.name}: ")
    assert known.machine is None or known.machine in text


def test_constants_shared_with_the_header() -> None:
    header = (resources.firmware() / "board.h").read_text()
    numbers = dict(re.findall(r"#define (BOARD_\w+) (\d+)", header))
    assert numbers == {
        "BOARD_EXIT_FAULT": str(emulator.FAULT_EXIT),
        "BOARD_WRAP_INSTRUCTIONS": str(emulator.WRAP_INSTRUCTIONS),
    }
