"""Which files a program with this model is built from, beside the model's own: kernels and headers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import resources
from .artefact import Compiled
from .cmsis_sources import BUNDLED, BUNDLED_HEADERS

KERNEL_HEADERS = ("mcugen_kernels.h", "mcugen_arithmetic.h", "mcugen_broadcast.h", "mcugen_port.h")
INLINE_HEADERS = ("mcugen_layer.h",)
MVE_HEADERS = ("mcugen_mve.h",)
F32_HEADERS = (
    "mcugen_kernels_f32.h",
    "mcugen_f32_binary.h",
    "mcugen_f32_functions.h",
    "mcugen_f32_rnn.h",
    "mcugen_window.h",
)


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
    inline = [name for name in called if is_inline(name)]
    own, shared = [f"{name}.h" for name in inline], INLINE_HEADERS if inline else ()
    mve = MVE_HEADERS if any(name.endswith("_mve") for name in inline) else ()
    floats = F32_HEADERS if any(is_float(name) for name in called) else ()
    return Parts(
        kernels=tuple(folder / f"{name}.c" for name in called if name.startswith("mcugen_") and name not in inline),
        kernel_headers=tuple(folder / name for name in (*KERNEL_HEADERS, *shared, *mve, *own, *floats)),
        cmsis=tuple(sorted({library / "Source" / BUNDLED[name] for name in called if name.startswith("arm_")})),
        cmsis_headers=tuple(library / name for name in BUNDLED_HEADERS),
    )
