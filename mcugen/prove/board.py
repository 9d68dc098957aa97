"""The generated C on an emulated Cortex-M: results, instruction counts, sizes of the real image."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..emit.artefact import Compiled
from ..emit.codegen import harness
from ..errors import UserError
from . import emulator
from .program import failed, write_program
from .toolchain import Sizes, available, link_image, sizes

# Far above what any sample needs under QEMU; a hang ends with a message instead of never.
_SECONDS_PER_GIGA_MAC = 600.0
_SECONDS_AT_LEAST = 120.0


@dataclass(frozen=True)
class BoardRun:
    outputs: dict[str, np.ndarray]  # firmware outputs by ONNX name, samples along the first axis
    instructions: tuple[int, ...]  # per sample; empty unless counted
    step_instructions: tuple[int, ...]  # per step, of the last sample; empty unless counted
    sizes: Sizes
    stack_bytes: int  # most that a run used; 0 if instructions were counted


def run_on_board(
    compiled: Compiled,
    inputs: Mapping[str, np.ndarray],
    cmsis_nn: Path | None = None,
    *,
    count: str = "",
    optimize: str = "-O2",
) -> BoardRun:
    """Build an image for compiled.core, run every sample on its emulated board.

    count: "" for results only, "run" for instructions per inference, "steps" for instructions per step.
    """
    core = compiled.core
    missing = available(core)
    if missing:
        install = "Install gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm, or take"
        raise UserError(missing, hint=f"{'Take' if core.machine is None else install} --on host.")
    samples = len(next(iter(inputs.values())))
    with tempfile.TemporaryDirectory(prefix="mcugen-") as scratch:
        folder = Path(scratch)
        (folder / "main.c").write_text(harness(compiled, profile=bool(count)), encoding="utf-8")
        defines = ("MCUGEN_STEP_HOOK",) if count == "steps" else ()
        program = write_program(compiled, folder, cmsis_nn, defines)
        elf = link_image(
            core,
            program.sources,
            includes=program.includes,
            defines=program.defines,
            optimize=optimize,
            sections=program.sections,
            memories=compiled.memories,
        )
        with (folder / "inputs.bin").open("wb") as stream:
            stream.write(np.uint32(samples).astype("<u4").tobytes())
            for index in range(samples):
                for port in compiled.inputs:
                    stream.write(np.ascontiguousarray(inputs[port.name][index]).tobytes())
        limit = _SECONDS_AT_LEAST + samples * compiled.macs * 1e-9 * _SECONDS_PER_GIGA_MAC
        done = emulator.run(core, elf, workdir=folder, timeout_s=limit, icount=bool(count))
        if done.exit_code != 0 or "DONE" not in done.output:
            if "ERROR run failed" in done.output:
                raise failed(compiled)
            raise emulator.EmulatorError(f"{core.name}: exit code {done.exit_code}\n{done.output}")
        raw = (folder / "outputs.bin").read_bytes()
        measured = sizes(elf)
    counts = _counts(done.output, compiled)
    stack = max((int(line.split()[1]) for line in done.output.splitlines() if line.startswith("STACK ")), default=0)
    steps = counts["STEP"][-len(compiled.steps) :]
    return BoardRun(_split(compiled, raw, samples), counts["RUN"], steps, measured, stack)


def _split(compiled: Compiled, raw: bytes, samples: int) -> dict[str, np.ndarray]:
    record = sum(port.type.bytes for port in compiled.outputs)
    rows = np.frombuffer(raw, np.uint8).reshape(samples, record)
    outputs, start = {}, 0
    for port in compiled.outputs:
        part = np.ascontiguousarray(rows[:, start : start + port.type.bytes])
        outputs[port.name] = part.view(port.type.dtype).reshape(samples, *port.type.shape)
        start += port.type.bytes
    return outputs


def _counts(output: str, compiled: Compiled) -> dict[str, tuple[int, ...]]:
    """Instructions of every RUN and STEP line, the cost of reading the counter taken off."""
    empty = 0
    found: dict[str, list[int]] = {"RUN": [], "STEP": []}
    for line in output.splitlines():
        words = line.split()
        if words[:1] == ["EMPTY"]:
            empty = int(words[1])
        elif words[:1] in (["RUN"], ["STEP"]):
            found[words[0]].append(emulator.instructions(int(words[1]) - empty, int(words[2]), compiled.core))
    return {key: tuple(values) for key, values in found.items()}
