"""Loops in the run: they make the same calls, in the same order, with the same numbers."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from checking import assert_exact, compile_model
from test_bands import separable

from mcugen.emit.codegen import c_sources
from mcugen.emit.loops import Call, Loop, loops


def unrolled(calls: list[Call], found: list[Loop]) -> list[Call]:
    return [
        Call(calls[at].kind, tuple(n + turn * s for n, s in zip(calls[at].numbers, steps, strict=True)))
        for loop in found
        for turn in range(loop.count)
        for at, steps in enumerate(loop.steps, loop.first)
    ]


@pytest.mark.parametrize("seed", range(40))
def test_unrolled_they_are_the_calls(seed: int) -> None:
    chance = random.Random(seed)
    calls: list[Call] = []
    while len(calls) < 60:
        turn = [
            (chance.choice("abc"), chance.randrange(4), chance.choice((0, 0, 1, -2)))
            for _ in range(chance.randint(1, 5))
        ]
        calls += [
            Call((kind,), (start + k * step, len(calls)))
            for k in range(chance.randint(1, 6))
            for kind, start, step in turn
        ]
    found = loops(calls)
    assert unrolled(calls, found) == calls


def test_turns_become_one_loop() -> None:
    calls = [Call(("first",), (7,))]
    calls += [Call((kind,), (start + 20 * k,)) for k in range(9) for kind, start in (("x", 0), ("y", 5), ("x", 3))]
    calls += [Call(("x",), (0,))]
    assert [(loop.first, loop.period, loop.count) for loop in loops(calls)] == [(0, 1, 1), (1, 3, 9), (28, 1, 1)]


def test_nothing_is_called_in_a_model_without_steps() -> None:
    assert loops([]) == []


def test_bands_run_in_a_loop(tmp_path: Path) -> None:
    compiled = compile_model(separable().model(), tmp_path, ram=0)
    text = c_sources(compiled)["small.c"]
    assert re.search(r"for \(uint32_t turn = 0; turn < \d+; turn\+\+\)", text)
    assert text.count("    step_") < len(compiled.steps) / 2
    assert_exact(compiled, samples=2, on="cortex-m4")
