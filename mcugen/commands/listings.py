"""`mcugen inspect`, `mcugen ops` and `mcugen targets`: what is there; nothing is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ..emit.report import report
from ..ops import OPS
from ..plugin import load_plugin
from ..prove.toolchain import available
from ..target import CORES
from .console import WIDTH, guarded, out
from .options import Chosen, compile_chosen, plugin_option


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--shape", "shapes", multiple=True, metavar="NAME=DIMS", help="Fix a dynamic input.")
@plugin_option()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@guarded
def inspect(model: Path, shapes: tuple[str, ...], plugins: tuple[Path, ...], as_json: bool) -> None:
    """What the model is and what it would become: inputs, outputs, steps, memory, work. Writes nothing.

    \b
    mcugen inspect kws.onnx
    mcugen inspect kws.onnx --json
    """
    compiled = compile_chosen(Chosen(model, shapes=shapes, plugins=plugins), "cortex-m4")
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


@click.command()
@plugin_option()
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


@click.command()
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
