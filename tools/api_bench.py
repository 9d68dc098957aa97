"""Measures each call of the CMSIS-NN API beside Arm's library, and writes docs/kernels.md.

    CMSIS_NN_ROOT=PATH python tools/api_bench.py [--core cortex-m4] [--only maximum]

Instructions on every emulated core, -O2, the same data (tools/api_calls.c); both libraries give the same bytes, or this
fails. --core and --only restrict what is shown and write nothing.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from mcugen import resources
from mcugen.emit.cmsis_sources import arm_sources
from mcugen.prove.emulator import instructions, run
from mcugen.prove.toolchain import Source, available, link_image
from mcugen.target import CORES, Core, core

PROGRAM = Path(__file__).with_name("api_calls.c")
DOCS = PROGRAM.parent.parent / "docs"
ALIKE = ("cortex-m0plus", "cortex-m23", "cortex-m35p")  # others have their instructions
HEAD = """\
# Kernels behind the CMSIS-NN API

Instructions of each call, bundled / Arm's CMSIS-NN 7 with the exact requantization: the same data, the same bytes
(compared), `-O2`, counted on emulated cores. Made by `tools/api_bench.py`. For fully connected layers, the sums of the
weights that Arm's need with Helium are not counted.
"""


def sources(cmsis_nn: Path | None) -> list[Source]:
    if cmsis_nn is None:
        return [Source(path) for path in sorted((resources.cmsis() / "Source").glob("*.c"))]
    override = ("-include", str(resources.cmsis() / "exact" / "cmsis_nn_override.h"))
    return [Source(item.path, override if item.exact_override else ()) for item in arm_sources(cmsis_nn)]


def measure(on: Core, cmsis_nn: Path | None) -> dict[str, tuple[int, str]]:
    """Call -> instructions and a checksum of all it wrote."""
    headers = (cmsis_nn or resources.cmsis()) / "Include"
    image = link_image(on, [PROGRAM, *sources(cmsis_nn)], includes=[headers, resources.cmsis() / "exact"])
    with TemporaryDirectory() as folder:
        done = run(on, image, workdir=Path(folder), timeout_s=300)
    rows = [line.split(" ", 3) for line in done.output.splitlines()]
    empty = int(rows[0][0])
    return {name: (instructions(int(t) - empty, int(w), on), checksum) for t, w, checksum, name in rows[1:]}


def beside(on: Core, cmsis_nn: Path) -> dict[str, tuple[int, int]]:
    """Call -> instructions of the bundled kernels and of Arm's."""
    ours, arms = measure(on, None), measure(on, cmsis_nn)
    for name, (_, checksum) in ours.items():
        if arms[name][1] != checksum:
            raise click.ClickException(f"{on.name}, {name}: the libraries give other bytes")
    return {name: (count, arms[name][0]) for name, (count, _) in ours.items()}


def markdown(table: dict[str, dict[str, tuple[int, int]]]) -> str:
    cores = list(table)
    pairs = [pair for column in table.values() for pair in column.values()]
    slower = sum(ours > arms for ours, arms in pairs)
    lines = [HEAD, f"Arm's takes fewer in {slower} of {len(pairs)} cases, which are bold.", ""]
    lines += [
        f"| call | {' | '.join(name.removeprefix('cortex-') for name in cores)} |",
        "|---|" + "---:|" * len(cores),
    ]
    for name in table[cores[0]]:
        cells = (table[on][name] for on in cores)
        text = (f"**{ours:,} / {arms:,}**" if ours > arms else f"{ours:,} / {arms:,}" for ours, arms in cells)
        lines.append(f"| {name} | {' | '.join(text)} |")
    return "\n".join([*lines, ""])


@click.command()
@click.option("--cmsis-nn", envvar="CMSIS_NN_ROOT", type=click.Path(path_type=Path), required=True)
@click.option("--core", "only_core", default="", help="Only this core.")
@click.option("--only", default="", help="Only calls whose name contains this.")
def main(cmsis_nn: Path, only_core: str, only: str) -> None:
    cores = [core(only_core)] if only_core else [c for c in CORES if c.name not in ALIKE and available(c) is None]
    table = {}
    for on in cores:
        found = beside(on, cmsis_nn)
        table[on.name] = {name: pair for name, pair in found.items() if only in name}
        for name, (ours, arms) in table[on.name].items():
            click.echo(f"{on.name:12} {ours:9,} {arms:9,} {ours / arms:6.2f} {'*' if ours > arms else ' '} {name}")
    if not only and not only_core:
        (DOCS / "kernels.md").write_text(markdown(table), encoding="utf-8")


if __name__ == "__main__":
    main()
