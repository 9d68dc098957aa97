"""Which files a program with this model is built from, beside the model's own: kernels and headers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import resources
from .artefact import Compiled
from .cmsis_sources import BUNDLED, BUNDLED_HEADERS

KERNEL_HEADERS = ("mcugen_kernels.h", "mcugen_arithmetic.h", "mcugen_port.h")


@dataclass(frozen=True)
class Parts:
    """Paths below templates/kernels and cmsis/ that the model needs; only what it calls."""

    kernels: tuple[Path, ...]  # C files, in templates/kernels
    kernel_headers: tuple[Path, ...]
    cmsis: tuple[Path, ...]  # C files of the bundled library
    cmsis_headers: tuple[Path, ...]


def parts(compiled: Compiled) -> Parts:
    folder, library = resources.templates() / "kernels", resources.cmsis()
    called = sorted({step.kernel for step in compiled.steps})
    return Parts(
        kernels=tuple(folder / f"{name}.c" for name in called if name.startswith("mcugen_")),
        kernel_headers=tuple(folder / name for name in KERNEL_HEADERS),
        cmsis=tuple(sorted({library / "Source" / BUNDLED[name] for name in called if name.startswith("arm_")})),
        cmsis_headers=tuple(library / name for name in BUNDLED_HEADERS),
    )
