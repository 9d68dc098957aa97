"""The plan of whole programs: every byte is still there when it is read, and nothing is touched outside the arena."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from checking import compile_model
from onnx import TensorProto, helper
from small_models import Net
from test_bands import residual

from mcugen import oracle
from mcugen.emit.artefact import Compiled
from mcugen.emit.canonical import canonical_model
from mcugen.plan import allocate
from mcugen.plan.lifetimes import gap
from mcugen.plan.schedule import schedule
from mcugen.prove.program import write_program
from mcugen.prove.samples import random_samples, to_canonical, to_firmware_outputs
from mcugen.step import MOVE, SUM


def branches() -> Net:
    """Two branches: the model's order computes the wide halves of both before it shrinks either."""
    net = Net("int8", seed=2)
    x = net.conv(net.integer_input([1, 2, 8, 8]), (4, 2, 1, 1))
    a, b = net.conv(x, (32, 4, 1, 1)), net.conv(x, (32, 4, 1, 1))
    a, b = (net.conv(wide, (4, 32, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1]) for wide in (a, b))
    net.integer_output(net.op("Add", a, b, scale=float(max(a.scale, b.scale))))
    return net


def chain() -> Net:
    """Layers of one size, elementwise steps between them, two outputs."""
    net = Net("uint8", seed=3)
    x = net.conv(net.integer_input([1, 4, 9, 9]), (12, 4, 3, 3), pads=[1, 1, 1, 1], then="Relu")
    for _ in range(2):
        x = net.conv(x, (12, 1, 3, 3), group=12, pads=[1, 1, 1, 1])
        x = net.conv(net.op("Sigmoid", x, scale=1 / 256, zero_point=-128), (12, 12, 1, 1))
    net.integer_output(x)
    net.integer_output(net.op("GlobalAveragePool", x, scale=float(x.scale) / 4))
    return net


MODELS = {"residual": residual, "branches": branches, "chain": chain}
BUDGETS = {"whole": None, "smallest": 0}


@cache
def programs(model: str, budget: str) -> Compiled:
    with TemporaryDirectory() as folder:
        return compile_model(MODELS[model]().model(), Path(folder), ram=BUDGETS[budget])


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("model", MODELS)
def test_every_byte_is_there_when_it_is_read(model: str, budget: str) -> None:
    """Replay on a map of the arena: which value each byte holds, by its tensor and its place in that."""
    compiled = programs(model, budget)
    graph, plan = compiled.graph, compiled.plan
    memory = np.full(plan.arena_bytes, -1, np.int64)
    identity: dict[str, int] = {}

    def where(name: str) -> slice:
        return slice(plan.addresses[name], plan.addresses[name] + graph.type(name).bytes)

    def values(tensor: str, first_byte: int, count: int) -> np.ndarray:
        base = identity.setdefault(tensor, 1_000_000 * (len(identity) + 1))
        return base + first_byte + np.arange(count)

    def expected(name: str) -> np.ndarray:
        tensor, first_row, row_bytes = name.removesuffix(" (moved)"), 0, 0
        channel = re.fullmatch(r"(.*)\[(\d+):\d+\] of channel (\d+)", name)
        rows = re.fullmatch(r"(.*?)( \(window\))?\[(\d+):\d+\]@\d+", name)
        if channel:
            tensor, (_, _, height, width) = channel[1], graph.type(channel[1]).shape
            first_row, row_bytes = int(channel[3]) * height + int(channel[2]), width
        elif rows:
            tensor, first_row = rows[1], int(rows[3])
            row_bytes = graph.type(tensor).bytes // graph.type(tensor).shape[1]
        return values(root(tensor), first_row * row_bytes, graph.type(name).bytes)

    views = {node.output: node.inputs[0] for node in graph.nodes if node.op == "reshape"}

    def root(name: str) -> str:
        while name in views:
            name = views[name]
        return name

    for name in graph.inputs:
        memory[where(name)] = expected(name)
    for index, step in enumerate(compiled.steps):
        for name in step.inputs:
            assert np.array_equal(memory[where(name)], expected(name)), f"step {index} {step.name} reads {name}"
        if index in plan.scratch:
            slot = plan.scratch[index]
            spoiled = slice(slot.offset_bytes, slot.offset_bytes + slot.size_bytes)
            memory[spoiled] = -2
            assert all(np.array_equal(memory[where(name)], expected(name)) for name in step.inputs)
        (output,) = step.outputs
        memory[where(output)] = expected(output)
        assert (step.kernel in (MOVE, SUM)) == (step.tensor is None)
    for name in graph.outputs:
        assert np.array_equal(memory[where(name)], expected(name)), f"output {name}"


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("model", MODELS)
def test_tensors_overlap_only_where_a_kernel_lets_them(model: str, budget: str) -> None:
    compiled = programs(model, budget)
    plan, steps = compiled.plan, compiled.steps
    for (a, one), (b, other) in combinations(zip(plan.slots, plan.storages, strict=True), 2):
        assert a.offset_bytes + a.size_bytes <= plan.arena_bytes and a.offset_bytes % 16 == 0
        for p in one.pieces:
            for q in other.pieces:
                meet = max(p.first, q.first), min(p.last, q.last)
                apart = (
                    a.offset_bytes + p.stop <= b.offset_bytes + q.start
                    or b.offset_bytes + q.stop <= a.offset_bytes + p.start
                )
                if meet[0] > meet[1] or apart:
                    continue
                step = steps[meet[0]]
                assert meet[0] == meet[1] and step.leads, (a.names, b.names)
                names = {name for name, _ in (*one.parts, *other.parts)}
                assert names & set(step.outputs) and names & {name for name, _ in step.leads}, (a.names, b.names)


_MAIN = """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "small.h"
int main(int argc, char **argv)
{
    small_arena_t *arena = malloc(sizeof *arena); /* exactly: the sanitizer watches both ends */
    memset(arena, argc > 1 ? atoi(argv[1]) : 0, sizeof *arena);
    const size_t got = fread(small_input(arena), 1, SMALL_INPUT_0_BYTES, stdin);
    if (got != SMALL_INPUT_0_BYTES || small_run(arena) != SMALL_OK) {
        return 1;
    }
    OUTPUTS
    free(arena);
    return 0;
}
"""


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("model", MODELS)
def test_poisoned_arena_under_the_sanitizers(model: str, budget: str, tmp_path: Path) -> None:
    compiled = programs(model, budget)
    folder = tmp_path / "c"
    folder.mkdir()
    writes = [
        f"fwrite(small_{port.c_name}(arena), 1, SMALL_OUTPUT_{index}_BYTES, stdout);"
        for index, port in enumerate(compiled.outputs)
    ]
    (folder / "main.c").write_text(_MAIN.replace("OUTPUTS", "\n    ".join(writes)))
    program = write_program(compiled, folder, None)
    executable = tmp_path / "small"
    subprocess.run(
        ["gcc", "-std=c99", "-O1", "-g", "-fsanitize=address", "-ffp-contract=off"]
        + [f"-I{path}" for path in program.includes]
        + [f"-D{define}" for define in program.defines]
        + [str(source.path) for source in program.sources]
        + ["-lm", "-o", str(executable)],
        check=True,
    )
    samples = random_samples(compiled, 1, seed=4)
    feeds = to_canonical(compiled, samples.firmware)
    wanted = to_firmware_outputs(compiled, oracle.run_all(oracle.plain_session(canonical_model(compiled)), feeds))
    expected = b"".join(wanted[port.name].tobytes() for port in compiled.outputs)
    data = samples.firmware[compiled.inputs[0].name].tobytes()
    for poison in ("0", "165", "255"):
        assert subprocess.run([executable, poison], input=data, capture_output=True, check=True).stdout == expected


def test_a_long_chain_is_planned_in_linear_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tensors that live at the same time are compared."""
    net = Net("int8", seed=2)
    x = net.integer_input([1, 4])
    y = x
    for _ in range(40):
        x, y = net.op("Add", x, y), x
    net.integer_output(x)
    compared: list[None] = []

    def counted(*arguments: Any) -> int | None:
        compared.append(None)
        return gap(*arguments)

    monkeypatch.setattr(allocate, "gap", counted)
    compiled = compile_model(net.model(), tmp_path)
    assert len(compiled.steps) == 40 and 0 < len(compared) < 10 * len(compiled.steps)


def test_every_output_of_a_step_is_made_before_it_is_read(tmp_path: Path) -> None:
    """The places too, although the room of what they are read with would be free before they are made."""
    net = Net(seed=1)
    x = net.float_input([1, 400])
    sines, powers = net.node("Sin", x), net.node("Exp", x)
    net.nodes.append(helper.make_node("TopK", [powers, net.shape(4)], ["largest", "places"], name="top"))
    net._output("largest", TensorProto.FLOAT)
    net._output(net.node("GatherElements", sines, "places", axis=1), TensorProto.FLOAT)
    compiled = compile_model(net.model(), tmp_path, io_buffers="apart")
    made = set(compiled.graph.inputs)
    for step in compiled.steps:
        assert made.issuperset(step.inputs), step.name
        made |= set(step.outputs)


def test_order_that_needs_less(tmp_path: Path) -> None:
    """One wide tensor after the other instead of both together."""
    compiled = compile_model(branches().model(), tmp_path, kernels="api")
    steps = sorted(compiled.steps, key=lambda step: int(step.name.rsplit("_", 1)[-1]) if step.macs else 99)
    assert [step.name for step in steps[:5]] == [f"conv_{index}" for index in range(5)]
    reordered = schedule(compiled.graph, [step for step in steps if step.kernel != MOVE])
    assert [step.name for step in reordered[:5]] != [f"conv_{index}" for index in range(5)]
    assert compiled.plan.arena_bytes < 2 * 32 * 8 * 8


def test_moves_stop_a_chain_from_drifting(tmp_path: Path) -> None:
    net = Net("int8", seed=6)
    x = net.copy("Transpose", net.integer_input([1, 12, 5, 24]), perm=[0, 3, 1, 2])
    for _ in range(6):
        x = net.conv(net.conv(x, (24, 1, 3, 3), group=24, pads=[1, 1, 1, 1]), (24, 24, 1, 1))
    net.integer_output(net.op("GlobalAveragePool", x, scale=float(x.scale) / 4))
    compiled = compile_model(net.model(), tmp_path, kernels="api")
    assert any(step.kernel == MOVE for step in compiled.steps)
    layers = [step for step in compiled.steps if step.macs]
    drift = sum(lead for step in layers for _, lead in step.leads)
    assert compiled.plan.arena_bytes < 24 * 12 * 5 + drift / 2
