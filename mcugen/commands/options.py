"""Options that several commands share, and the model they choose, compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from .. import pipeline, project
from ..emit.artefact import Compiled
from ..emit.report import float_warning, report
from ..plugin import load_plugin
from ..target import parse_memories, parse_size
from .console import err, parse_shape

cmsis_nn_option = click.option(
    "--cmsis-nn",
    envvar="CMSIS_NN_ROOT",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Link this checkout of Arm's CMSIS-NN [env: CMSIS_NN_ROOT; default: bundled kernels].",
)
"""The one place that says which kernels are linked, for every command that runs or measures the C."""

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


def model_options(command: Command) -> Command:
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
            help="specialised: C made for the layer's sizes. api: CMSIS-NN's calls [default: specialised; api with "
            "--cmsis-nn, or where code made for the layers could be too large].",
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
        plugin_option(),
    )


def plugin_option() -> Callable[[Command], Command]:
    return click.option(
        "--plugin",
        "plugins",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE.py",
        help="Python file with operators of your own.",
    )


def run_options(default: str, about: str) -> Callable[[Command], Command]:
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


def compile_chosen(
    chosen: Chosen,
    target: str,
    library: str = "bundled",
    seen: pipeline.Seen = lambda name, graph: None,
) -> Compiled:
    """The model for this core and library (of pipeline.Options); a warning on stderr if it stays in float."""
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
        ram=_SMALLEST if chosen.ram == "min" else budget_bytes(chosen.ram),
        memories=() if chosen.memory is None else parse_memories(chosen.memory),
        shapes=dict(parse_shape(text) for text in chosen.shapes),
    )
    compiled = pipeline.compile(chosen.model, options, seen)
    warning = float_warning(compiled)
    if warning is not None:
        err.print(f"warning: {warning}", markup=False, soft_wrap=True)
    return compiled


_SMALLEST = 0  # bytes: a budget that no plan keeps


def budget_bytes(size: str | None) -> int | None:
    """Bytes that must be kept to, or None: --ram min asks for none."""
    return None if size in (None, "min") else parse_size(size)


def check_ram(compiled: Compiled, ram: str | None) -> None:
    """CheckFailed if the arena is over its budget, or a memory region too small."""
    budget = budget_bytes(ram)
    if budget is not None or compiled.memories:
        project.check_budgets(compiled, report(compiled), budget, None)
