"""The architecture's one rule: each stage imports only what stands before it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mcugen

ROOT = Path(mcugen.__file__).parent
# From the bottom up; the stages of one line may import each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "resources", "folder"),
    ("ir",),
    ("requant", "pieces", "oracle", "target", "step"),
    ("frontend",),
    ("ops",),
    ("passes",),
    ("plan",),
    ("emit",),
    ("prove",),
    ("console", "pipeline", "plugin", "project", "together"),
    ("deliver",),
    ("cli",),
)
LEVEL = {stage: level for level, stages in enumerate(LAYERS) for stage in stages}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def stage_of(parts: tuple[str, ...]) -> str:
    """The stage of a module below mcugen, from its path or its dotted name."""
    return parts[0].removesuffix(".py")


def imported_stages(path: Path) -> set[str]:
    """Stages of mcugen that a file imports anywhere, whatever the form of the import."""
    package = ("mcugen", *path.relative_to(ROOT).parent.parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "mcugen" and len(parts) > 1 and not parts[1].startswith("__"):
                found.add(parts[1])
    return found


def test_every_stage_has_a_place() -> None:
    assert {stage_of(path.relative_to(ROOT).parts) for path in FILES} - {"_data"} <= set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    own = stage_of(path.relative_to(ROOT).parts)
    above = {stage for stage in imported_stages(path) if LEVEL[stage] > LEVEL[own]}
    assert not above, f"{own} imports {sorted(above)}, which stand above it"


def test_the_rule_sees_imports() -> None:
    assert imported_stages(ROOT / "cli.py") >= {"pipeline", "project", "prove", "errors"}
    assert imported_stages(ROOT / "ir.py") == set()
