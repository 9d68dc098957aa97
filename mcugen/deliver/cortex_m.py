"""What a quantized model costs as generated C on a Cortex-M: what compare shows, quantize and pipeline judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..emit.artefact import Compiled
from ..prove.profile import profile
from ..prove.program import where
from ..prove.progress import Progress, silent
from ..prove.samples import given_samples
from ..prove.toolchain import available


@dataclass(frozen=True)
class CortexM:
    """The generated C on an emulated core; None where no Arm compiler or emulator is there."""

    core: str
    library: str  # linked: "bundled" or "arm"
    flash_bytes: int | None
    ram_bytes: int | None
    arena_bytes: int
    instructions: int | None

    @property
    def where(self) -> str:
        return where(self.core, self.library)

    def __str__(self) -> str:
        if self.flash_bytes is None or self.ram_bytes is None or self.instructions is None:
            return f"arena {self.arena_bytes:,} bytes"
        return f"flash {self.flash_bytes:,}, RAM {self.ram_bytes:,} bytes, {self.instructions:,} instructions"


def measure(
    compiled: Compiled, sample: Mapping[str, np.ndarray], cmsis_nn: Path | None = None, progress: Progress = silent
) -> tuple[CortexM, str]:
    """(figures of one inference of `sample`, one array per model input; why some are missing, or "").

    cmsis_nn: Arm's library to link, as `compiled` was made for.
    """
    core, library, arena = compiled.core.name, compiled.library, compiled.plan.arena_bytes
    missing = available(compiled.core)
    if missing:
        return CortexM(core, library, None, None, arena, None), missing
    one = {name: array[None] for name, array in sample.items()}
    samples = given_samples(compiled, one, Path("the first sample"), 1)
    measured = profile(compiled, samples, cmsis_nn, progress=progress)
    size = measured.footprint
    return CortexM(core, library, size.flash_bytes, size.ram_bytes, arena, measured.instructions), ""
