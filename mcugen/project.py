"""`mcugen build`: a Compiled becomes a folder that builds alone. Nothing half-written stays behind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import oracle, resources
from .emit.artefact import Compiled
from .emit.canonical import canonical_model
from .emit.codegen import c_sources, project_view, sections_script, vector_view
from .emit.html import report_html
from .emit.memory import arena_bytes, link_script, toolchain_file
from .emit.report import contents, report
from .emit.sources import parts
from .emit.templating import environment
from .errors import CheckFailed
from .folder import refuse_foreign, staged
from .prove.profile import Footprint, footprint
from .prove.samples import random_samples, to_canonical, to_firmware_outputs, to_model
from .prove.tolerance import tolerances

# Optimization level of the C compiler for --optimize.
OPTIMIZE = {"speed": "-O3", "balanced": "-O2", "size": "-Os"}
_VECTOR_BYTES = 64 * 1024  # of recorded inputs, unless one sample alone is larger
_MAX_VECTORS = 4


@dataclass(frozen=True)
class Built:
    folder: Path
    report: dict[str, Any]
    footprint: Footprint | None


def build(compiled: Compiled, folder: Path, *, ram: int | None, flash: int | None, optimize: str = "balanced") -> Built:
    """Write the project to `folder`, which must be new or an earlier build of mcugen.

    ram, flash: budgets in bytes; CheckFailed if one is broken, before anything is written.
    """
    refuse_foreign(folder)
    measured = footprint(compiled, optimize=OPTIMIZE[optimize])
    data = measured_report(compiled, measured)
    check_budgets(compiled, data, ram, flash)
    write(project_files(compiled, data, optimize).files, folder)
    return Built(folder, data, measured)


def write(files: Mapping[str, str], folder: Path) -> None:
    """Relative path -> text: all of it, or nothing."""
    with staged(folder) as staging:
        for name, text in files.items():
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def measured_report(compiled: Compiled, measured: Footprint | None) -> dict[str, Any]:
    """The report, with what the core's compiler says if there is one."""
    if measured is None:
        return report(compiled)
    stack = measured.stack
    return report(compiled, measured.code_bytes, stack.bound_bytes, stack.path, stack.why)


def check_budgets(compiled: Compiled, data: dict[str, Any], ram: int | None, flash: int | None) -> None:
    """CheckFailed says what is over, by how much, and what makes the peak."""
    check_regions([compiled], data["memory"])
    check_arena(compiled, ram)
    check_flash(data, flash)


def check_regions(models: Sequence[Compiled], rows: Sequence[Mapping[str, Any]]) -> None:
    """CheckFailed for the first region that holds too much; the peak is that of the model with most in it."""
    over = next((row for row in rows if row["over_bytes"]), None)
    if over is not None:
        largest = max(models, key=lambda compiled: arena_bytes([compiled]).get(over["region"], 0))
        peak = f" {_peak(largest)}" if over["arena_bytes"] else ""
        raise CheckFailed(
            f"memory region {over['region']} is over by {over['over_bytes']:,} bytes: arena {over['arena_bytes']:,}, "
            f"tables {over['table_bytes']:,}, code {over['code_bytes']:,}, of {over['bytes']:,}.{peak}"
        )


def check_arena(compiled: Compiled, ram: int | None) -> None:
    arena = compiled.arena_bytes
    if ram is not None and arena > ram:
        raise CheckFailed(
            f"the arena needs {arena:,} bytes, --ram allows {ram:,}: {arena - ram:,} too many. {_peak(compiled)}"
        )


def check_flash(data: Mapping[str, Any], flash: int | None) -> None:
    used = data["const_bytes"] + (data["code_bytes"] or 0)
    if flash is not None and used > flash:
        what = "tables and code" if data["code_bytes"] is not None else "tables alone"
        raise CheckFailed(f"{what} need {used:,} bytes, --flash allows {flash:,}: {used - flash:,} too many.")


def _peak(compiled: Compiled) -> str:
    """The step that needs most of the arena, and for what."""
    peak = compiled.plan.peak_step
    holding = sorted(
        (-slot.size_bytes, what)
        for slot, what in zip(compiled.plan.slots, contents(compiled), strict=True)
        if slot.first_step <= peak <= slot.last_step
    )
    parts_text = ", ".join(f"{what} {-size:,}" for size, what in holding[:4])
    return f"The peak is at step {compiled.steps[peak].name} of {compiled.name}: {parts_text}."


@dataclass(frozen=True)
class Files:
    """The project by relative path, and which of them are the library's C files."""

    files: dict[str, str]
    sources: tuple[str, ...]


def project_files(compiled: Compiled, data: dict[str, Any], optimize: str, test: str = "test") -> Files:
    """Every file of the project; `test` is the folder of the recorded samples."""
    needed = parts(compiled)
    files = dict(c_sources(compiled))
    own = [name for name in files if name.endswith(".c")]
    for path in (*needed.kernels, *needed.kernel_headers):
        files[f"kernels/{path.name}"] = path.read_text(encoding="utf-8")
    for path in (*needed.cmsis, *needed.cmsis_headers, *_cmsis_build_files()):
        files[f"cmsis/{path.relative_to(resources.cmsis()).as_posix()}"] = path.read_text(encoding="utf-8")
    firmware = resources.firmware()
    for path in sorted(p for p in firmware.rglob("*") if p.is_file()):
        files[f"firmware/{path.relative_to(firmware).as_posix()}"] = path.read_text(encoding="utf-8")
    files[f"firmware/toolchain/{compiled.core.name}.cmake"] = toolchain_file(compiled.core)
    if compiled.memories and compiled.shared is None:
        files |= linker_scripts([compiled], compiled.name)
    sources = (*own, *(f"kernels/{p.name}" for p in needed.kernels))
    view = project_view(compiled, sources, OPTIMIZE[optimize], test)
    jinja = environment()
    files["CMakeLists.txt"] = jinja.get_template("CMakeLists.txt.j2").render(m=view)
    files["README.md"] = jinja.get_template("README.md.j2").render(m=view, code_bytes=data["code_bytes"])
    vectors = _vectors(compiled)
    files[f"{test}/main.c"] = jinja.get_template("test_main.c.j2").render(m=view, **vectors)
    files[f"{test}/vectors.h"] = jinja.get_template("vectors.h.j2").render(m=view, **vectors)
    files[f"{test}/vectors.c"] = jinja.get_template("vectors.c.j2").render(m=view, **vectors)
    files["report.json"] = json.dumps(data, indent=2) + "\n"
    files["report.html"] = report_html(compiled, data)
    return Files(files, sources)


def linker_scripts(models: Sequence[Compiled], name: str) -> dict[str, str]:
    """Where the models go in the board's memory regions, and the emulated board's layout with it."""
    sections = f"{name}_sections.ld"
    layout = link_script(models[0].core, models[0].memories, f"  INCLUDE {sections}")
    return {sections: sections_script(models, name), "firmware/link.ld": layout}


def _cmsis_build_files() -> list[Path]:
    folder = resources.cmsis()
    return [
        folder / name for name in ("CMakeLists.txt", "README.md", "exact/arm_sources.txt", "exact/cmsis_nn_override.h")
    ]


def _vectors(compiled: Compiled) -> dict[str, Any]:
    """A few random samples with ONNX Runtime's answers, as the firmware sees both."""
    one = sum(port.type.bytes for port in compiled.inputs)
    count = max(1, min(_MAX_VECTORS, _VECTOR_BYTES // max(one, 1)))
    samples = random_samples(compiled, count, seed=0)
    pinned = oracle.run_all(oracle.pinned_session(compiled.model), samples.model)
    feeds = to_canonical(compiled, samples.firmware)
    canonical = oracle.run_all(oracle.plain_session(canonical_model(compiled)), feeds)
    firmware = to_firmware_outputs(compiled, canonical)
    shown = to_model(compiled, firmware)
    equal = all(np.array_equal(shown[name], pinned[name].reshape(shown[name].shape)) for name in shown)
    what = "the pinned session" if equal else "the canonical integer graph"
    states = tolerances(compiled, canonical=True)
    allowed = {name: states[name].allowed(array, 1.0) for name, array in firmware.items() if name in states}
    source = f"inputs random (seed 0), outputs of ONNX Runtime {oracle.environment()['onnxruntime']}, {what}"
    return {"samples": count, "source": source, "vectors": vector_view(compiled, samples.firmware, firmware, allowed)}
