"""--memory: the arena in parts, tables in a faster region, budgets; the same bytes on host and boards."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import onnx
import pytest
from c_compiler import GCC, build_for_board, compile_project, includes, needs_cmake, run, sources
from checking import assert_exact, compile_model
from click.testing import CliRunner
from gallery import FEW_BY_DEFAULT, example

from mcugen import project
from mcugen.cli import main
from mcugen.emit.artefact import Compiled
from mcugen.emit.codegen import harness, project_view
from mcugen.emit.report import report
from mcugen.errors import CheckFailed, UserError
from mcugen.prove import emulator
from mcugen.prove.program import write_program
from mcugen.prove.toolchain import available, link_image, symbol_addresses
from mcugen.target import Memory, core, parse_memories


def halves(case: str, folder: Path, text: str = "flash=64K", **options: object) -> Compiled:
    """Two regions of a little more than half the arena each."""
    need = compile_model(example(case), folder, **options).plan.arena_bytes
    fast = max(32, need * 5 // 8)
    memories = parse_memories(f"dtcm={fast},sram={need},{text}")
    return compile_model(example(case), folder, name="net", memories=memories, **options)


@pytest.mark.parametrize("case", FEW_BY_DEFAULT)
def test_an_arena_in_two_parts_is_exact(case: str, tmp_path: Path) -> None:
    compiled = halves(case, tmp_path)
    assert [part.name for part in compiled.plan.parts] == ["dtcm", "sram"]
    assert_exact(compiled)


@pytest.mark.parametrize("options", [{"io_buffers": "apart"}, {"ram": 0}], ids=str)
def test_parts_with_other_options(options: dict[str, object], tmp_path: Path) -> None:
    compiled = halves("classifier-uint8", tmp_path, **options)
    assert len(compiled.plan.parts) == 2
    assert_exact(compiled, samples=4)


def test_the_build_says_how_far_each_part_is_from_its_bound(tmp_path: Path) -> None:
    need = compile_model(example("classifier-int8"), tmp_path).plan.arena_bytes
    onnx.save(example("classifier-int8"), tmp_path / "net.onnx")
    command = ["build", str(tmp_path / "net.onnx"), "-o", str(tmp_path / "out")]
    command += ["--memory", f"dtcm={need * 5 // 8},sram={need},flash=64K"]
    written = " ".join(CliRunner().invoke(main, command, catch_exceptions=False).stdout.split())
    parts = json.loads((tmp_path / "out" / "report.json").read_text())["arena_parts"]
    assert [part["region"] for part in parts] == ["dtcm", "sram"]
    for part in parts:
        gap = part["bytes"] - part["bound_bytes"]
        said = f"{gap:,} above the lower bound of {part['bound_bytes']:,}" if gap else "at its lower bound"
        assert gap >= 0 and f"{part['region']} {said}" in written


def test_a_region_that_is_no_name_in_c_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be called 'int'"):
        compile_model(example("direct-int8"), tmp_path, memories=parse_memories("int=64K"))


def test_tensors_of_a_part_overlap_only_where_a_kernel_lets_them(tmp_path: Path) -> None:
    compiled = halves("classifier-int8", tmp_path)
    plan = compiled.plan
    limits = {part.name: part.size_bytes for part in plan.parts}
    assert all(slot.offset_bytes + slot.size_bytes <= limits[slot.part] for slot in plan.slots)
    for (a, one), (b, other) in combinations(zip(plan.slots, plan.storages, strict=True), 2):
        for p in one.pieces if a.part == b.part else ():
            for q in other.pieces:
                first, last = max(p.first, q.first), min(p.last, q.last)
                apart = (
                    a.offset_bytes + p.stop <= b.offset_bytes + q.start
                    or b.offset_bytes + q.stop <= a.offset_bytes + p.start
                )
                assert apart or first > last or (first == last and compiled.steps[first].leads)


def test_whole_where_the_first_region_holds_it(tmp_path: Path) -> None:
    model = example("classifier-int8")
    plain = compile_model(model, tmp_path)
    compiled = compile_model(model, tmp_path, memories=parse_memories("dtcm=64K,flash=1M"))
    assert [part.name for part in compiled.plan.parts] == ["dtcm"]
    assert compiled.plan.arena_bytes == plain.plan.arena_bytes
    rows = {row["region"]: row for row in report(compiled)["memory"]}
    assert rows["dtcm"]["table_bytes"] > 0, "tables that are read often are copied where there is room"
    assert rows["flash"]["table_bytes"] >= rows["dtcm"]["table_bytes"]


def addresses_on_the_board(compiled: Compiled, folder: Path) -> dict[str, int]:
    (folder / "c").mkdir()
    (folder / "c" / "main.c").write_text(harness(compiled, profile=False))
    program = write_program(compiled, folder / "c", None)
    elf = link_image(
        compiled.core,
        program.sources,
        includes=program.includes,
        sections=program.sections,
        memories=compiled.memories,
    )
    return symbol_addresses(elf)


@pytest.mark.parametrize("on", ["cortex-m0", "cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("kernels", ["specialised", "api"])
def test_code_that_start_up_copies_on_a_board(on: str, kernels: str, tmp_path: Path) -> None:
    reason = available(core(on))
    if reason:
        pytest.skip(reason)
    memories = parse_memories("itcm=32K,dtcm=64K,flash=1M")
    model = example("classifier-int8")
    compiled = compile_model(model, tmp_path, name="net", core=on, kernels=kernels, memories=memories)
    assert_exact(compiled, samples=2, on=on)
    addresses = addresses_on_the_board(compiled, tmp_path)
    ram, code = compiled.core.memory.ram, compiled.core.memory.code
    own = ["net_run", *(step.kernel for step in compiled.steps if step.kernel.startswith("arm_"))]
    assert len(own) > 1 or kernels == "specialised"
    for name in own:
        assert ram.base <= addresses[name] < ram.base + ram.size_bytes, name
    assert code.base <= addresses["main"] < code.base + code.size_bytes


def test_code_that_is_too_large_for_its_region_is_named(tmp_path: Path) -> None:
    memories = parse_memories("itcm=256,dtcm=64K,flash=1M")
    compiled = compile_model(example("classifier-int8"), tmp_path, memories=memories)
    with pytest.raises(CheckFailed, match=r"memory region itcm is over by 1,744 bytes: .*code 2,000, of 256"):
        project.check_budgets(compiled, report(compiled, 2000), None, None)


@pytest.mark.parametrize("on", ["cortex-m4", "cortex-m55"])
def test_parts_and_copied_tables_on_a_board(on: str, tmp_path: Path) -> None:
    """On the Cortex-M55's board the first region is its tightly coupled memory."""
    reason = available(core(on))
    if reason:
        pytest.skip(reason)
    compiled = halves("classifier-int8", tmp_path, core=on)
    assert_exact(compiled, samples=2, on=on)
    addresses = addresses_on_the_board(compiled, tmp_path)
    memory = compiled.core.memory
    copied = [table["name"] for table in project_view(compiled, [], "-O2")["tables"] if table["region"]]
    assert copied, "no table is read often enough"
    for name, region in [("arena_dtcm", memory.tcm or memory.ram), ("arena_sram", memory.ram), (copied[0], memory.ram)]:
        assert region.base <= addresses[name] < region.base + region.size_bytes, name


@needs_cmake
@pytest.mark.parametrize("on", ["cortex-m4", "cortex-m55"])
def test_the_project_places_what_its_sections_say(on: str, tmp_path: Path) -> None:
    """CMake alone, with the project's own linker script; the recorded samples pass on the board."""
    reason = available(core(on))
    if reason:
        pytest.skip(reason)
    compiled = halves("classifier-int8", tmp_path, text="itcm=32K,flash=1M", core=on)
    folder = project.build(compiled, tmp_path / "net", ram=None, flash=None).folder
    elf = build_for_board(folder, on, tmp_path / "build", "net_test")
    addresses = symbol_addresses(elf)
    memory = compiled.core.memory
    regions = {"dtcm": memory.tcm or memory.ram, "sram": memory.ram}
    copied = {table["name"]: table["region"] for table in project_view(compiled, [], "-O2")["tables"]}
    assert any(copied.values()), "no table is read often enough"
    for name, region in [
        ("arena_dtcm", regions["dtcm"]),
        ("arena_sram", regions["sram"]),
        ("net_run", memory.ram),
        *((table, regions[region]) for table, region in copied.items() if region),
        ("main", memory.code),
    ]:
        assert region.base <= addresses[name] < region.base + region.size_bytes, name
    assert addresses["mcugen_copies_end"] > addresses["mcugen_copies_start"]
    done = emulator.run(core(on), elf, workdir=tmp_path, timeout_s=60)
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "PASS")


_MAIN = """
#include <stdlib.h>
#include <string.h>
#include "vectors.h"

int main(void)
{
    for (int poison = 0; poison < 256; poison += 85) {
        net_arena_t arena = {.dtcm = malloc(sizeof *arena.dtcm), .sram = malloc(sizeof *arena.sram)};
        memset(arena.dtcm, poison, sizeof *arena.dtcm);
        memset(arena.sram, poison, sizeof *arena.sram);
        memcpy(net_input(&arena), net_test_input[0], NET_INPUT_0_BYTES);
        const net_arena_t half = {.dtcm = arena.dtcm, .sram = NULL};
        net_arena_t broken = half;
        if (net_run(&broken) != NET_ERR_ARG || net_run(NULL) != NET_ERR_ARG) {
            return 1;
        }
        if (net_run(&arena) != NET_OK || memcmp(net_output(&arena), net_test_output[0], NET_OUTPUT_0_BYTES) != 0) {
            return 2;
        }
        free(arena.dtcm);
        free(arena.sram);
    }
    return 0;
}
"""


def test_poisoned_parts_under_the_sanitizers(tmp_path: Path) -> None:
    folder = project.build(halves("classifier-int8", tmp_path), tmp_path / "net", ram=None, flash=None).folder
    assert "REGION_ALIAS" in (folder / "net_sections.ld").read_text()
    compile_project(folder, [GCC, "-std=c99"])
    (tmp_path / "main.c").write_text(_MAIN)
    flags = ["-std=c11", "-g", "-O1", "-ffp-contract=off", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags += [*includes(folder), f"-I{folder / 'test'}"]
    for name, program in (("parts", tmp_path / "main.c"), ("own", folder / "test" / "main.c")):
        run([GCC, *flags, program, *sources(folder), "-lm", "-o", tmp_path / name])
        run([tmp_path / name])


@pytest.mark.parametrize(
    "memories, message",
    [
        ("dtcm=300,sram=16", r"memory region sram is over by [\d,]+ bytes: arena .* The peak is at step"),
        ("sram=1M,flash=1K", r"memory region flash is over by [\d,]+ bytes: arena 0, tables .*, of 1,024\.$"),
    ],
)
def test_a_region_that_is_too_small_is_named(memories: str, message: str, tmp_path: Path) -> None:
    compiled = compile_model(example("classifier-int8"), tmp_path, memories=parse_memories(memories))
    with pytest.raises(CheckFailed, match=message):
        project.build(compiled, tmp_path / "out", ram=None, flash=None)
    assert not (tmp_path / "out").exists()


def test_memories_are_read_in_order() -> None:
    assert parse_memories("DTCM=64K, sram=2M,flash=1M") == (
        Memory("dtcm", 65536),
        Memory("sram", 2 << 20),
        Memory("flash", 1 << 20),
    )


@pytest.mark.parametrize(
    "text", ["", "64K", "dtcm", "dtcm=", "dtcm=64K,dtcm=1K", "flash=1M", "a b=1K", "arena=1K", "x=0"]
)
def test_memories_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_memories(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("itcm=64K,flash=1M", "no memory region is RAM for data"),
        ("itcm=64K,itcm2=64K,sram=1M,flash=1M", "code goes to one region only"),
        ("itcm=64K,sram=1M", "no flash from which code could be copied"),
    ],
)
def test_regions_for_code_are_checked(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_memories(text)
