"""What lies in which memory region: parts of the arena, tables and code worth a faster memory than flash, the rest in
flash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .artefact import Compiled

_ALIGN = 16  # of every table


def ram_section(region: str) -> str:
    """Of a part of the arena. A link without NAME_sections.ld takes it for .bss."""
    return f".bss.mcugen_{region}"


def table_section(region: str) -> str:
    """Of the tables that start-up copies into a RAM region. A link without NAME_sections.ld leaves them in flash."""
    return f".rodata.mcugen_{region}"


def stage(compiled: Compiled, tables: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Table -> the RAM region it is copied to: those read most often per byte, as far as the arena leaves room.

    Only regions that the user prefers to flash, and only tables that are read more than once.
    """
    memories = compiled.memories
    used = _arena(compiled)
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


def _arena(compiled: Compiled) -> dict[str, int]:
    """Bytes of the arena in each region; what its struct holds beside the plan counts in the first."""
    beside = compiled.arena_bytes - compiled.plan.arena_bytes
    return {
        part.name: part.size_bytes + (beside if index == 0 else 0) for index, part in enumerate(compiled.plan.parts)
    }


def usage(compiled: Compiled, tables: Sequence[Mapping[str, Any]], code_bytes: int | None) -> list[dict[str, Any]]:
    """Every region with what it holds, in bytes. What start-up copies stands in flash, too, from where it is taken."""
    arena = _arena(compiled)
    flash = next((memory.name for memory in compiled.memories if memory.is_flash), None)
    rows = []
    for memory in compiled.memories:
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
