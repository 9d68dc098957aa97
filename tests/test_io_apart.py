"""Inputs and outputs in the caller's buffers: the same bytes, the inputs untouched, nothing written beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from c_compiler import GCC, compile_project, includes, run, sources
from checking import assert_exact, compile_model
from gallery import FEW_BY_DEFAULT, example
from small_models import Net

from mcugen import project
from mcugen.emit.artefact import Compiled
from mcugen.emit.codegen import c_sources
from mcugen.errors import UserError
from mcugen.ir import Graph, TensorType, Value
from mcugen.passes.io_apart import io_apart
from mcugen.step import MOVE


def apart(case: str, folder: Path, **options: object) -> Compiled:
    return compile_model(example(case), folder, name="net", io_buffers="apart", **options)


@pytest.mark.parametrize("case", FEW_BY_DEFAULT)
def test_exact(case: str, tmp_path: Path) -> None:
    """The host's runner also holds that the inputs stay as they are."""
    compiled = apart(case, tmp_path)
    assert_exact(compiled)
    ports = {port.name for port in (*compiled.inputs, *compiled.outputs)}
    assert {compiled.plan.callers[name] for name in ports} == ports
    whole = compile_model(example(case), tmp_path)
    assert compiled.plan.arena_bytes <= whole.plan.arena_bytes


@pytest.mark.parametrize("options", [{"io": "float"}, {"ram": 0}, {"kernels": "api"}], ids=str)
def test_with_other_options(options: dict[str, object], tmp_path: Path) -> None:
    assert_exact(apart("classifier-uint8", tmp_path, **options))


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m55"])
def test_on_an_emulated_core(core: str, tmp_path: Path) -> None:
    assert_exact(apart("classifier-int8", tmp_path, core=core), samples=2, on=core)


def test_an_output_that_views_an_input_is_copied(tmp_path: Path) -> None:
    compiled = apart("ports-int8", tmp_path)
    assert [step.outputs[0] for step in compiled.steps if step.kernel == MOVE] == ["echo"]


def test_two_outputs_of_one_tensor_have_a_buffer_each(tmp_path: Path) -> None:
    net = Net("int8", seed=3)
    x = net.op("Sigmoid", net.input([1, 3, 4]), scale=1 / 256, zero_point=-128)
    net.output(x, "here")
    net.output(net.copy("Flatten", x, axis=1), "flat")
    compiled = compile_model(net.model(), tmp_path, io_buffers="apart")
    assert len(set(map(compiled.plan.callers.get, ("here", "flat")))) == 2
    result = assert_exact(compiled)
    assert np.array_equal(result.outputs["here"].ravel(), result.outputs["flat"].ravel())


@pytest.mark.parametrize(
    "data, what", [(None, "an input"), (np.zeros(8, np.int8), "a constant")], ids=["input", "constant"]
)
def test_an_output_without_bytes_of_its_own_is_refused(data: np.ndarray | None, what: str) -> None:
    value = Value("x", TensorType("int8", (8,)), data)
    graph = Graph("small", ("x",) if data is None else (), ("x",), {"x": value}, ())
    with pytest.raises(UserError, match=f"x: the output is {what} of the model, and has no buffer of its own"):
        io_apart(graph)


_MAIN = """
#include <stdlib.h>
#include <string.h>
#include "vectors.h"

int main(void)
{
    for (int poison = 0; poison < 256; poison += 85) {
        net_arena_t *arena = malloc(sizeof *arena); /* all exactly: the sanitizer watches both ends */
        int8_t *input = malloc(NET_INPUT_0_BYTES), *output = malloc(NET_OUTPUT_0_BYTES);
        memset(arena, poison, sizeof *arena);
        memset(output, poison, NET_OUTPUT_0_BYTES);
        memcpy(input, net_test_input[0], NET_INPUT_0_BYTES);
        if (net_run(NULL, input, output) != NET_ERR_ARG || net_run(arena, NULL, output) != NET_ERR_ARG
            || net_run(arena, input, NULL) != NET_ERR_ARG) {
            return 1;
        }
        if (net_run(arena, input, output) != NET_OK || memcmp(output, net_test_output[0], NET_OUTPUT_0_BYTES) != 0) {
            return 2;
        }
        if (memcmp(input, net_test_input[0], NET_INPUT_0_BYTES) != 0) {
            return 3;
        }
        free(arena);
        free(input);
        free(output);
    }
    return 0;
}
"""


@pytest.mark.parametrize("case, options", [("classifier-int8", {}), ("direct-uint8", {"ram": 0})])
def test_poisoned_memory_under_the_sanitizers(case: str, options: dict[str, object], tmp_path: Path) -> None:
    folder = project.build(apart(case, tmp_path, **options), tmp_path / "net", ram=None, flash=None).folder
    compile_project(folder, [GCC, "-std=c99"])
    (tmp_path / "main.c").write_text(_MAIN)
    flags = ["-std=c11", "-g", "-O1", "-ffp-contract=off", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags += [*includes(folder), f"-I{folder / 'test'}"]
    run([GCC, *flags, tmp_path / "main.c", *sources(folder), "-lm", "-o", tmp_path / "apart"])
    run([tmp_path / "apart"])
    run([GCC, "-std=c99", "-O1", *flags[4:], folder / "test/main.c", *sources(folder), "-lm", "-o", tmp_path / "own"])
    run([tmp_path / "own"])


def test_header_takes_the_buffers_in_the_order_of_the_ports(tmp_path: Path) -> None:
    header = c_sources(apart("ports-uint8", tmp_path))["net.h"]
    taken = ["const int8_t *input_left", "const int8_t *input_right"]
    taken += ["int8_t *output_total", "int8_t *output_tensor_class", "int8_t *output_echo"]
    assert f"int net_run(net_arena_t *arena, {', '.join(taken)});" in header
