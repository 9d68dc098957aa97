"""An arena in parts: no partition gives the last region less, and hardly one of those the first more traffic."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from checking import compile_model
from small_models import Net

from mcugen.plan.regions import _Split, place
from mcugen.target import Memory


def layers(seed: int) -> Net:
    """A few layers of several sizes, one of them read twice."""
    net = Net("int8", seed=seed)
    x = net.copy("Transpose", net.integer_input([1, 8, 6 + seed, 5]), perm=[0, 3, 1, 2])
    skip = net.conv(x, (8 + 4 * seed, 5, 3, 3), pads=[1, 1, 1, 1])
    x = net.conv(skip, (8 + 4 * seed, 1, 3, 3), group=8 + 4 * seed, pads=[1, 1, 1, 1])
    x = net.op("Add", x, skip, scale=float(max(x.scale, skip.scale)))
    x = net.conv(net.conv(x, (16, 8 + 4 * seed, 1, 1), strides=[2, 2]), (12, 16, 1, 1))
    net.integer_output(net.op("GlobalAveragePool", x, scale=float(x.scale) / 4))
    return net


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_no_partition_is_better(seed: int, share: float, tmp_path: Path) -> None:
    """Every partition tried, each part solved to its optimum."""
    compiled = compile_model(layers(seed).model(), tmp_path, kernels="api")
    graph, steps, whole = compiled.graph, compiled.steps, compiled.plan
    memories = (Memory("dtcm", int(whole.arena_bytes * share) // 16 * 16), Memory("sram", whole.arena_bytes))
    work = _Split(graph, steps, whole, [memory.size_bytes for memory in memories])
    assert len(whole.slots) <= 9, "too many for brute force"
    solved: dict[tuple[int, ...], int] = {}

    def height(inside: list[int]) -> int:
        return solved.setdefault(tuple(inside), work.solve(inside, quick=False).height)

    def rank(regions: tuple[int, ...]) -> tuple[int, ...]:
        first, last = ([i for i, region in enumerate(regions) if region == r] for r in (0, 1))
        over = sum(
            max(0, height(part) - memory.size_bytes) for part, memory in zip((first, last), memories, strict=True)
        )
        return over, height(last), -sum(work.heat[i] for i in first)

    over, least, hottest = min(map(rank, product((0, 1), repeat=len(whole.slots))))
    parts = place(graph, steps, whole, memories)
    found = rank(tuple(0 if slot.part == "dtcm" else 1 for slot in parts.slots))
    assert found[:2] == (over, least) == (0, least)
    assert found[2] <= 0.9 * hottest
    assert [part.size_bytes for part in parts.parts if part.name == "sram"] == [least]
    assert [part.bound_bytes for part in parts.parts] == [part.size_bytes for part in parts.parts]
