"""Several models in one project: one copy of each kernel, one arena, the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from c_compiler import GCC, STRICT, includes, run, sources
from click.testing import CliRunner
from gallery import example

from mcugen.cli import main
from mcugen.errors import UserError
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
