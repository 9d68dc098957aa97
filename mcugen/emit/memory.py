"""What lies in which memory region: parts of the arena, tables and code worth a faster one; the rest is in flash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import resources
from ..target import Core, Memory
from .artefact import Compiled

_ALIGN = 16  # of every table


def ram_section(region: str) -> str:
    """Of a part of the arena. A link without NAME_sections.ld takes it for .bss."""
    return f".bss.mcugen_{region}"


def table_section(region: str) -> str:
    """Of the tables that start-up copies into a RAM region. A link without NAME_sections.ld leaves them in flash."""
    return f".rodata.mcugen_{region}"


def stage(models: Sequence[Compiled], tables: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Table -> the RAM region it is copied to: those read most often per byte, as far as the arena leaves room.

    Only regions that the user prefers to flash, and only tables that are read more than once.
    tables: of all models; each is taken to run as often as the others.
    """
    memories = models[0].memories
    used = arena_bytes(models)
    flash = next((index for index, memory in enumerate(memories) if memory.is_flash), 0)
    spare = {m.name: m.size_bytes - used.get(m.name, 0) for m in memories[:flash] if m.is_data}
    found: dict[str, str] = {}
    for table in sorted(tables, key=lambda table: (-table["reads"] / table["count"], table["name"])):
        size = -(-table["bytes"] // _ALIGN) * _ALIGN
        region = next((name for name, left in spare.items() if size <= left), None)
        if region is not None and table["reads"] > table["count"] and not table["sums"]:
            found[table["name"]] = region
            spare[region] -= size
    return found


def arena_bytes(models: Sequence[Compiled]) -> dict[str, int]:
    """Bytes of the arena in each region: the largest need of any model, as they run one after the other.

    What its struct holds beside the plan counts in the first region.
    """
    found: dict[str, int] = {}
    for compiled in models:
        beside = compiled.arena_bytes - compiled.plan.arena_bytes
        for part in compiled.plan.parts:
            found[part.name] = max(found.get(part.name, 0), part.size_bytes + beside)
            beside = 0
    return found


def usage(
    models: Sequence[Compiled], tables: Sequence[Mapping[str, Any]], code_bytes: int | None
) -> list[dict[str, Any]]:
    """Every region with what it holds, in bytes. What start-up copies stands in flash, too, from where it is taken."""
    memories = models[0].memories
    arena = arena_bytes(models)
    flash = next((memory.name for memory in memories if memory.is_flash), None)
    rows = []
    for memory in memories:
        inside = [t["bytes"] for t in tables if not t["sums"] and memory.name in (t["region"], flash)]
        row = {
            "region": memory.name,
            "bytes": memory.size_bytes,
            "arena_bytes": arena.get(memory.name, 0),
            "table_bytes": sum(-(-size // _ALIGN) * _ALIGN for size in inside),
            "code_bytes": code_bytes or 0 if memory.name == flash or memory.is_code else 0,
        }
        used = row["arena_bytes"] + row["table_bytes"] + row["code_bytes"]
        rows.append(row | {"used_bytes": used, "over_bytes": max(0, used - memory.size_bytes)})
    return rows


_REGIONS = "\nSECTIONS\n"  # in firmware/link.ld: in front of it
_SECTIONS = "  /* memory regions: INCLUDE"  # the line that begins so


def toolchain_file(core: Core) -> str:
    """firmware/toolchain/CORE.cmake: its compiler flags, and the memory map of its emulated board."""
    if core.machine is None:
        board = f"no emulator has it; needs GCC {core.gcc}; the map is the Cortex-M55's mps3-an547"
    else:
        board = f"the memory map is that of QEMU's {core.machine}"
    symbols = [f"  {name}={number:#010x}" for name, number in core.memory.symbols().items()]
    lines = [
        f"# {core.name}: {board}",
        f'set(CORE_FLAGS "{" ".join(core.flags)}")',
        *("set(BOARD_MEMORY", *symbols, '  CACHE STRING "Memory map of the board, as link.ld\'s symbols")'),
        "include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)",
    ]
    return "\n".join(lines) + "\n"


def link_script(core: Core, memories: Sequence[Memory], sections: str) -> str:
    """firmware/link.ld with the user's regions on the core's emulated board, and `sections` where they belong.

    The board's tightly coupled memory is the first region that is RAM for data; the others lie in its RAM and flash.
    """
    text = (resources.firmware() / "link.ld").read_text(encoding="utf-8")
    tcm = core.memory.tcm
    lines = []
    for memory in memories:
        if memory.name == "ram":  # the script's own
            continue
        if tcm is not None and memory.is_data:
            lines.append(
                f"MEMORY {{ {memory.name.upper()} (rwx) : ORIGIN = {tcm.base:#x}, LENGTH = {tcm.size_bytes:#x} }}"
            )
            tcm = None
        else:
            alias = "CODE" if memory.is_flash else "RAM"
            lines.append(f'REGION_ALIAS("{memory.name.upper()}", {alias})')
    text = text.replace(_REGIONS, "\n".join(["", *lines, _REGIONS]))
    return "\n".join(sections if line.startswith(_SECTIONS) else line for line in text.split("\n"))
