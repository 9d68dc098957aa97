"""The architecture's one rule: each stage imports only what stands before it. And who may use which library."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import mcugen

ROOT = Path(mcugen.__file__).parent
# From the bottom up: files and packages of mcugen. None imports one that stands behind it.
STAGES = (
    *("errors", "resources", "folder", "ir", "step", "target", "pieces", "requant", "oracle"),
    *("frontend", "ops", "passes", "plan", "emit", "prove"),
    *("plugin", "pipeline", "project", "together", "deliver", "commands", "cli"),
)
LEVEL = {stage: level for level, stage in enumerate(STAGES)}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")
# What only these stages import: one place runs ONNX Runtime, one spells C, one talks to people.
OWNERS = {
    "cffi": {"prove"},
    "click": {"commands", "cli"},
    "jinja2": {"emit"},
    "onnxruntime": {"oracle", "deliver"},
    "rich": {"commands"},
    "yaml": {"deliver"},
}


def stage_of(parts: tuple[str, ...]) -> str:
    """The stage of a module below mcugen, from its path or its dotted name."""
    return parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Dotted names that a file imports anywhere, whatever the form of the import."""
    package = ("mcugen", *path.relative_to(ROOT).parent.parts)
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def imported_stages(path: Path) -> set[str]:
    found = {tuple(name.split(".")) for name in imported(path)}
    return {parts[1] for parts in found if parts[0] == "mcugen" and len(parts) > 1 and not parts[1].startswith("__")}


def imported_files(path: Path) -> set[Path]:
    """The files of mcugen behind the imports; a package's own __init__.py for a name that it defines."""
    found = set()
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "mcugen":
            inside = (ROOT.joinpath(*parts[1:stop]) for stop in range(len(parts), 0, -1))
            files = (file for at in inside for file in (at.with_suffix(".py"), at / "__init__.py") if file.is_file())
            found.update(list(files)[:1])
    return found - {path, ROOT / "__init__.py"}


def test_every_stage_has_a_place() -> None:
    assert {stage_of(path.relative_to(ROOT).parts) for path in FILES} - {"_data"} == set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    own = stage_of(path.relative_to(ROOT).parts)
    above = {stage for stage in imported_stages(path) if LEVEL[stage] > LEVEL[own]}
    assert not above, f"{own} imports {sorted(above)}, which stand above it"
    strange = {name.split(".")[0] for name in imported(path)} & set(OWNERS)
    assert all(own in OWNERS[library] for library in strange), f"{own} imports {sorted(strange)}"


def test_no_files_import_each_other_in_a_circle() -> None:
    assert len(list(TopologicalSorter({path: imported_files(path) for path in FILES}).static_order())) == len(FILES)


def test_the_rules_see_imports() -> None:
    assert imported_stages(ROOT / "commands" / "build.py") >= {"pipeline", "project", "emit", "errors"}
    assert imported_stages(ROOT / "ir.py") == set()
    assert imported_files(ROOT / "ops" / "float_conv.py") >= {ROOT / "ops" / "conv.py", ROOT / "errors.py"}
    assert "click" in imported(ROOT / "cli.py")
