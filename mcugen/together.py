"""Several models in one project: their sources side by side, one copy of each kernel, one arena that they share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

from . import __version__
from .emit.artefact import Compiled, project_name
from .emit.codegen import environment
from .errors import CheckFailed, UserError
from .folder import refuse_foreign
from .project import OPTIMIZE, check_budgets, measured_report, project_files, write
from .prove.profile import code_of_all, footprint


def build_together(
    models: Sequence[Compiled], folder: Path, *, name: str, ram: int | None, flash: int | None, optimize: str
) -> dict[str, Any]:
    """Write one project for all models; its report. They run one after the other, so the arenas share their memory.

    UserError if names clash, CheckFailed if a budget is broken, before anything is written.
    """
    refuse_foreign(folder)
    project = project_name(name, "models")
    check_names([project, *(compiled.name for compiled in models)])
    reports = [measured_report(compiled, footprint(compiled, optimize=OPTIMIZE[optimize])) for compiled in models]
    for compiled, data in zip(models, reports, strict=True):
        check_budgets(compiled, data, ram, None)
    data = {
        "name": project,
        "mcugen": __version__,
        "target": models[0].core.name,
        "arena_bytes": max(compiled.arena_bytes for compiled in models),
        "const_bytes": sum(report["const_bytes"] for report in reports),
        "code_bytes": code_of_all(models, optimize=OPTIMIZE[optimize]),
        "models": reports,
    }
    used = data["const_bytes"] + (data["code_bytes"] or 0)
    if flash is not None and used > flash:
        raise CheckFailed(f"the models need {used:,} bytes, --flash allows {flash:,}: {used - flash:,} too many.")
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
    view = {
        "name": project,
        "upper": project.upper(),
        "version": __version__,
        "core": models[0].core.name,
        "requant": models[0].requant,
        "optimize": OPTIMIZE[optimize],
        "files": list(sources),
        "tests": [{"name": compiled.name, "folder": f"test/{compiled.name}"} for compiled in models],
        "models": [compiled.name for compiled in models],
        "arena_bytes": data["arena_bytes"],
        "const_bytes": data["const_bytes"],
        "code_bytes": data["code_bytes"],
    }
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
