"""Instructions, memory and flash of the real image on an emulated core; per inference and per step."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..emit.artefact import Compiled
from ..emit.codegen import const_bytes, size_probe
from .board import run_on_board
from .program import write_program
from .progress import Progress, silent
from .samples import Samples
from .stack import Stack, bound
from .toolchain import available, call_graphs, disassembly, link_image, sizes, symbol_addresses


@dataclass(frozen=True)
class Footprint:
    """Bytes that the model adds to an image without it: code (kernels included), constants, RAM."""

    code_bytes: int
    const_bytes: int
    ram_bytes: int
    stack: Stack  # of a run

    @property
    def flash_bytes(self) -> int:
        return self.code_bytes + self.const_bytes


@dataclass(frozen=True)
class Profile:
    on: str
    instructions: int
    step_instructions: tuple[int, ...]
    footprint: Footprint
    stack_bytes: int  # that the run used; the footprint has the bound


def footprint(compiled: Compiled, cmsis_nn: Path | None = None, *, optimize: str = "-O2") -> Footprint | None:
    """Sizes of an image that calls the model, less those of one that does not; None without an Arm compiler."""
    if available(compiled.core, to_run=False):
        return None
    with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
        empty = Path(scratch) / "empty.c"
        empty.write_text("int main(void) { return 0; }\n", encoding="utf-8")
        without = sizes(link_image(compiled.core, [empty], optimize=optimize))
        folder = Path(scratch) / "with"
        folder.mkdir()
        (folder / "main.c").write_text(size_probe(compiled), encoding="utf-8")
        program = write_program(compiled, folder, cmsis_nn)
        image = link_image(
            replace(compiled.core, memory=compiled.core.memory.roomy()),
            program.sources,
            includes=program.includes,
            defines=program.defines,
            optimize=optimize,
            sections=program.sections,
            memories=compiled.memories,
        )
        full = sizes(image)
        graphs = call_graphs(
            compiled.core, program.sources, includes=program.includes, defines=program.defines, optimize=optimize
        )
        stack = bound(f"{compiled.name}_run", graphs, disassembly(image), symbol_addresses(image))
    tables = const_bytes(compiled)
    flash = full.flash_bytes - without.flash_bytes
    return Footprint(flash - tables, tables, full.ram_bytes - without.ram_bytes, stack)


def code_of_all(models: Sequence[Compiled], *, optimize: str = "-O2") -> int | None:
    """Code that all models together add to an image, shared kernels once; None without an Arm compiler."""
    core = models[0].core
    if available(core, to_run=False):
        return None
    with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
        folder = Path(scratch)
        programs = []
        for compiled in models:
            (folder / compiled.name).mkdir()
            probe = size_probe(compiled, f"{compiled.name}_probe")
            (folder / compiled.name / "probe.c").write_text(probe, encoding="utf-8")
            programs.append(write_program(compiled, folder / compiled.name, None))
        probes = [f"{compiled.name}_probe()" for compiled in models]
        declared = "".join(f"int {probe[:-2]}(void);\n" for probe in probes)
        main = f"{declared}int main(void) {{ return {' | '.join(probes)}; }}\n"
        (folder / "main.c").write_text(main, encoding="utf-8")
        (folder / "empty.c").write_text("int main(void) { return 0; }\n", encoding="utf-8")
        sources = dict.fromkeys(source for program in programs for source in program.sources)
        includes = dict.fromkeys(path for program in programs for path in program.includes)
        image = link_image(
            replace(core, memory=core.memory.roomy()),
            [folder / "main.c", *sources],
            includes=list(includes),
            defines=programs[0].defines,
            optimize=optimize,
        )
        flash = sizes(image).flash_bytes - sizes(link_image(core, [folder / "empty.c"], optimize=optimize)).flash_bytes
    return flash - sum(const_bytes(compiled) for compiled in models)


def profile(
    compiled: Compiled,
    samples: Samples,
    cmsis_nn: Path | None = None,
    *,
    optimize: str = "-O2",
    progress: Progress = silent,
) -> Profile:
    """One inference of the first sample, counted whole, then again step by step."""
    first = {name: array[:1] for name, array in samples.firmware.items()}
    on = compiled.core.name
    with progress(f"{on} (emulated)", 3) as advance:
        plain = run_on_board(compiled, first, cmsis_nn, optimize=optimize)
        advance()
        whole = run_on_board(compiled, first, cmsis_nn, count="run", optimize=optimize)
        advance()
        steps = run_on_board(compiled, first, cmsis_nn, count="steps", optimize=optimize)
        advance()
    measured = footprint(compiled, cmsis_nn, optimize=optimize)
    assert measured is not None  # the image just ran
    return Profile(on, whole.instructions[0], steps.step_instructions, measured, plain.stack_bytes)
