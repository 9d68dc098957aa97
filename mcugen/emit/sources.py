"""Which files a program with this model is built from, beside the model's own: kernels and headers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .. import resources
from ..errors import UserError
from ..step import FEED
from .artefact import Compiled
from .cmsis_sources import BUNDLED, BUNDLED_HEADERS


def has_header(kernel: str) -> bool:
    """Has the kernel a header of its own name? A specialised one is inlined; a plugin's declares its function."""
    return resources.kernel_file(f"{kernel}.h") is not None


def is_float(kernel: str) -> bool:
    """Kernels on float32 tensors have a header of their own."""
    return kernel.startswith(("mcugen_f32_", "mcugen_dynamic_"))


def header_of(kernel: str) -> str:
    """The header that declares a kernel of ours: 8-bit ones share the first; float32 and 16-bit ones have their own."""
    if is_float(kernel):
        return "mcugen_kernels_f32.h"
    return "mcugen_kernels_s16.h" if "_s16" in kernel else "mcugen_kernels.h"


@dataclass(frozen=True)
class Parts:
    """Paths of kernels and below cmsis/ that the model needs; only what it calls."""

    kernels: tuple[Path, ...]  # C files, in templates/kernels or a plugin's folder
    kernel_headers: tuple[Path, ...]
    cmsis: tuple[Path, ...]  # C files of the bundled library
    cmsis_headers: tuple[Path, ...]


def parts(compiled: Compiled) -> Parts:
    folder, library = resources.templates() / "kernels", resources.cmsis()
    # mcugen_add_broadcast_s8 calls mcugen_add_s8 row by row; _images: image by image.
    called = sorted({name for step in compiled.steps for name in (step.kernel, _REPEATS.sub("", step.kernel))})
    own = [_kernel(name) for name in called if name != FEED and not name.startswith("arm_")]
    kernels = [path for path in own if path.suffix == ".c"]
    headers = [header for name in called if (header := resources.kernel_file(f"{name}.h")) is not None]
    return Parts(
        kernels=tuple(kernels),
        kernel_headers=_included([*kernels, *headers, folder / "mcugen_port.h", folder / "mcugen_kernels.h"]),
        cmsis=tuple(sorted({library / "Source" / BUNDLED[name] for name in called if name.startswith("arm_")})),
        cmsis_headers=tuple(library / name for name in BUNDLED_HEADERS),
    )


def _kernel(name: str) -> Path:
    """The file that defines a kernel: its C file, or the header of an inlined one."""
    for suffix in (".c", ".h"):
        found = resources.kernel_file(name + suffix)
        if found is not None:
            return found
    raise UserError(
        f"there is no C file {name}.c for the kernel {name}",
        hint=f"Put it into the plugin's folder of kernels, with its prototype in {name}.h.",
    )


_REPEATS = re.compile("_broadcast|_images")
_INCLUDE = re.compile(r'^\s*#\s*include "(\w+\.h)"', re.MULTILINE)


def _included(files: list[Path]) -> tuple[Path, ...]:
    """The headers among `files`, and all kernel headers that are included from there, however deep."""
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        text = path.read_text(encoding="utf-8")
        waiting += [header for name in _INCLUDE.findall(text) if (header := resources.kernel_file(name)) is not None]
    return tuple(sorted(path for path in found if path.suffix == ".h"))
