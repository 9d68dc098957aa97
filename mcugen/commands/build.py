"""`mcugen build`: a project from one model or several, and what there is to say of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import onnx
from rich.table import Table

from .. import ir, pipeline, project
from ..emit.canonical import canonical_model
from ..errors import UserError
from ..folder import refuse_unwritable, with_folder
from ..ops.specialised import TOO_LARGE
from ..plan.choose import WHOLE
from ..target import parse_size
from ..together import build_together
from .console import err, guarded, out, progress
from .options import Chosen, budget_bytes, compile_chosen, model_options


@click.command()
@model_options
@click.argument("more", nargs=-1, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the project [default: out/NAME].")
@click.option("--target", default="cortex-m4", show_default=True, help="Core: `mcugen targets` lists them.")
@click.option("--format", "layout", type=click.Choice(["cmake"]), default="cmake", show_default=True)
@click.option("--flash", metavar="SIZE", help="Budget of tables and code, as 1M: exit 1 if it is broken.")
@click.option(
    "--library",
    type=click.Choice(["bundled", "arm"]),
    default="bundled",
    show_default=True,
    help="arm: for a build with -DCMSIS_NN_ROOT. It takes scratch, and no output may reach into its input.",
)
@click.option(
    "--emit-canonical",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the canonical integer ONNX graph the C is held against.",
)
@click.option(
    "--dump-after",
    type=click.Choice([*pipeline.pass_names(), "all"]),
    metavar="PASS",
    help=f"Print the IR after a pass ({', '.join(pipeline.pass_names())}, or all).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@guarded
def build(
    chosen: Chosen,
    more: tuple[Path, ...],
    output: Path | None,
    target: str,
    layout: str,
    flash: str | None,
    library: str,
    emit_canonical: Path | None,
    dump_after: str | None,
    as_json: bool,
) -> None:
    """Compile MODEL.onnx to a C project; several models to one, with an arena that they share.

    \b
    mcugen build wake.onnx command.onnx -o out/voice
    mcugen build kws.onnx -o out/kws --target cortex-m4 --ram 64K
    mcugen build model.onnx -o out/m --shape input=1,3,224,224 --io float
    mcugen build model.onnx -o out/m --dump-after to_nhwc
    """
    limits = (budget_bytes(chosen.ram), None if flash is None else parse_size(flash))
    refuse_unwritable(emit_canonical)

    def seen(pass_name: str, graph: ir.Graph) -> None:
        if dump_after in (pass_name, "all"):
            err.print(f"-- after {pass_name}\n{ir.format_graph(graph)}", markup=False, soft_wrap=True)

    if more:
        _build_together(chosen, more, output, target, limits, library, emit_canonical, seen, as_json)
        return
    with progress(f"compiling {chosen.model.name}", 2) as advance:
        compiled = compile_chosen(chosen, target, library, seen)
        advance()
        folder = output or Path("out") / compiled.name
        built = project.build(compiled, folder, ram=limits[0], flash=limits[1], optimize=chosen.optimize)
        advance()
    _say_what_was_not_checked(built.report["code_bytes"], chosen, limits[1])
    if emit_canonical is not None:
        onnx.save(canonical_model(compiled), with_folder(emit_canonical))
    if as_json:
        click.echo(json.dumps(built.report))
        return
    _summary(built)


def _build_together(
    chosen: Chosen,
    more: tuple[Path, ...],
    output: Path | None,
    target: str,
    limits: tuple[int | None, int | None],
    library: str,
    emit_canonical: Path | None,
    seen: pipeline.Seen,
    as_json: bool,
) -> None:
    """--name and the folder are the project's; each model is named after its file."""
    if emit_canonical is not None:
        raise UserError("--emit-canonical takes one model.", hint="Build the models one by one.")
    folder = output or Path("out") / (chosen.name or "models")
    paths = (chosen.model, *more)
    with progress(f"compiling {len(paths)} models", len(paths) + 1) as advance:
        models = []
        for path in paths:
            models.append(compile_chosen(replace(chosen, model=path, name=None), target, library, seen))
            advance()
        ram, flash = limits
        name = chosen.name or folder.resolve().name
        data = build_together(models, folder, name=name, ram=ram, flash=flash, optimize=chosen.optimize)
        advance()
    _say_what_was_not_checked(data["code_bytes"], chosen, flash)
    if as_json:
        click.echo(json.dumps(data))
        return
    table = Table("model", box=None, title=f"{data['name']} for {data['target']}", title_justify="left")
    for column in ("arena", "tables", "stack", "MAC"):
        table.add_column(column, justify="right")
    for each in data["models"]:
        stack = "unknown" if each["stack_bytes"] is None else f"{each['stack_bytes']:,}"
        table.add_row(each["name"], f"{each['arena_bytes']:,}", f"{each['const_bytes']:,}", stack, f"{each['macs']:,}")
    out.print(table)
    code = "not measured" if data["code_bytes"] is None else f"{data['code_bytes']:,} bytes"
    out.print(f"one arena of {data['arena_bytes']:,} bytes for all")
    for each in data["models"]:
        if not each["arena_plan"].startswith(WHOLE):
            out.print(f"{each['name']}: {each['arena_plan']}")
    for region, used, held in _regions(data):
        out.print(f"{region}: {used}, {held}")
    out.print(f"in flash: tables {data['const_bytes']:,} bytes, code {code}")
    out.print(f"written to {folder}", markup=False)


def _regions(data: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Each memory region, what of it is used, and by what."""
    for row in data["memory"]:
        held = (f"{what} {row[what + '_bytes']:,}" for what in ("arena", "table", "code") if row[what + "_bytes"])
        yield row["region"], f"{row['used_bytes']:,} bytes", f"of {row['bytes']:,}: {', '.join(held) or 'free'}"


def _say_what_was_not_checked(code_bytes: int | None, chosen: Chosen, flash: int | None) -> None:
    if code_bytes is None and (flash is not None or chosen.memory is not None):
        what = "--memory" if flash is None else "--flash"
        err.print(
            f"warning: {what} was checked without the code: measuring that needs arm-none-eabi-gcc", soft_wrap=True
        )


def _bound(size: int, bound: int) -> str:
    return "at its lower bound" if size == bound else f"{size - bound:,} above the lower bound of {bound:,}"


def _summary(built: project.Built) -> None:
    data = built.report
    table = Table(title=f"{data['name']} for {data['target']}", title_justify="left", box=None, show_header=False)
    bound = _bound(data["arena_bytes"], data["arena_bound_bytes"])
    if len(data["arena_parts"]) > 1:  # what each one holds is chosen by a search, without a bound
        bound = "; ".join(f"{p['region']} {_bound(p['bytes'], p['bound_bytes'])}" for p in data["arena_parts"])
    table.add_row("arena", f"{data['arena_bytes']:,} bytes", f"{data['arena_includes']}; {bound}")
    if not data["arena_plan"].startswith(WHOLE):
        table.add_row("plan", *data["arena_plan"].split(": ", 1))
    if data["kernels"].startswith(TOO_LARGE):
        table.add_row("kernels", *data["kernels"].split(": ", 1))
    for row in _regions(data):
        table.add_row(*row)
    if data["io_buffers"] == "apart":
        table.add_row("buffers", f"{data['io_bytes']:,} bytes", "inputs and outputs, the caller's")
    table.add_row("tables", f"{data['const_bytes']:,} bytes", "weights, biases, multipliers, in flash")
    if data["code_bytes"] is None:
        table.add_row("code", "not measured", "needs arm-none-eabi-gcc")
    else:
        table.add_row("code", f"{data['code_bytes']:,} bytes", "kernels included, in flash")
    if data["stack_bytes"] is None:
        table.add_row("stack", "unknown", data["stack_unknown"])
    else:
        table.add_row(
            "stack", f"{data['stack_bytes']:,} bytes", f"at most, beside the arena: {' > '.join(data['stack_path'])}"
        )
    table.add_row("work", f"{data['macs']:,} MAC", f"{len(data['steps'])} steps, {data['transposes']} transposes")
    for kind in ("inputs", "outputs"):
        for port in data[kind]:
            q = "" if port["scale"] is None else f", scale {port['scale']:.9g}, zero point {port['zero_point']}"
            accessor = port["parameter"] or f"{port['accessor']}()"
            table.add_row(kind[:-1], accessor, f"{port['dtype']}{port['shape']}{q}")
    out.print(table)
    for said in dict.fromkeys(f"{step['name']}: {note}" for step in data["steps"] for note in step["notes"]):
        out.print(f"note: {said}", markup=False)
    buffers = data["io_bytes"] if data["io_buffers"] == "apart" else 0
    needed = data["arena_bytes"] + buffers + (data["stack_bytes"] or 0)
    fits = [size for size in (512, 256, 128, 64, 32, 16) if needed <= size * 1024]
    if fits:
        stack = "without the stack" if data["stack_bytes"] is None else "stack included"
        out.print(f"fits in {fits[-1]} KB of RAM, {stack} ({fits[-1] * 1024 - needed:,} bytes to spare)")
    out.print(f"written to {built.folder}", markup=False)
