"""Measures speed and size, and writes docs/benchmarks.md, docs/benchmarks.svg and docs/benchmarks.json.

    python tools/bench.py [--models ../shared/models] [--cmsis-nn PATH] [--core cortex-m4] [--only NAME]

Instructions of one inference on every emulated core (exact, the same on every machine), with the flash and the RAM that
the model adds to an image and the stack that the run takes: with specialised kernels, with the bundled kernels behind
CMSIS-NN's calls, and with Arm's library, where given. The input is random, seed 0. --core and --only restrict the
measurement and write nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mcugen import pipeline, project
from mcugen.prove.profile import profile
from mcugen.prove.samples import random_samples
from mcugen.prove.toolchain import available
from mcugen.target import CORES

DOCS = Path(__file__).resolve().parent.parent / "docs"
KINDS = ("_tflite_qdq", "_qdq_s8s8")


@dataclass(frozen=True)
class Variant:
    """One way to build: its label, kernels, library and --optimize."""

    label: str
    kernels: str
    library: str
    optimize: str
    colour: str


VARIANTS = (
    Variant("specialised, speed", "specialised", "bundled", "speed", "#1b7f5c"),
    Variant("specialised, balanced", "specialised", "bundled", "balanced", "#6fbf9f"),
    Variant("bundled api", "api", "bundled", "speed", "#d9a441"),
    Variant("Arm's CMSIS-NN", "api", "arm", "speed", "#8a8f98"),
)


def models(folder: Path) -> Iterator[Path]:
    yield DOCS.parent / "examples" / "digits" / "digits.onnx"
    yield from (path for path in sorted(folder.glob("*.onnx")) if path.stem.endswith(KINDS))


def measure(model: Path, core: str, variant: Variant, cmsis_nn: Path | None) -> dict[str, Any]:
    options = pipeline.Options(core, kernels=variant.kernels, library=variant.library, optimize=variant.optimize)
    compiled = pipeline.compile(model, options)
    library = cmsis_nn if variant.library == "arm" else None
    level = project.OPTIMIZE[variant.optimize]
    found = profile(compiled, random_samples(compiled, 1, seed=0), library, optimize=level)
    return {
        "model": model.stem.removesuffix("_tflite_qdq").removesuffix("_qdq_s8s8"),
        "file": model.name,
        "core": core,
        "variant": variant.label,
        "macs": compiled.macs,
        "instructions": found.instructions,
        "flash_bytes": found.footprint.flash_bytes,
        "code_bytes": found.footprint.code_bytes,
        "const_bytes": found.footprint.const_bytes,
        "ram_bytes": found.footprint.ram_bytes,
        "stack_bytes": found.stack_bytes,
        "steps": {step.name: count for step, count in zip(compiled.steps, found.step_instructions, strict=True)},
    }


Rows = dict[tuple[str, str], dict[str, dict[str, Any]]]


def by_case(measured: list[dict[str, Any]]) -> Rows:
    """(model, core) -> variant -> row."""
    cases: Rows = {}
    for row in measured:
        cases.setdefault((row["model"], row["core"]), {})[row["variant"]] = row
    return cases


SIZES = {"code_bytes": "code", "const_bytes": "tables", "ram_bytes": "RAM", "stack_bytes": "stack"}


def markdown(cases: Rows, labels: list[str]) -> str:
    lines = [
        "# Benchmarks",
        "",
        "Instructions of one inference (in millions), counted on emulated cores. Made by `tools/bench.py`.",
        "Instructions are not cycles: they leave out caches, wait states and dual issue. *speed* may store a weight as",
        "int16, *balanced* takes one byte for each. `benchmarks.json` has the instructions of every step.",
        "",
        "![Instructions relative to Arm's CMSIS-NN](benchmarks.svg)",
        "",
        f"| model | core | {' | '.join(labels)} |",
        "|---|---|" + "---:|" * len(labels),
    ]
    for (model, core), row in cases.items():
        counts = " | ".join(f"{row[label]['instructions'] / 1e6:.3f}" for label in labels)
        lines.append(f"| {model} | {core.removeprefix('cortex-')} | {counts} |")
    lines += [
        "",
        f"What the model adds to an image, in bytes: {' / '.join(labels)}. The stack is the most that the run was seen",
        "to take.",
        "",
        f"| model | core | {' | '.join(SIZES.values())} |",
        "|---|---|" + "---:|" * len(SIZES),
    ]
    for (model, core), row in cases.items():
        sizes = (" / ".join(f"{row[label][what]:,}" for label in labels) for what in SIZES)
        lines.append(f"| {model} | {core.removeprefix('cortex-')} | {' | '.join(sizes)} |")
    return "\n".join([*lines, ""])


PANEL, LEFT, ROW, BAR = 470, 150, 16, 10  # pixels: width of a panel, of its names, height of a bar's row, of a bar
SCALE = 150  # pixels that stand for the baseline


def svg(cases: Rows, labels: list[str]) -> str:
    """Panels side by side, one a core; bars are instructions relative to the last label's."""
    cores = list(dict.fromkeys(core for _, core in cases))
    names = list(dict.fromkeys(model for model, _ in cases))
    block = ROW * (len(labels) - 1) + 10
    panel = block * len(names) + 40
    width, height = 2 * PANEL + 20, (len(cores) + 1) // 2 * panel + 40
    shown = {variant.label: variant.colour for variant in VARIANTS}
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f"<title>Instructions of one inference, relative to {labels[-1]}</title>",
    ]
    for index, label in enumerate(labels):
        x = 12 + index * 190
        out.append(f'<rect x="{x}" y="10" width="10" height="10" fill="{shown[label]}"/>')
        out.append(f'<text x="{x + 15}" y="19">{label}{" (line)" if label == labels[-1] else ""}</text>')
    for number, core in enumerate(cores):
        x0, y0 = number % 2 * PANEL + 10, number // 2 * panel + 50
        out.append(f'<text x="{x0}" y="{y0}" font-weight="bold" font-size="13">{core}</text>')
        for position, name in enumerate(names):
            top = y0 + 12 + position * block
            row = cases[name, core]
            out.append(f'<text x="{x0}" y="{top + ROW * (len(labels) - 1) / 2 + 3:g}">{name.replace("_", " ")}</text>')
            for line, label in enumerate(labels[:-1]):
                ratio = row[label]["instructions"] / row[labels[-1]]["instructions"]
                y, length = top + line * ROW, round(ratio * SCALE, 1)
                out.append(f'<rect x="{x0 + LEFT}" y="{y}" width="{length}" height="{BAR}" fill="{shown[label]}"/>')
                out.append(f'<text x="{x0 + LEFT + length + 4:g}" y="{y + 9}">{ratio:.2f}</text>')
        line = x0 + LEFT + SCALE
        bottom = y0 + 4 + len(names) * block
        out.append(f'<path d="M{line} {y0 + 6}V{bottom}" stroke="{shown[labels[-1]]}" stroke-dasharray="3 2"/>')
    return "\n".join([*out, "</svg>", ""])


@click.command()
@click.option("--models", "folder", type=click.Path(path_type=Path), default=DOCS.parent.parent / "shared" / "models")
@click.option("--cmsis-nn", envvar="CMSIS_NN_ROOT", type=click.Path(path_type=Path))
@click.option("--core", "only_core", default="", help="Only this core.")
@click.option("--only", default="", help="Only models whose name contains this.")
def main(folder: Path, cmsis_nn: Path | None, only_core: str, only: str) -> None:
    variants = [variant for variant in VARIANTS if variant.library != "arm" or cmsis_nn is not None]
    cores = [c.name for c in CORES if c.name != "cortex-m0plus" and available(c) is None]
    measured = []
    for model in models(folder):
        for core in cores:
            if only in model.stem and only_core in ("", core):
                for variant in variants:
                    measured.append(measure(model, core, variant, cmsis_nn))
                    click.echo(json.dumps(measured[-1]))
    if only or only_core:
        return
    DOCS.mkdir(exist_ok=True)
    cases, labels = by_case(measured), [variant.label for variant in variants]
    lines = ",\n".join(json.dumps(row) for row in measured)
    (DOCS / "benchmarks.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    (DOCS / "benchmarks.md").write_text(markdown(cases, labels), encoding="utf-8")
    (DOCS / "benchmarks.svg").write_text(svg(cases, labels), encoding="utf-8")


if __name__ == "__main__":
    main()
