"""Arena bytes of every shared model, and what a tight budget costs in instructions: writes docs/memory.md.

python tools/memory.py [--models ../shared/models] [--on cortex-m4]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from mcugen import pipeline
from mcugen.prove.profile import profile
from mcugen.prove.samples import random_samples
from mcugen.prove.toolchain import available
from mcugen.target import core

ROOT = Path(__file__).resolve().parent.parent
# Model -> (goal for whole layers, goal for bands of rows, the budget measured), in bytes.
GOALS = {
    "image_classification_tflite_qdq": (33_500, 24_000, 24_000),
    "keyword_spotting_tflite_qdq": (8_800, 8_000, 8_000),
    "visual_wake_words_tflite_qdq": (38_000, 31_500, 31_500),
    "anomaly_detection_tflite_qdq": (768, 768, 0),
    "streaming_wakeword_tflite_qdq": (5_600, 5_000, 5_000),
    "fatigue_qdq_s8s8": (None, 262_144, 262_144),
}


@dataclass(frozen=True)
class Measured:
    arena_bytes: int
    bound_bytes: int
    instructions: int | None  # None: this machine cannot run the core
    code_bytes: int | None


def measure(path: Path, on: str, *, run: bool, **options: object) -> Measured:
    compiled = pipeline.compile(path, pipeline.Options(core=on, **options))  # type: ignore[arg-type]
    plan = compiled.plan
    if not run or available(core(on)):
        return Measured(plan.arena_bytes, plan.bound_bytes, None, None)
    result = profile(compiled, random_samples(compiled, 1, seed=0))
    return Measured(plan.arena_bytes, plan.bound_bytes, result.instructions, result.footprint.code_bytes)


def row(path: Path, on: str) -> str:
    whole_goal, banded_goal, budget = GOALS[path.stem]
    arm = measure(path, on, run=False, library="arm", kernels="api")
    api = measure(path, on, run=False, kernels="api")
    whole = measure(path, on, run=True, optimize="size")
    default = measure(path, on, run=True)
    banded = measure(path, on, run=True, ram=budget)
    smallest = measure(path, on, run=False, ram=0) if budget else banded
    cells = [
        path.stem,
        f"{arm.arena_bytes:,}",
        f"{api.arena_bytes:,}",
        f"{whole.arena_bytes:,}",
        f"{whole.bound_bytes:,}",
        "" if whole_goal is None else f"{whole_goal:,}",
        f"{default.arena_bytes:,}",
        *_costs(whole, default),
        f"{banded.arena_bytes:,}",
        f"{banded.bound_bytes:,}",
        f"{banded_goal:,}",
        *_costs(whole, banded),
        f"{smallest.arena_bytes:,}",
    ]
    return "| " + " | ".join(cells) + " |"


def _costs(before: Measured, after: Measured) -> tuple[str, str]:
    """Instructions and bytes of code more."""
    if before.instructions is None or after.instructions is None or before.code_bytes is None:
        return "", ""
    change = 100 * (after.instructions / before.instructions - 1)
    return f"{change:+.2f} %", f"{(after.code_bytes or 0) - before.code_bytes:+,}"


@click.command()
@click.option("--models", type=click.Path(path_type=Path, exists=True), default=ROOT.parent / "shared" / "models")
@click.option("--on", default="cortex-m4", show_default=True)
def main(models: Path, on: str) -> None:
    lines = [
        "# Memory",
        "",
        f"Arena bytes for {on}, inputs, outputs and scratch included. Made by `tools/memory.py`.",
        "",
        "- Arm's: plan for Arm's library (`--library arm`): tensors apart, its scratch.",
        "- api: bundled kernels behind the CMSIS-NN calls, without scratch; outputs follow their inputs.",
        "- whole: specialised kernels, whole layers (what `--optimize size` plans); an Add behind a layer is part",
        "  of it where that saves memory.",
        "- bound: no plan of the same steps is smaller.",
        "- default: as whole, but in bands of rows where by measured bounds they take no instruction more, and at",
        "  most half as many bytes of code as they spare of RAM. Only for `balanced` and arenas from 16 KB.",
        "  Instructions and bytes of code against whole.",
        "- bands: with `--ram` at the goal (`--ram min` where it cannot be kept): layers run in bands of rows, or by",
        "  kernels with less scratch, as far as the budget asks. Instructions and bytes of code against whole.",
        "  Bands of a layer share its code, and pass their rows; the code is that of the calls. With `--optimize",
        "  speed` each number of rows has code of its own.",
        "- min: `--ram min`.",
        "",
        "| model | Arm's | api | whole | bound | goal | default | instructions | code "
        "| bands | bound | goal | instructions | code | min |",
        "|---|" + "---:|" * 14,
    ]
    with click.progressbar([models / f"{name}.onnx" for name in GOALS], label="memory") as paths:
        lines += [row(path, on) for path in paths]
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "memory.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
