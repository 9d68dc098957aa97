"""Several models in one project: their sources side by side, one copy of each kernel, one arena that they share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

from . import __version__
from .emit.artefact import Compiled, project_name
from .emit.codegen import library_view, memory_usage, share
from .emit.memory import arena_bytes, ram_section
from .emit.templating import environment
from .errors import CheckFailed, UserError
from .folder import refuse_foreign
from .project import (
    OPTIMIZE,
    check_arena,
    check_flash,
    check_regions,
    linker_scripts,
    measured_report,
    project_files,
    write,
)
from .prove.profile import code_of_all, footprint


def build_together(
    models: Sequence[Compiled], folder: Path, *, name: str, ram: int | None, flash: int | None, optimize: str
) -> dict[str, Any]:
    """Write one project for all models; its report. They run one after the other, so the arenas share their memory.

    All were compiled for the same core and memory regions.

    UserError if names clash, CheckFailed if a budget is broken, before anything is written.
    """
    refuse_foreign(folder)
    project = project_name(name, "models")
    check_names([project, *(compiled.name for compiled in models)])
    models = share(models, project)
    reports = [measured_report(compiled, footprint(compiled, optimize=OPTIMIZE[optimize])) for compiled in models]
    code_bytes = code_of_all(models, optimize=OPTIMIZE[optimize])
    data = {
        "name": project,
        "mcugen": __version__,
        "target": models[0].core.name,
        "arena_bytes": sum(arena_bytes(models).values()) or max(compiled.arena_bytes for compiled in models),
        "const_bytes": sum(report["const_bytes"] for report in reports),
        "code_bytes": code_bytes,
        "memory": memory_usage(models, code_bytes),
        "models": reports,
    }
    check_regions(models, data["memory"])
    for compiled in models:
        check_arena(compiled, ram)
    if ram is not None and data["arena_bytes"] > ram:
        raise CheckFailed(
            f"the arena that the models share needs {data['arena_bytes']:,} bytes, --ram allows {ram:,}. No model "
            "alone needs more, but they need it in different memory regions."
        )
    check_flash(data, flash)
    files: dict[str, str] = {}
    sources: dict[str, None] = {}
    for compiled, report in zip(models, reports, strict=True):
        found = project_files(compiled, report, optimize, test=f"test/{compiled.name}")
        sources |= dict.fromkeys(found.sources)
        renamed = {"README.md": f"{compiled.name}.md", "report.html": f"{compiled.name}_report.html"}
        own = {renamed.get(path, path): text for path, text in found.files.items() if path not in _OF_ALL}
        clash = next((path for path, text in own.items() if files.get(path, text) != text), None)
        if clash is not None:
            raise UserError(f"two models would write {clash}", hint="Rename one of the model files.")
        files |= own
    arenas = _arenas(project, models)
    view = {
        "name": project,
        "upper": project.upper(),
        "version": __version__,
        "core": models[0].core.name,
        "requant": models[0].requant,
        "optimize": OPTIMIZE[optimize],
        **library_view(list(sources)),
        "tests": [{"name": compiled.name, "folder": f"test/{compiled.name}"} for compiled in models],
        "models": [compiled.name for compiled in models],
        "regions": [memory.name for memory in models[0].memories],
        "arenas": arenas,
        "declared": _declared(models, arenas),
        "arguments": {compiled.name: _argument(compiled, arenas) for compiled in models},
        "arena_bytes": data["arena_bytes"],
        "const_bytes": data["const_bytes"],
        "code_bytes": data["code_bytes"],
    }
    if models[0].memories:
        files |= linker_scripts(models, project)
    jinja = environment()
    for path, template in ((f"{project}.h", "together.h.j2"), ("README.md", "together.md.j2")):
        files[path] = jinja.get_template(template).render(m=view)
    files["CMakeLists.txt"] = jinja.get_template("CMakeLists.txt.j2").render(m=view)
    files["report.json"] = json.dumps(data, indent=2) + "\n"
    write(files, folder)
    return data


_OF_ALL = ("CMakeLists.txt", "report.json")


def check_names(names: Sequence[str]) -> None:
    """UserError if two projects or models would give one name to two things in C."""
    for one, other in permutations(names, 2):
        if one == other or other.startswith(f"{one}_"):
            raise UserError(
                f"{one!r} and {other!r} clash: every name in C begins with its model's",
                hint="Rename a model file so that no name begins with another and an underscore, or choose another "
                "--name or -o for the project.",
            )


def _parts(compiled: Compiled) -> dict[str, str]:
    """Memory region -> C type of what the model has in it; "" where the user names no regions."""
    parts = compiled.plan.parts
    if len(parts) > 1:
        return {part.name: f"{compiled.name}_{part.name}_t" for part in parts}
    first = next((memory.name for memory in compiled.memories if memory.is_data), "")
    return {parts[0].name if parts else first: f"{compiled.name}_arena_t"}


def _arenas(project: str, models: Sequence[Compiled]) -> list[dict[str, Any]]:
    """What the models share: a union in each memory region that holds some of their arenas."""
    regions = [memory.name for memory in models[0].memories] or [""]
    used = [region for region in regions if any(region in _parts(compiled) for compiled in models)]
    return [
        {
            "region": region,
            "type": f"{project}_{region}_t" if len(used) > 1 else f"{project}_arena_t",
            "variable": f"arena_{region}" if len(used) > 1 else "arena",
            "section": ram_section(region) if region else "",
            "members": {c.name: _parts(c)[region] for c in models if region in _parts(c)},
        }
        for region in used
    ]


def _declared(models: Sequence[Compiled], arenas: Sequence[Mapping[str, Any]]) -> list[str]:
    """A program's declarations of the memory that the models share, each part in the section of its region."""
    placed = [f'MCUGEN_SECTION("{arena["section"]}") ' if arena["section"] else "" for arena in arenas]
    lines = [f"static {where}{a['type']} {a['variable']};" for where, a in zip(placed, arenas, strict=True)]
    for name in (compiled.name for compiled in models if len(_parts(compiled)) > 1):
        members = (f".{a['region']} = &{a['variable']}.{name}" for a in arenas if name in a["members"])
        lines.append(f"static {name}_arena_t {name}_arena = {{{', '.join(members)}}};")
    return lines


def _argument(compiled: Compiled, arenas: Sequence[Mapping[str, Any]]) -> str:
    """What a program passes the model's functions as its arena."""
    if len(_parts(compiled)) > 1:
        return f"&{compiled.name}_arena"
    return next(f"&{arena['variable']}.{compiled.name}" for arena in arenas if compiled.name in arena["members"])
