"""The specialised kernels against their definition in NumPy: same bytes, nothing written beside them.

On the host every kernel of every instruction set runs its portable path, with undefined behaviour trapped; on emulated
cores it runs the paths made for them.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from specialised_program import GROUPED, Case, extreme, problem, program, ties

from mcugen import resources
from mcugen.prove.emulator import run
from mcugen.prove.toolchain import available, link_image
from mcugen.target import core

INCLUDES = [resources.templates() / "kernels", resources.cmsis() / "Include", resources.cmsis() / "exact"]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wcast-qual", "-Werror"]
TRAPS = ["-fsanitize=undefined,address", "-fno-sanitize-recover=all"]

SAME = (1, 1, 1, 1)
CONVOLUTIONS = [
    *(
        Case(channels=c, outputs=o, kernel=(1, 1))
        for c, o in [(1, 1), (3, 5), (4, 4), (7, 2), (8, 16), (17, 67), (67, 3)]
    ),
    *(Case(channels=c, outputs=o, pads=SAME) for c, o in [(1, 8), (2, 3), (3, 16), (5, 1), (16, 6), (33, 9)]),
    Case(channels=3, outputs=4, strides=(2, 2), pads=(0, 0, 1, 1)),
    Case(channels=4, outputs=6, strides=(3, 1), pads=(2, 1, 0, 2)),
    Case(channels=4, outputs=5, kernel=(1, 1), strides=(2, 2)),
    Case(channels=5, outputs=4, dilations=(2, 2), pads=(2, 2, 2, 2)),
    Case(channels=4, outputs=4, dilations=(2, 1), pads=(1, 0, 1, 0), input_hw=(8, 4)),
    Case(channels=1, outputs=8, kernel=(10, 4), strides=(2, 2), pads=(4, 1, 5, 1), input_hw=(13, 10)),
    Case(channels=6, outputs=4, kernel=(5, 1), input_hw=(12, 1)),
    Case(channels=8, outputs=7, kernel=(2, 5), pads=(1, 4, 0, 0), input_hw=(3, 3)),
    Case(channels=4, outputs=10, kernel=(1, 1), input_hw=(1, 1), misaligned=3),
    Case(channels=65, outputs=3, kernel=(1, 1), input_hw=(1, 1), misaligned=2),
    Case(channels=9, outputs=4, kernel=(1, 1), input_hw=(1, 3), batch=3),
    Case(channels=4, outputs=8, pads=SAME, batch=2, clamp=(-7, 60)),
    Case(channels=4, outputs=8, zeros=(-128, -128), misaligned=0),
    Case(channels=4, outputs=6, zeros=(127, 127), spread=0),
    Case(channels=12, outputs=8, kernel=(1, 1), spread=11),
    Case(channels=1500, outputs=6, kernel=(1, 1), input_hw=(1, 2)),
]
DEPTHWISE = [
    *(Case(channels=c, outputs=c, depthwise=True, pads=SAME) for c in [2, 3, 4, 5, 8, 15, 67]),
    Case(channels=8, outputs=8, depthwise=True, strides=(2, 2), pads=(0, 0, 1, 1)),
    Case(channels=6, outputs=6, depthwise=True, strides=(3, 2), pads=(2, 1, 1, 0), input_hw=(9, 7)),
    *(Case(channels=9, outputs=9, depthwise=True, kernel=(k, 1), input_hw=(17, 1)) for k in [1, 3, 5, 10, 15]),
    Case(channels=4, outputs=4, depthwise=True, kernel=(1, 4), pads=(0, 3, 0, 1)),
    Case(channels=8, outputs=8, depthwise=True, kernel=(5, 5), pads=(2, 2, 2, 2), batch=2, misaligned=3),
    *(Case(channels=c, outputs=c, depthwise=True, dilations=(2, 2), pads=(2, 2, 2, 2)) for c in [7, 18]),
    Case(channels=21, outputs=21, depthwise=True, kernel=(2, 3), strides=(2, 1), pads=(1, 2, 0, 1), batch=2),
    Case(channels=5, outputs=5, depthwise=True, dilations=(3, 1), input_hw=(9, 4)),
    Case(channels=8, outputs=8, depthwise=True, clamp=(-20, 90), zeros=(-128, 5)),
    Case(channels=12, outputs=12, depthwise=True, zeros=(0, -128), spread=0, misaligned=0),
    Case(channels=12, outputs=12, depthwise=True, spread=10),
]
CORES = ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m33"]
LONG = [
    Case(channels=4100, outputs=2, kernel=(1, 1), input_hw=(2, 1)),
    Case(channels=17000, outputs=1, kernel=(1, 1), input_hw=(2, 1)),
    Case(channels=66000, outputs=1, kernel=(1, 1), input_hw=(1, 1)),
]
DENSE = [replace(case, lowest=-127) for case in [*CONVOLUTIONS, *GROUPED]]  # SMLAD cores take two weights in one
EVERY = [*DENSE, *DEPTHWISE]
WIDE = [replace(case, wide=True) for case in [*CONVOLUTIONS, *GROUPED[::3]]]
UNPAIRED = [replace(case, lowest=-128) for case in DENSE[::3]]
ONE = Case(channels=516, outputs=4, kernel=(1, 1), input_hw=(1, 1))  # at the end of what the sums of a pair hold
FULL = [
    extreme(replace(ONE, channels=channels, outputs=outputs, input_hw=(1, width)), weight)
    for width, outputs in [(1, 4), (2, 3)]
    for channels in (516, 520)
    for weight in (127, -127)
]
TIES = [ties(Case(channels=8, outputs=80, kernel=(1, 1), spread=spread), 0) for spread in (0, 3)]


def every(isa: str) -> list[Case]:
    return [*EVERY, *WIDE, *UNPAIRED] if isa == "dsp" else EVERY


@pytest.mark.parametrize(("isa", "fpu", "standard"), [("v7m", 0, "c99"), ("dsp", 0, "c99"), ("dsp", 1, "c11")])
def test_portable_path(isa: str, fpu: int, standard: str, tmp_path: Path) -> None:
    cases = every(isa)
    problems = [*map(problem, cases), *FULL, *TIES]
    source, binary = tmp_path / "cases.c", tmp_path / "cases"
    source.write_text(program(isa, problems))
    # -O0: nothing that is undefined is optimized away, and the sanitizers compile in a tenth of the time.
    flags = [f"-std={standard}", "-O0", "-ffp-contract=off", f"-DMCUGEN_REQUANT_FPU={fpu}"]
    command = [
        "gcc",
        *flags,
        *WARNINGS,
        *TRAPS,
        *(f"-I{path}" for path in INCLUDES),
        str(source),
        "-lm",
        "-o",
        str(binary),
    ]
    subprocess.run(command, check=True)
    done = subprocess.run([binary], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def on_core(name: str, optimize: str, cases: list[Case], folder: Path) -> None:
    board = core(name)
    missing = available(board)
    if missing is not None:
        pytest.skip(missing)
    problems = [*map(problem, cases), *FULL, *TIES]
    source = folder / "cases.c"
    source.write_text(program(board.isa, problems))
    image = link_image(board, [source], includes=INCLUDES, optimize=optimize, extra_flags=WARNINGS)
    done = run(board, image, workdir=folder, timeout_s=120, icount=False)
    assert (done.exit_code, done.output) == (0, "")


@pytest.mark.parametrize(
    ("name", "optimize"), [("cortex-m0", "-Os"), ("cortex-m3", "-O2"), ("cortex-m4", "-O3"), ("cortex-m33", "-O0")]
)
def test_core(name: str, optimize: str, tmp_path: Path) -> None:
    """Every fifth case: with the four cores all of them, nearly."""
    first = CORES.index(name)
    on_core(name, optimize, every(core(name).isa)[first::5], tmp_path)


def test_dsp_without_fpu(tmp_path: Path) -> None:
    on_core("cortex-m4+nofp", "-O2", every("dsp")[4::5], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("optimize", ["-Os", "-O2", "-O3"])
@pytest.mark.parametrize("name", CORES)
def test_core_with_every_case(name: str, optimize: str, tmp_path: Path) -> None:
    on_core(name, optimize, [*every(core(name).isa), *LONG], tmp_path)
