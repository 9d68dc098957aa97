"""The generated C: clean under every warning, in C and C++, on host and cores, alone and with Arm's headers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from c_compiler import (
    ARM_GCC,
    BUILDABLE,
    DIFFERENT,
    GCC,
    build_for_board,
    cmake,
    compile_project,
    generator,
    includes,
    needs_arm_gcc,
    needs_cmake,
    run,
    sources,
)
from checking import CMSIS_NN, compile_model, needs_cmsis_nn
from float_layers import layer
from gallery import FEW_BY_DEFAULT, example
from small_models import Net

from mcugen import project
from mcugen.emit.spelling import elements
from mcugen.prove import emulator, toolchain
from mcugen.target import Core, core

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """build(case, **options) -> the folder of the generated project, made once."""
    made: dict[tuple[object, ...], Path] = {}

    def get(case: str, **options: str) -> Path:
        key = (case, *sorted(options.items()))
        if key not in made:
            folder = tmp_path_factory.mktemp("project")
            compiled = compile_model(example(case), folder, name="net", **options)
            made[key] = project.build(compiled, folder / "net", ram=None, flash=None).folder
        return made[key]

    return get


@pytest.mark.parametrize("case", FEW_BY_DEFAULT)
@pytest.mark.parametrize("standard", ["c99", "c11"])
def test_host_compiler(standard: str, case: str, build: Build) -> None:
    compile_project(build(case), [GCC, f"-std={standard}"])


@pytest.mark.parametrize("options", [{"io": "float"}, {"kernels": "api"}, {"requant": "stock"}], ids=str)
def test_host_compiler_with_other_options(options: dict[str, str], build: Build) -> None:
    extra = ["-DMCUGEN_REQUANT_STOCK=1"] if "requant" in options else []
    compile_project(build("classifier-int8", **options), [GCC, "-std=c99", *extra])


@needs_arm_gcc
@pytest.mark.parametrize("target", BUILDABLE, ids=lambda target: target.name)
def test_arm_compiler(target: Core, build: Build) -> None:
    for case in ("classifier-int8", "arithmetic-int8"):
        compile_project(build(case, core=target.name), [ARM_GCC, "-std=c99", "-mthumb", *target.flags])


@needs_arm_gcc
@needs_cmsis_nn
@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m55"])
def test_arms_headers(target: str, build: Build) -> None:
    folder = build("classifier-int8", core=target, library="arm", kernels="api")
    compile_project(folder, [ARM_GCC, "-std=c99", "-mthumb", *core(target).flags], library=CMSIS_NN)


@pytest.mark.parametrize("standard", ["c++11", "c++17"])
@pytest.mark.parametrize("case", ["classifier-int8", "ports-uint8"])
def test_header_from_cpp(case: str, standard: str, build: Build, tmp_path: Path) -> None:
    source = tmp_path / "use.cpp"
    source.write_text('#include "net.h"\nstatic net_arena_t arena;\nint main() { return net_run(&arena); }\n')
    flags = [f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c"]
    run(["g++", *flags, *includes(build(case)), source, "-o", tmp_path / "use.o"])


# What runs: an executable of its own, with sanitizers

_PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vectors.h"

#define GUARD 64
struct guarded { unsigned char before[GUARD]; net_arena_t arena; unsigned char after[GUARD]; };

static void fill(struct guarded *g, int byte)
{
    memset(g, 0x5A, sizeof *g);
    memset(&g->arena, byte, sizeof g->arena);
}

static int intact(const struct guarded *g)
{
    for (int i = 0; i < GUARD; i++) {
        if (g->before[i] != 0x5A || g->after[i] != 0x5A) {
            return 0;
        }
    }
    return 1;
}

static void feed(net_arena_t *arena, int sample)
{
    %(feed)s
}

static int equal(const net_arena_t *arena, int sample)
{
    return %(equal)s;
}

int main(void)
{
    struct guarded *a = malloc(sizeof *a), *b = malloc(sizeof *b);
    if (a == NULL || b == NULL) {
        return 9;
    }
    if (net_run(NULL) != NET_ERR_ARG) {
        return 1;
    }
    for (int sample = 0; sample < NET_TEST_SAMPLES; sample++) {
        const int other = (sample + 1) %% NET_TEST_SAMPLES;
        fill(a, 0xA5); /* nothing in the arena may matter but the inputs */
        fill(b, 0xFF);
        feed(&a->arena, sample);
        feed(&b->arena, other);
        if (net_run(&a->arena) != NET_OK || net_run(&b->arena) != NET_OK) {
            return 2;
        }
        if (!equal(&a->arena, sample) || !equal(&b->arena, other)) {
            return 3;
        }
        feed(&a->arena, other); /* the same arena again, without clearing it */
        if (net_run(&a->arena) != NET_OK || !equal(&a->arena, other) || !equal(&b->arena, other)) {
            return 4;
        }
        if (!intact(a) || !intact(b)) {
            return 5;
        }
    }
    free(a);
    free(b);
    return 0;
}
"""


@pytest.mark.parametrize(
    "case, kernels",
    [
        ("classifier-int8", "specialised"),
        ("classifier-int8", "api"),
        ("direct-uint8", "specialised"),
        ("arithmetic-int8", "specialised"),
        ("ports-uint8", "specialised"),
    ],
)
def test_two_arenas_between_guards(case: str, kernels: str, build: Build, tmp_path: Path) -> None:
    """Re-entrant, in bounds and free of undefined behaviour, whatever lay in the arena before."""
    folder = build(case, kernels=kernels)
    compiled = compile_model(example(case), tmp_path, name="net", kernels=kernels)
    feeds = [
        f"memcpy(net_{p.c_name}(arena), net_test_{p.c_name}[sample], NET_INPUT_{i}_BYTES);"
        for i, p in enumerate(compiled.inputs)
    ]
    equals = [
        f"memcmp(net_{p.c_name}(arena), net_test_{p.c_name}[sample], NET_OUTPUT_{i}_BYTES) == 0"
        for i, p in enumerate(compiled.outputs)
    ]
    program = tmp_path / "main.c"
    program.write_text(_PROGRAM % {"feed": "\n    ".join(feeds), "equal": " && ".join(equals)})
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags = ["-std=c11", "-g", "-O1", "-ffp-contract=off", *sanitize, *includes(folder), f"-I{folder / 'test'}"]
    run([GCC, *flags, program, *sources(folder), "-lm", "-o", tmp_path / "guards"])
    run([tmp_path / "guards"])


@needs_cmake
@pytest.mark.parametrize("case", ["classifier-int8", "arithmetic-int8"])
def test_project_on_the_host(case: str, build: Build, tmp_path: Path) -> None:
    cmake("-S", build(case), "-B", tmp_path, *generator())
    cmake("--build", tmp_path)
    assert "100% tests passed" in run(["ctest", "--test-dir", tmp_path])


@needs_cmake
def test_project_that_calls_no_kernel_of_cmsis_nn(tmp_path: Path) -> None:
    """Its cmsis/ holds headers only."""
    net = Net("int8", seed=1)
    net.integer_output(net.gemm(net.integer_input([1, 8]), 6, 8))
    compiled = compile_model(net.model(), tmp_path, kernels="specialised")
    assert not any(step.kernel.startswith("arm_") for step in compiled.steps)
    project.build(compiled, tmp_path / "project", ram=None, flash=None)
    cmake("-S", tmp_path / "project", "-B", tmp_path / "b", *generator())
    cmake("--build", tmp_path / "b")
    assert "100% tests passed" in run(["ctest", "--test-dir", tmp_path / "b"])


@needs_cmake
def test_project_that_calls_the_math_library(tmp_path: Path) -> None:
    project.build(compile_model(layer("Sin", [1, 8]), tmp_path), tmp_path / "project", ram=None, flash=None)
    cmake("-S", tmp_path / "project", "-B", tmp_path / "b", *generator())
    cmake("--build", tmp_path / "b")
    assert "100% tests passed" in run(["ctest", "--test-dir", tmp_path / "b"])


@needs_cmake
@needs_cmsis_nn
def test_project_with_arms_library(build: Build, tmp_path: Path) -> None:
    folder = build("classifier-int8", library="arm", kernels="api")
    run(["cmake", "-S", folder, "-B", tmp_path, *generator(), f"-DCMSIS_NN_ROOT={CMSIS_NN}"])
    run(["cmake", "--build", tmp_path])
    assert "100% tests passed" in run(["ctest", "--test-dir", tmp_path])


@needs_cmake
@pytest.mark.parametrize("target", [*DIFFERENT, core("cortex-m55+nofp")], ids=lambda target: target.name)
def test_project_for_a_board(target: Core, build: Build, tmp_path: Path) -> None:
    """With the project's own toolchain file; where an emulator has the core, the recorded samples pass on it."""
    reason = toolchain.available(target, to_run=False)
    if reason:
        pytest.skip(reason)
    elf = build_for_board(build("classifier-int8", core=target.name), target.name, tmp_path, "net_test")
    if toolchain.available(target) is None:
        done = emulator.run(target, elf, workdir=tmp_path, timeout_s=60)
        assert (done.exit_code, done.output.splitlines()[-1]) == (0, "PASS")


def test_recorded_samples_are_the_pinned_sessions(build: Build) -> None:
    text = (build("classifier-int8") / "test" / "vectors.c").read_text()
    assert "the pinned session" in text


def test_header_says_what_the_model_is(build: Build, tmp_path: Path) -> None:
    compiled = compile_model(example("ports-uint8"), tmp_path, name="net")
    text = (build("ports-uint8") / "net.h").read_text()
    assert f"#define NET_ARENA_BYTES {compiled.plan.arena_bytes}u" in text
    for index, port in enumerate(compiled.inputs):
        scale, zero_point = port.type.quant.per_tensor
        assert f"#define NET_INPUT_{index}_ZERO_POINT ({zero_point})" in text
        line = next(line for line in text.splitlines() if line.startswith(f"#define NET_INPUT_{index}_SCALE "))
        assert np.float32(line.split()[2].rstrip("f")) == scale
        assert f"#define NET_INPUT_{index}_BYTES {port.type.bytes}" in text


def test_c_keeps_to_120_columns() -> None:
    root = Path(project.__file__).parents[1]
    files = [
        file for folder in ("templates", "cmsis", "firmware", "examples") for file in (root / folder).rglob("*.[ch]")
    ]
    long = [f"{file}:{number}" for file in files for number, line in enumerate(file.open(), 1) if len(line) > 121]
    assert len(files) > 100 and not long


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.float32, np.bool_])
def test_tables_keep_to_120_columns(dtype: type[np.generic]) -> None:
    lowest = True if dtype is np.bool_ else (np.finfo if dtype is np.float32 else np.iinfo)(dtype).min
    lines = elements(np.full(40, lowest, dtype))
    assert max(map(len, lines)) <= 116  # behind four spaces
    assert sum(line.count(",") for line in lines) == 40


def test_integers_are_numbers_that_c_has() -> None:
    lowest = [np.iinfo(dtype).min for dtype in (np.int32, np.int64)]
    assert elements(np.array([*lowest, -1])) == ["INT32_MIN, INT64_MIN, -1,"]
    assert elements(np.array([True, False])) == ["1, 0,"]
