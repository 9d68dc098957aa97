"""Which C files stand behind the CMSIS-NN calls of a generated project: ours, or a checkout of Arm's.

Both libraries have the API of cmsis/Include/arm_nnfunctions.h. Ours are one file per operator, so that
a project carries only what it calls; Arm's are found by the globs of cmsis/exact/arm_sources.txt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mcugen import resources
from mcugen.errors import UserError


def _sizes(function: str) -> tuple[str, ...]:
    return tuple(function + size for size in ("_get_buffer_size", "_get_buffer_size_dsp", "_get_buffer_size_mve"))


_DEFINES: dict[str, tuple[str, ...]] = {
    "arm_convolve_wrapper_s8.c": ("arm_convolve_wrapper_s8",),
    "arm_depthwise_conv_wrapper_s8.c": ("arm_depthwise_conv_wrapper_s8",),
    "arm_fully_connected_s8.c": (
        "arm_fully_connected_s8",
        "arm_fully_connected_per_channel_s8",
        "arm_fully_connected_wrapper_s8",
        "arm_batch_matmul_s8",
    ),
    "arm_transpose_conv_s8.c": (
        "arm_transpose_conv_s8",
        "arm_transpose_conv_wrapper_s8",
    ),
    "arm_get_buffer_sizes_s8.c": (
        *_sizes("arm_convolve_wrapper_s8"),
        *_sizes("arm_depthwise_conv_wrapper_s8"),
        *_sizes("arm_fully_connected_s8"),
        *_sizes("arm_avgpool_s8"),
        "arm_transpose_conv_s8_get_buffer_size",
        "arm_transpose_conv_s8_get_buffer_size_mve",
        "arm_transpose_conv_s8_get_reverse_conv_buffer_size",
    ),
    "arm_softmax_s8.c": ("arm_softmax_s8",),
    "arm_vector_sum_s8.c": ("arm_vector_sum_s8",),
    "arm_max_pool_s8.c": ("arm_max_pool_s8",),
    "arm_avgpool_s8.c": ("arm_avgpool_s8",),
    "arm_concatenation_s8.c": tuple(f"arm_concatenation_s8_{axis}" for axis in "xyzw"),
    "arm_pad_s8.c": ("arm_pad_s8",),
    "arm_transpose_s8.c": ("arm_transpose_s8",),
    "arm_elementwise_add_s8.c": ("arm_elementwise_add_s8",),
    "arm_elementwise_mul_s8.c": ("arm_elementwise_mul_s8",),
    "arm_minimum_maximum_s8.c": ("arm_minimum_s8", "arm_maximum_s8"),
}

BUNDLED: dict[str, str] = {function: file for file, functions in _DEFINES.items() for function in functions}
"""API function -> the file in cmsis/Source that defines it."""

BUNDLED_HEADERS: tuple[str, ...] = (
    "Include/arm_nn_types.h",
    "Include/arm_nnfunctions.h",
    "Source/mcugen_nn.h",
    "Source/mcugen_nn_dense.h",
    "Source/mcugen_nn_window.h",
    "exact/mcugen_bytes.h",
    "exact/mcugen_requant.h",
)
"""What every bundled file may include, below cmsis/."""

_API_HEADER = "Include/arm_nnfunctions.h"
_VERIFIED_REVISIONS = ("19",)
"""Major revisions of Arm's API header whose declarations and requantization calls are those we use."""


@dataclass(frozen=True)
class ArmSource:
    """One C file of a CMSIS-NN checkout; exact_override = compile it with -include cmsis_nn_override.h."""

    path: Path
    exact_override: bool


def arm_sources(root: Path) -> list[ArmSource]:
    """The files of the CMSIS-NN checkout at root that the API needs, sorted by path.

    Raises UserError if root is no checkout, or of a revision whose equality has not been verified.
    """
    _check_revision(root)
    found: dict[Path, bool] = {}
    rules = resources.cmsis() / "exact" / "arm_sources.txt"
    for line in rules.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        kind, pattern = line.split()
        paths = list((root / "Source").glob(pattern))
        if not paths:
            raise UserError(
                f"no file matches Source/{pattern}",
                hint="Take a complete checkout of CMSIS-NN.",
                origin=str(root),
            )
        found.update(dict.fromkeys(paths, kind == "exact"))
    return [ArmSource(path, exact) for path, exact in sorted(found.items())]


def _check_revision(root: Path) -> None:
    header = root / _API_HEADER
    if not header.is_file():
        raise UserError(
            f"not a CMSIS-NN checkout: {_API_HEADER} is missing",
            hint="Clone https://github.com/ARM-software/CMSIS-NN and give its top folder.",
            origin=str(root),
        )
    match = re.search(r"\$Revision:\s*V?\.?(\d+)", header.read_text(encoding="utf-8", errors="replace"))
    revision = match.group(1) if match else "unknown"
    if revision not in _VERIFIED_REVISIONS:
        raise UserError(
            f"CMSIS-NN API revision {revision} has not been verified, only {', '.join(_VERIFIED_REVISIONS)}",
            hint="Check out a CMSIS-NN 7 release, or use the bundled kernels.",
            origin=f"{root}/{_API_HEADER}",
        )
