"""The compiled model as C files on disk, with the kernels it links: what host and emulator build."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import resources
from ..emit.artefact import Compiled
from ..emit.cmsis_sources import arm_sources
from ..emit.codegen import c_sources, failures, sections_script
from ..emit.sources import parts
from ..errors import UserError
from .toolchain import Source


@dataclass(frozen=True)
class Program:
    sources: tuple[Source, ...]
    includes: tuple[Path, ...]
    defines: tuple[str, ...]
    sections: str | None  # linker script of the memory regions


def library_of(cmsis_nn: Path | None) -> str:
    """What a model must be compiled for (`library` of its options) to be linked by `write_program`."""
    return "bundled" if cmsis_nn is None else "arm"


def where(on: str, library: str) -> str:
    """The core, and whose kernels run on it unless they are the bundled ones: for people."""
    return on if library == "bundled" else f"{on} with Arm's CMSIS-NN"


def failed(compiled: Compiled) -> Exception:
    """What to raise where a run ended with NAME_ERR_KERNEL: its inputs may have asked for it."""
    message, reasons = f"{compiled.name}_run gave up on these inputs", failures(compiled)
    return (
        UserError(f"{message}: {', or '.join(reasons)}.", hint="Give it others.") if reasons else RuntimeError(message)
    )


def write_program(compiled: Compiled, folder: Path, cmsis_nn: Path | None, defines: tuple[str, ...] = ()) -> Program:
    """Write the model's sources into `folder`; kernels stay where they are.

    cmsis_nn: a checkout of Arm's library to link instead of the bundled kernels. Its kernels take scratch, and let no
    output reach into their input: what was compiled for the bundled ones would go wrong with them.
    """
    if cmsis_nn is not None and compiled.library != library_of(cmsis_nn):
        raise UserError(f"{compiled.name} was compiled for the bundled kernels.", hint="Compile it for library 'arm'.")
    for name, text in c_sources(compiled).items():
        (folder / name).write_text(text, encoding="utf-8")
    files = parts(compiled)
    exact = resources.cmsis() / "exact"
    sources = [Source(path) for path in (*sorted(folder.glob("*.c")), *files.kernels)]
    if cmsis_nn is None:
        sources += [Source(path) for path in files.cmsis]
        library = resources.cmsis() / "Include"
    else:
        override = ("-include", str(exact / "cmsis_nn_override.h"))
        exact_requant = compiled.requant == "exact"
        sources += [
            Source(item.path, override if item.exact_override and exact_requant else ())
            for item in arm_sources(cmsis_nn)
        ]
        library = cmsis_nn / "Include"
    if compiled.requant == "stock":
        defines = (*defines, "MCUGEN_REQUANT_STOCK=1")
    sections = sections_script([compiled], compiled.name) if compiled.memories else None
    # Not `folder`: what lies there finds its headers, and the kernels come out of the cache whatever its name is.
    includes = (library, exact, *resources.kernel_folders())
    return Program(tuple(sources), includes, defines, sections)
