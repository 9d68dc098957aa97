"""The command line: flags in, messages out. Everything it does is a function elsewhere.

Exit codes: 0 = done and equal, 1 = a check failed (mismatch, budget), 2 = the user's input.
With --json, one JSON object goes to stdout; messages and progress always go to stderr.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
from rich.console import Console
from rich.table import Table

from . import __version__, ir, pipeline, project
from .console import WIDTH, cmsis_nn_option, err, fail, guarded, out, parse_shape, progress
from .deliver.commands_export import export, run_pipeline
from .deliver.commands_quantize import compare, quantize
from .emit.artefact import Compiled
from .emit.canonical import canonical_model
from .emit.report import float_warning, report
from .errors import UserError
from .folder import refuse_unwritable, with_folder
from .ops import OPS
from .plugin import load_plugin
from .prove.profile import profile as run_profile
from .prove.program import library_of, where
from .prove.samples import Samples, load_samples, random_samples
from .prove.toolchain import available
from .prove.verify import reference
from .prove.verify import verify as run_verify
from .target import CORES, core, parse_memories, parse_size
from .together import build_together

HOST_SAMPLES = 1000
BOARD_SAMPLES = 8


# Options that several commands share

Command = Callable[..., None]


@dataclass(frozen=True)
class Chosen:
    """The model and the options that change the generated C, as they were given."""

    model: Path
    name: str | None = None
    io: str = "int8"
    io_buffers: str = "arena"
    feed: str = "whole"
    requant: str = "exact"
    optimize: str = "balanced"
    kernels: str | None = None
    shapes: tuple[str, ...] = ()
    ram: str | None = None
    memory: str | None = None
    plugins: tuple[Path, ...] = ()


def _model_options(command: Command) -> Command:
    """The command takes a Chosen before its own options."""

    @wraps(command)
    def run(**given: Any) -> None:
        command(Chosen(**{item.name: given.pop(item.name) for item in fields(Chosen)}), **given)

    return _with_options(
        run,
        click.argument("model", type=click.Path(path_type=Path)),
        click.option("--name", help="C prefix of everything generated [default: from the file name]."),
        click.option(
            "--io",
            type=click.Choice(["int8", "float"]),
            default="int8",
            show_default=True,
            help="Types at the model's edge: quantized, or float32 with Q/DQ on the board.",
        ),
        click.option(
            "--io-buffers",
            type=click.Choice(["arena", "apart"]),
            default="arena",
            show_default=True,
            help="Inputs and outputs in the arena, or in the caller's buffers, passed to the run.",
        ),
        click.option(
            "--feed",
            type=click.Choice(["whole", "rows"]),
            default="whole",
            show_default=True,
            help="rows: the image comes in row by row, and the first layers run meanwhile.",
        ),
        click.option(
            "--requant",
            type=click.Choice(["exact", "stock"]),
            default="exact",
            show_default=True,
            help="exact: equals ONNX Runtime. stock: for a prebuilt CMSIS-NN with its own rounding.",
        ),
        click.option(
            "--optimize",
            type=click.Choice(list(project.OPTIMIZE)),
            default="balanced",
            show_default=True,
            help="Of the C compiler: -O3, -O2 or -Os; speed also stores weights as int16 where that is faster.",
        ),
        click.option(
            "--kernels",
            type=click.Choice(["specialised", "api"]),
            help="specialised: C made for the layer's sizes. api: CMSIS-NN's calls [default: specialised, or api with "
            "--cmsis-nn].",
        ),
        click.option(
            "--shape",
            "shapes",
            multiple=True,
            metavar="NAME=DIMS",
            help="Fix a dynamic input, as name=1,3,224,224. A dynamic batch becomes 1 by itself.",
        ),
        click.option(
            "--ram",
            metavar="SIZE",
            help="Budget of the arena, as 256K: layers run in bands of rows where that keeps it, exit 1 if it is "
            "broken. min: the smallest arena.",
        ),
        click.option(
            "--memory",
            metavar="REGIONS",
            help="The board's regions, fastest first, as dtcm=64K,sram=256K,flash=1M: the arena goes to the first, in "
            "parts if need be, and tables that are read often where room is left; code is copied to one that begins "
            "with itcm. Exit 1 if one is too small.",
        ),
        _plugin_option(),
    )


def _plugin_option() -> Callable[[Command], Command]:
    return click.option(
        "--plugin",
        "plugins",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE.py",
        help="Python file with operators of your own.",
    )


def _run_options(default: str, about: str) -> Callable[[Command], Command]:
    """Where a compiled model is run, with what data, and with whose kernels."""

    def decorate(command: Command) -> Command:
        return _with_options(
            command,
            click.option("--on", default=default, show_default=True, help=about),
            click.option(
                "--inputs",
                type=click.Path(path_type=Path),
                metavar="X.npz",
                help="One array per model input, by name, first axis = samples [default: random].",
            ),
            click.option(
                "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random inputs."
            ),
            cmsis_nn_option,
            click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
        )

    return decorate


def _with_options(command: Command, *options: Callable[[Command], Command]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _compile(
    chosen: Chosen,
    target: str,
    library: str = "bundled",
    seen: pipeline.Seen = lambda name, graph: None,
) -> Compiled:
    for plugin in chosen.plugins:
        load_plugin(plugin)
    options = pipeline.Options(
        core=target,
        name=chosen.name,
        io=chosen.io,
        io_buffers=chosen.io_buffers,
        feed=chosen.feed,
        requant=chosen.requant,
        library=library,
        kernels=chosen.kernels,
        optimize=chosen.optimize,
        ram=_SMALLEST if chosen.ram == "min" else _budget(chosen.ram),
        memories=() if chosen.memory is None else parse_memories(chosen.memory),
        shapes=dict(parse_shape(text) for text in chosen.shapes),
    )
    compiled = pipeline.compile(chosen.model, options, seen)
    warning = float_warning(compiled)
    if warning is not None:
        err.print(f"warning: {warning}", markup=False, soft_wrap=True)
    return compiled


def _samples(compiled: Compiled, inputs: Path | None, count: int | None, default: int, seed: int) -> Samples:
    """The file's samples (all, if no number is given), or random ones."""
    if inputs is not None:
        return load_samples(compiled, inputs, count)
    return random_samples(compiled, count or default, seed)


def _target_of(on: str) -> str:
    """The core to compile for: the host runs what a Cortex-M4 gets."""
    return "cortex-m4" if on == "host" else core(on).name


_SMALLEST = 0  # bytes: a budget that no plan keeps


def _budget(size: str | None) -> int | None:
    """Bytes that must be kept to, or None: --ram min asks for none."""
    return None if size in (None, "min") else parse_size(size)


def _check_ram(compiled: Compiled, ram: str | None) -> None:
    budget = _budget(ram)
    if budget is not None or compiled.memories:
        project.check_budgets(compiled, report(compiled), budget, None)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def main() -> None:
    """Quantized ONNX models as C firmware for Arm Cortex-M, equal to ONNX Runtime byte for byte.

    \b
    mcugen build model.onnx -o out/model          C sources, ready for CMake
    mcugen verify model.onnx --on cortex-m4       the same bytes as ONNX Runtime, on an emulated core
    mcugen profile model.onnx --on cortex-m4      instructions, RAM, flash
    """


@main.command()
@_model_options
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
    limits = (_budget(chosen.ram), None if flash is None else parse_size(flash))
    refuse_unwritable(emit_canonical)

    def seen(pass_name: str, graph: ir.Graph) -> None:
        if dump_after in (pass_name, "all"):
            err.print(f"-- after {pass_name}\n{ir.format_graph(graph)}", markup=False, soft_wrap=True)

    if more:
        _build_together(chosen, more, output, target, limits, library, emit_canonical, seen, as_json)
        return
    with progress(f"compiling {chosen.model.name}", 2) as advance:
        compiled = _compile(chosen, target, library, seen)
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
            models.append(_compile(replace(chosen, model=path, name=None), target, library, seen))
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


def _summary(built: project.Built) -> None:
    data = built.report
    table = Table(title=f"{data['name']} for {data['target']}", title_justify="left", box=None, show_header=False)
    gap = data["arena_bytes"] - data["arena_bound_bytes"]
    bound = "at its lower bound" if gap == 0 else f"{gap:,} above the lower bound of {data['arena_bound_bytes']:,}"
    table.add_row("arena", f"{data['arena_bytes']:,} bytes", f"{data['arena_includes']}; {bound}")
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
    for step in data["steps"]:
        for note in step["notes"]:
            out.print(f"note: {step['name']}: {note}", markup=False)
    buffers = data["io_bytes"] if data["io_buffers"] == "apart" else 0
    needed = data["arena_bytes"] + buffers + (data["stack_bytes"] or 0)
    fits = [size for size in (512, 256, 128, 64, 32, 16) if needed <= size * 1024]
    if fits:
        stack = "without the stack" if data["stack_bytes"] is None else "stack included"
        out.print(f"fits in {fits[-1]} KB of RAM, {stack} ({fits[-1] * 1024 - needed:,} bytes to spare)")
    out.print(f"written to {built.folder}", markup=False)


@main.command()
@_model_options
@_run_options("host", "host, or a core whose board is emulated.")
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
    compiled = _compile(chosen, _target_of(on), library_of(cmsis_nn))
    _check_ram(compiled, chosen.ram)
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


@main.command()
@_model_options
@_run_options("cortex-m4", "A core whose board is emulated; the first sample of --inputs is run.")
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
    compiled = _compile(chosen, core(on).name, library_of(cmsis_nn))
    _check_ram(compiled, chosen.ram)
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


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--shape", "shapes", multiple=True, metavar="NAME=DIMS", help="Fix a dynamic input.")
@_plugin_option()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@guarded
def inspect(model: Path, shapes: tuple[str, ...], plugins: tuple[Path, ...], as_json: bool) -> None:
    """What the model is and what it would become: inputs, outputs, steps, memory, work. Writes nothing.

    \b
    mcugen inspect kws.onnx
    mcugen inspect kws.onnx --json
    """
    compiled = _compile(Chosen(model, shapes=shapes, plugins=plugins), "cortex-m4")
    data = report(compiled)
    if as_json:
        click.echo(json.dumps(data))
        return
    table = Table("step", "kernel", "exactness", "shape", box=None, title=data["name"], title_justify="left")
    table.add_column("MAC", justify="right")
    table.add_column("from")
    for step in compiled.steps:
        shape = "x".join(map(str, compiled.graph.type(step.outputs[0]).shape))
        table.add_row(step.name, step.kernel, step.exactness, shape, f"{step.macs:,}", step.origin[0])
    out.print(table)
    for kind in ("inputs", "outputs"):
        for port in data[kind]:
            out.print(
                f"{kind[:-1]} {port['name']}: {port['dtype']}{port['shape']}, scale {port['scale']}, "
                f"zero point {port['zero_point']}",
                markup=False,
            )
    out.print(
        f"{data['macs']:,} MAC, tables {data['const_bytes']:,} bytes, arena {data['arena_bytes']:,} bytes "
        f"(lower bound {data['arena_bound_bytes']:,}, peak at {data['arena_peak_step']})"
    )


@main.command()
@_plugin_option()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@guarded
def ops(plugins: tuple[Path, ...], as_json: bool) -> None:
    """The operators that compile, with their exactness and limits: printed from the code itself.

    \b
    mcugen ops
    """
    for plugin in plugins:
        load_plugin(plugin)
    rows: list[dict[str, Any]] = [
        {
            "name": op.name,
            "onnx": list(op.onnx),
            "exactness": op.exactness,
            "about": op.about,
            "limits": [" ".join((limit.__doc__ or "").split()) for limit in op.limits],
        }
        for op in OPS.values()
        if op.onnx
    ]
    if as_json:
        click.echo(json.dumps({"ops": rows}))
        return
    table = Table("operator", "from ONNX", "exactness", "what, and limits", box=None)
    for op in rows:
        table.add_row(op["name"], ", ".join(op["onnx"]), op["exactness"], ". ".join([op["about"], *op["limits"]]))
    Console(highlight=False, width=WIDTH).print(table)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@guarded
def targets(as_json: bool) -> None:
    """The cores, their instruction sets, and whether this machine can build for and emulate them.

    Where a chip lacks a part of its core, say so as GCC does: cortex-m4+nofp, cortex-m55+nomve.fp.

    \b
    mcugen targets
    """
    rows: list[dict[str, Any]] = []
    for item in CORES:
        rows.append(
            {
                "name": item.name,
                "isa": item.isa,
                "fpu": item.has_fpu,
                "options": list(item.options),
                "board": item.machine,
                "build": available(item, to_run=False) or "yes",
                "run": available(item) or "yes",
            }
        )
    if as_json:
        click.echo(json.dumps({"targets": rows}))
        return
    table = Table("core", "isa", "FPU", "less", "emulated board", "builds here", "runs here", box=None)
    for row in rows:
        table.add_row(
            row["name"],
            row["isa"],
            "yes" if row["fpu"] else "no",
            " ".join(f"+{option}" for option in row["options"]),
            row["board"] or "none",
            row["build"],
            row["run"],
        )
    out.print(table)


main.add_command(quantize)
main.add_command(compare)
main.add_command(export)
main.add_command(run_pipeline)


if __name__ == "__main__":
    main()
