"""`mcugen verify` and `mcugen profile`: the C is run, on this machine or on an emulated core."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table

from .. import project
from ..emit.artefact import Compiled
from ..errors import UserError
from ..folder import refuse_unwritable, with_folder
from ..prove.profile import profile as run_profile
from ..prove.program import library_of, where
from ..prove.samples import Samples, load_samples, random_samples
from ..prove.verify import reference
from ..prove.verify import verify as run_verify
from ..target import core
from .console import fail, guarded, out, progress
from .options import Chosen, check_ram, compile_chosen, model_options, run_options

HOST_SAMPLES = 1000
BOARD_SAMPLES = 8


@click.command()
@model_options
@run_options("host", "host, or a core whose board is emulated.")
@click.option("--outputs", type=click.Path(path_type=Path), metavar="Y.npz", help="Save what the C produced.")
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    help=f"[default: all of --inputs; random: {HOST_SAMPLES} on the host, {BOARD_SAMPLES} on an emulated core]",
)
@guarded
def verify(
    chosen: Chosen,
    on: str,
    inputs: Path | None,
    outputs: Path | None,
    samples: int | None,
    seed: int,
    cmsis_nn: Path | None,
    as_json: bool,
) -> None:
    """Compare the generated C with ONNX Runtime, byte for byte. Exit 1 if anything differs.

    \b
    mcugen verify kws.onnx                                      1000 random inputs, on this machine
    mcugen verify kws.onnx --on cortex-m4 --inputs real.npz     on an emulated core
    mcugen verify kws.onnx --cmsis-nn ~/CMSIS-NN                with Arm's library
    """
    refuse_unwritable(outputs)
    compiled = compile_chosen(chosen, _target_of(on), library_of(cmsis_nn))
    check_ram(compiled, chosen.ram)
    data = _samples(compiled, inputs, samples, HOST_SAMPLES if on == "host" else BOARD_SAMPLES, seed)
    result = run_verify(compiled, data, on, cmsis_nn, optimize=project.OPTIMIZE[chosen.optimize], progress=progress)
    if outputs is not None:
        with with_folder(outputs).open("wb") as stream:
            np.savez(stream, **dict(result.outputs))  # type: ignore[arg-type]
    ground = reference(compiled, result)
    if as_json:
        steps = [{"name": s.name, "kernel": s.kernel, "exactness": s.exactness} for s in compiled.steps]
        document = {
            "on": result.on,
            "samples": result.samples,
            "inputs": data.source,
            "library": compiled.library,
            "values": result.values,
            "mismatches": result.mismatches,
            "max_lsb": result.max_lsb,
            "max_abs_difference": result.max_abs_difference if np.isfinite(result.max_abs_difference) else None,
            "allowed_difference": result.allowed_difference,
            "within_tolerance": result.within_tolerance,
            "bit_exact": result.bit_exact,
            "promised": result.promised,
            "held": result.held,
            "first_difference": result.first_difference or None,
            "steps": steps,
            "reference": ground,
        }
        click.echo(json.dumps(document))
    else:
        _verification(compiled, data, result, ground)
    if not result.passed:
        fail(
            f"check failed: {result.mismatches} of {result.values} output values differ "
            f"(at most {result.max_lsb} steps). {result.first_difference}",
            1,
        )


def _verification(compiled: Compiled, data: Samples, result: Any, ground: dict[str, Any]) -> None:
    verdict = {"equality": "equal in every byte", "tolerance": "within tolerance", None: "DIFFERS"}[result.held]
    out.print(
        f"{compiled.name} on {where(result.on, compiled.library)}: {verdict} "
        f"({result.samples} samples, {data.source}; {result.values:,} values, {result.mismatches} differ)",
        markup=False,
    )
    if result.mismatches:
        allowed = f"; {result.allowed_difference:.3g} allowed" if result.promised == "tolerance" else ""
        size = f"{result.max_abs_difference:.3g}, at most {result.max_lsb} steps of a scale"
        out.print(f"largest difference: {size}{allowed}")
    counts: dict[str, int] = {}
    for step in compiled.steps:
        counts[step.exactness] = counts.get(step.exactness, 0) + 1
    out.print("steps: " + ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())))
    session = ", ".join(f"{key}={value}" for key, value in ground["session"].items())
    out.print(
        f"reference: ONNX Runtime {ground['onnxruntime']} on {ground['system']} {ground['machine']}, {session}",
        markup=False,
    )
    other = result.default_mismatches
    out.print(
        f"the plain default session differs from it in {other} of {result.values:,} values"
        + (f": {ground['default_session']['why']}" if other else ""),
        markup=False,
    )


@click.command()
@model_options
@run_options("cortex-m4", "A core whose board is emulated; the first sample of --inputs is run.")
@guarded
def profile(
    chosen: Chosen,
    on: str,
    inputs: Path | None,
    seed: int,
    cmsis_nn: Path | None,
    as_json: bool,
) -> None:
    """Instructions of one inference, whole and per step, with RAM and flash, on an emulated core.

    \b
    mcugen profile kws.onnx --on cortex-m4
    mcugen profile kws.onnx --on cortex-m55 --cmsis-nn ~/CMSIS-NN --json
    """
    if on == "host":
        raise UserError("instructions are counted on emulated cores", hint="Take --on cortex-m4.")
    compiled = compile_chosen(chosen, core(on).name, library_of(cmsis_nn))
    check_ram(compiled, chosen.ram)
    data = _samples(compiled, inputs, 1, 1, seed)
    result = run_profile(compiled, data, cmsis_nn, optimize=project.OPTIMIZE[chosen.optimize], progress=progress)
    size = result.footprint
    rows: list[dict[str, Any]] = [
        {"name": s.name, "kernel": s.kernel, "instructions": count, "macs": s.macs}
        for s, count in zip(compiled.steps, result.step_instructions, strict=True)
    ]
    document = {
        "on": on,
        "library": compiled.library,
        "instructions": result.instructions,
        "macs": compiled.macs,
        "arena_bytes": compiled.arena_bytes,
        "ram_bytes": size.ram_bytes,
        "flash_bytes": size.flash_bytes,
        "code_bytes": size.code_bytes,
        "const_bytes": size.const_bytes,
        "stack_bytes": result.stack_bytes,
        "stack_bound_bytes": size.stack.bound_bytes,
        "steps": rows,
    }
    if as_json:
        click.echo(json.dumps(document))
        return
    table = Table(
        "step", "kernel", box=None, title=f"{compiled.name} on {where(on, compiled.library)}", title_justify="left"
    )
    for column in ("instructions", "share", "MAC", "per MAC"):
        table.add_column(column, justify="right")
    for row in rows:
        each = f"{row['instructions'] / row['macs']:.2f}" if row["macs"] else ""
        share = f"{100 * row['instructions'] / max(result.instructions, 1):.1f} %"
        table.add_row(row["name"], row["kernel"], f"{row['instructions']:,}", share, f"{row['macs']:,}", each)
    out.print(table)
    out.print(
        f"{result.instructions:,} instructions for {compiled.macs:,} MAC; RAM {size.ram_bytes:,} bytes "
        f"(arena {compiled.arena_bytes:,}); flash {size.flash_bytes:,} bytes "
        f"(code {size.code_bytes:,}, tables {size.const_bytes:,}); stack {result.stack_bytes:,} bytes, "
        + ("no bound: " + size.stack.why if size.stack.bound_bytes is None else f"at most {size.stack.bound_bytes:,}")
    )


def _samples(compiled: Compiled, inputs: Path | None, count: int | None, default: int, seed: int) -> Samples:
    """The file's samples (all, if no number is given), or random ones."""
    if inputs is not None:
        return load_samples(compiled, inputs, count)
    return random_samples(compiled, count or default, seed)


def _target_of(on: str) -> str:
    """The core to compile for: the host runs what a Cortex-M4 gets."""
    return "cortex-m4" if on == "host" else core(on).name
