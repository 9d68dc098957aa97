"""Which files a program with this model is built from, beside the model's own: kernels and headers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .. import resources
from .artefact import Compiled
from .cmsis_sources import BUNDLED, BUNDLED_HEADERS


def is_inline(kernel: str) -> bool:
    """A specialised kernel is a header of its own name, inlined into the model's C file."""
    return (resources.templates() / "kernels" / f"{kernel}.h").is_file()


def is_float(kernel: str) -> bool:
    """Kernels on float32 tensors have a header of their own."""
    return kernel.startswith(("mcugen_f32_", "mcugen_dynamic_"))


@dataclass(frozen=True)
class Parts:
    """Paths below templates/kernels and cmsis/ that the model needs; only what it calls."""

    kernels: tuple[Path, ...]  # C files, in templates/kernels
    kernel_headers: tuple[Path, ...]
    cmsis: tuple[Path, ...]  # C files of the bundled library
    cmsis_headers: tuple[Path, ...]


def parts(compiled: Compiled) -> Parts:
    folder, library = resources.templates() / "kernels", resources.cmsis()
    # mcugen_add_broadcast_s8 calls mcugen_add_s8 row by row.
    called = sorted({name for step in compiled.steps for name in (step.kernel, step.kernel.replace("_broadcast", ""))})
    inline = [folder / f"{name}.h" for name in called if is_inline(name)]
    own = [name for name in called if name.startswith("mcugen_") and not is_inline(name)]
    kernels = [folder / f"{name}.c" for name in own]
    return Parts(
        kernels=tuple(kernels),
        kernel_headers=_included([*kernels, *inline, folder / "mcugen_port.h", folder / "mcugen_kernels.h"]),
        cmsis=tuple(sorted({library / "Source" / BUNDLED[name] for name in called if name.startswith("arm_")})),
        cmsis_headers=tuple(library / name for name in BUNDLED_HEADERS),
    )


_INCLUDE = re.compile(r'^\s*#\s*include "(mcugen_\w+\.h)"', re.MULTILINE)


def _included(files: list[Path]) -> tuple[Path, ...]:
    """The headers among `files`, and all that lie beside them and are included from there, however deep."""
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        text = path.read_text(encoding="utf-8")
        waiting += [beside for name in _INCLUDE.findall(text) if (beside := path.with_name(name)).is_file()]
    return tuple(sorted(path for path in found if path.suffix == ".h"))
