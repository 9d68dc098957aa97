"""Several models in one project: one copy of each kernel, one arena, the same bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import onnx
import pytest
from c_compiler import GCC, STRICT, build_for_board, includes, needs_cmake, run, sources
from checking import compile_model
from click.testing import CliRunner, Result
from gallery import example

from mcugen.cli import main
from mcugen.errors import UserError
from mcugen.prove import emulator
from mcugen.prove.toolchain import available, symbol_addresses
from mcugen.target import core
from mcugen.together import check_names


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    for name, case in (("eyes", "classifier-int8"), ("wake", "direct-uint8")):
        onnx.save(example(case), folder / f"{name}.onnx")
    models = [str(folder / "eyes.onnx"), str(folder / "wake.onnx")]
    done = CliRunner().invoke(main, ["build", *models, "-o", str(folder / "both"), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder / "both"


def test_the_report_is_of_all(built: Path) -> None:
    data = json.loads((built / "report.json").read_text())
    models = data["models"]
    assert [model["name"] for model in models] == ["eyes", "wake"]
    assert data["arena_bytes"] == max(model["arena_bytes"] for model in models)
    assert data["const_bytes"] == sum(model["const_bytes"] for model in models)
    if data["code_bytes"] is not None:
        assert data["code_bytes"] < sum(model["code_bytes"] for model in models), "shared kernels are there once"


_MAIN = """
#include <string.h>
#include "both.h"
#include "test/eyes/vectors.h"
#include "test/wake/vectors.h"

static both_arena_t arena;

int main(void)
{
    for (int sample = 0; sample < 4; sample++) {
        memcpy(eyes_input(&arena.eyes), eyes_test_input[sample], EYES_INPUT_0_BYTES);
        if (eyes_run(&arena.eyes) != EYES_OK
            || memcmp(eyes_output(&arena.eyes), eyes_test_output[sample], EYES_OUTPUT_0_BYTES) != 0) {
            return 1;
        }
        memcpy(wake_input(&arena.wake), wake_test_input[sample], WAKE_INPUT_0_BYTES);
        if (wake_run(&arena.wake) != WAKE_OK
            || memcmp(wake_output(&arena.wake), wake_test_output[sample], WAKE_OUTPUT_0_BYTES) != 0) {
            return 2;
        }
    }
    return sizeof arena == (EYES_ARENA_BYTES > WAKE_ARENA_BYTES ? EYES_ARENA_BYTES : WAKE_ARENA_BYTES) ? 0 : 3;
}
"""


def test_both_run_in_one_arena_one_after_the_other(built: Path, tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(_MAIN)
    code = [path for path in sources(built) if path.exists()]
    flags = ["-std=c11", "-g", "-O1", *STRICT, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    vectors = sorted(built.glob("test/*/vectors.c"))
    assert len(vectors) == 2
    run([GCC, *flags, *includes(built), tmp_path / "main.c", *code, *vectors, "-lm", "-o", tmp_path / "both"])
    run([tmp_path / "both"])


# With memory regions

CASES = {"eyes": "classifier-int8", "wake": "direct-uint8"}


def built_for(on: str, memory: str, folder: Path, *options: str) -> Result:
    for name, case in CASES.items():
        onnx.save(example(case), folder / f"{name}.onnx")
    models = [str(folder / f"{name}.onnx") for name in CASES]
    given = ["--target", on, "--memory", memory, "-o", str(folder / "both"), *options]
    return CliRunner().invoke(main, ["build", *models, *given], catch_exceptions=False)


def needs(folder: Path, on: str) -> dict[str, int]:
    return {name: compile_model(example(case), folder, core=on).arena_bytes for name, case in CASES.items()}


_ON_BOARD = """
#include <string.h>
#include "board.h"
#include "both.h"
#include "test/eyes/vectors.h"
#include "test/wake/vectors.h"

%(declared)s

int main(void)
{
    board_init();
    for (int sample = 0; sample < 4; sample++) {
        memcpy(eyes_input(%(eyes)s), eyes_test_input[sample], EYES_INPUT_0_BYTES);
        if (eyes_run(%(eyes)s) != EYES_OK
            || memcmp(eyes_output(%(eyes)s), eyes_test_output[sample], EYES_OUTPUT_0_BYTES) != 0) {
            return 1;
        }
        memcpy(wake_input(%(wake)s), wake_test_input[sample], WAKE_INPUT_0_BYTES);
        if (wake_run(%(wake)s) != WAKE_OK
            || memcmp(wake_output(%(wake)s), wake_test_output[sample], WAKE_OUTPUT_0_BYTES) != 0) {
            return 2;
        }
    }
    board_puts("PASS\\n");
    return 0;
}
"""


@needs_cmake
@pytest.mark.parametrize(
    ("on", "split"),
    [
        ("cortex-m0", False),
        ("cortex-m55", True),
        pytest.param("cortex-m4", True, marks=pytest.mark.slow),
        pytest.param("cortex-m55", False, marks=pytest.mark.slow),
    ],
)
def test_regions_that_models_share_on_a_board(on: str, split: bool, tmp_path: Path) -> None:
    """One after the other in one arena, with the tables of both copied: all bytes are ONNX Runtime's."""
    reason = available(core(on))
    if reason:
        pytest.skip(reason)
    most = max(needs(tmp_path, on).values())
    dtcm = most * 5 // 8 if split else most + 1024
    done = built_for(on, f"itcm=64K,dtcm={dtcm},sram={most + 1024},flash=1M", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    folder = tmp_path / "both"

    used = {row["region"]: row for row in data["memory"]}
    alone = [{row["region"]: row for row in model["memory"]} for model in data["models"]]
    for region, row in used.items():
        assert row["used_bytes"] <= row["bytes"]
        assert row["arena_bytes"] == max(model[region]["arena_bytes"] for model in alone)
        assert row["table_bytes"] == sum(model[region]["table_bytes"] for model in alone)
    assert data["arena_bytes"] == sum(row["arena_bytes"] for row in used.values())
    assert (used["sram"]["arena_bytes"] > 0) == split
    copied = [model["dtcm"]["table_bytes"] + model["sram"]["table_bytes"] for model in alone]
    assert all(copied), "tables of both models are read often enough"

    readme = (folder / "README.md").read_text()
    (folder / "turns").mkdir()
    declared = "\n".join(line for line in readme.splitlines() if line.startswith("static "))
    pointers = {name: re.search(rf"^{name}_run\((.*)\);", readme, re.MULTILINE)[1] for name in CASES}  # type: ignore[index]
    (folder / "turns" / "main.c").write_text(_ON_BOARD % {"declared": declared, **pointers})
    with (folder / "CMakeLists.txt").open("a") as cmake:
        cmake.write(
            "add_executable(turns turns/main.c test/eyes/vectors.c test/wake/vectors.c)\n"
            "target_link_libraries(turns PRIVATE both board)\n"
        )
    elf = build_for_board(folder, on, tmp_path / "build", "turns")
    for image in (elf, *(elf.with_name(elf.name.replace("turns", f"{name}_test")) for name in CASES)):
        ran = emulator.run(core(on), image, workdir=tmp_path, timeout_s=60)
        assert (ran.exit_code, ran.output.splitlines()[-1]) == (0, "PASS"), image

    addresses, memory = symbol_addresses(elf), core(on).memory
    places = {"dtcm": memory.tcm or memory.ram, "sram": memory.ram}
    names = ["arena_dtcm", "arena_sram"] if split else ["arena"]
    where = dict(zip(names, places, strict=False))
    for path in folder.glob("*_weights.c"):
        where |= dict(re.findall(r'(\w+)\[\d+\] MCUGEN_SECTION\("\.rodata\.mcugen_(\w+)"\)', path.read_text()))
    for name, region in where.items():
        place = places[region]
        assert place.base <= addresses[name] < place.base + place.size_bytes, name
    for name in ("eyes_run", "wake_run"):
        assert memory.ram.base <= addresses[name] < memory.ram.base + memory.ram.size_bytes


@pytest.mark.parametrize("wanted", ["dtcm", "sram", "flash"])
def test_a_region_that_is_too_small_for_all_is_named(wanted: str, tmp_path: Path) -> None:
    memory = {
        "dtcm": "dtcm=512,flash=1M",
        "sram": "dtcm=300,sram=16,flash=1M",
        "flash": "sram=1M,flash=2K",
    }[wanted]
    done = built_for("cortex-m4", memory, tmp_path)
    assert done.exit_code == 1
    text = " ".join(done.output.split())
    peak = "" if wanted == "flash" else r" The peak is at step \w+ of eyes:.*"
    assert re.search(rf"memory region {wanted} is over by [\d,]+ bytes: arena [^.]*\.{peak}$", text)
    assert not (tmp_path / "both").exists()


def test_a_budget_holds_for_all_regions_together(tmp_path: Path) -> None:
    """One model needs more of dtcm, the other one sram: each keeps the budget, the arena that they share does not."""
    memory = "dtcm=300,sram=1M,flash=1M"
    data = json.loads(built_for("cortex-m4", memory, tmp_path, "--json").stdout)
    alone = max(model["arena_bytes"] for model in data["models"])
    assert data["arena_bytes"] > alone
    assert built_for("cortex-m4", memory, tmp_path, "--ram", str(data["arena_bytes"])).exit_code == 0
    done = built_for("cortex-m4", memory, tmp_path, "--ram", str(alone))
    assert done.exit_code == 1 and "the arena that the models share needs" in " ".join(done.output.split())


def test_tables_of_all_models_compete_for_a_region(tmp_path: Path) -> None:
    """Room for a few only: those read most per byte, whichever model they belong to."""
    most = max(needs(tmp_path, "cortex-m4").values())
    done = built_for("cortex-m4", f"dtcm={most + 64},flash=1M", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    row = json.loads(done.stdout)["memory"][0]
    assert row["arena_bytes"] == most and 0 < row["table_bytes"] <= 64


@pytest.mark.parametrize("names", [("net", "net"), ("all", "all"), ("net", "net_weights"), ("project", "a", "a_b")])
def test_names_that_clash_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"clash.*Rename a model file"):
        check_names(names)
    check_names(["project", "net", "network", "other"])


def test_two_files_of_one_name_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        onnx.save(example("direct-int8"), tmp_path / folder / "net.onnx")
    models = [str(tmp_path / folder / "net.onnx") for folder in ("a", "b")]
    done = CliRunner().invoke(main, ["build", *models, "-o", str(tmp_path / "out")])
    assert done.exit_code == 2 and "clash" in done.output + (done.stderr or "")
    assert not (tmp_path / "out").exists()
