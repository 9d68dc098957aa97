"""Layers that differ in nothing but their tables share one function of specialised code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from checking import assert_exact, compile_model
from small_models import Net

from mcugen.emit.codegen import c_sources
from mcugen.ops.specialised import alike
from mcugen.step import Struct, Table


def net(*scales: float) -> Net:
    """Pairs of a dense and a depthwise layer whose weights have these scales; all else is the same."""
    made = Net("int8", seed=3)
    x = made.integer_input([1, 8, 5, 6])
    for scale in scales:
        x = made.conv(x, (8, 8, 3, 3), pads=[1, 1, 1, 1], w_scale=scale, scale=0.05, zero_point=-3)
        x = made.conv(x, (8, 1, 3, 3), pads=[1, 1, 1, 1], group=8, w_scale=scale, scale=0.05, zero_point=-3)
    made.integer_output(x)
    return made


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55"])
def test_one_function_and_the_same_bytes(core: str, tmp_path: Path) -> None:
    compiled = compile_model(net(0.002, 0.02, 0.006).model(), tmp_path, core=core)
    code = c_sources(compiled)[f"{compiled.name}.c"]
    assert len(re.findall(r"static const mcugen_layer layer =", code)) == 2
    assert len(re.findall(r"^    layer_\w+\(&scratch", code, re.MULTILINE)) == 6
    shifts = [dict(step.args)["multiplier"] for step in compiled.steps if "layer" in dict(step.args)]
    own = {int(t.requant_shift.max()) for t in shifts if isinstance(t, Table) and t.requant_shift is not None}
    assert len(own) > 1, "the layers would share a shift anyway"
    assert_exact(compiled, samples=4)
    assert_exact(compiled, samples=4, on=core)


def test_a_shift_too_far_away_is_kept(tmp_path: Path) -> None:
    """A multiplier can lose seven bits, which are zeros, and no more."""
    compiled = compile_model(net(0.0000003, 0.03).model(), tmp_path, core="cortex-m3")
    layers = [dict(step.args)["layer"] for step in alike(compiled.steps) if "layer" in dict(step.args)]
    assert len({layer.fields["shift"] for layer in layers if isinstance(layer, Struct)}) > 1
    assert_exact(compiled, samples=4)
