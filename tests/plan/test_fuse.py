"""A layer that adds to what stands at its output: the bytes of layer and Add, without a tensor of the layer's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checking import assert_exact, compile_model
from small_models import Net, Tensor

from mcugen.emit.artefact import Compiled
from mcugen.plan import choose
from mcugen.step import Step


def adding(compiled: Compiled) -> list[Step]:
    found = [step for step in compiled.steps if step.adds_to is not None]
    for step in found:
        assert step.adds_to in step.inputs
        assert compiled.plan.addresses[step.outputs[0]] == compiled.plan.addresses[step.adds_to]
    return found


def add(net: Net, a: Tensor, b: Tensor) -> Tensor:
    return net.op("Add", a, b, scale=float(max(a.scale, b.scale)))


def block(seed: int, layer: str, *, layer_first: bool) -> Net:
    """x + layer(layer(x)): the peak is at the second layer."""
    rng = np.random.default_rng(seed)
    channels, size = 8 if layer == "grouped" else (16, 7, 3, 8)[seed % 4], int(rng.integers(5, 9))
    net = Net(("int8", "uint8")[seed % 2], seed=seed)
    plane = [1, 1] if layer == "pixel" else [size, size + 1]
    x = net.conv(net.integer_input([1, 2, *plane]), (channels, 2, 1, 1))
    y = net.conv(x, (channels, channels, 3, 3), pads=[1, 1, 1, 1], then="Relu")
    if layer in ("pointwise", "pixel"):
        y = net.conv(y, (channels, channels, 1, 1))
    else:
        groups = 4 if layer == "grouped" else 1
        y = net.conv(y, (channels, channels // groups, 3, 3), pads=[1, 1, 1, 1], group=groups)
    y = add(net, y, x) if layer_first else add(net, x, y)
    net.integer_output(net.op("GlobalAveragePool", y, scale=float(y.scale) / 4))
    return net


CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55")
LAYERS = ("window", "grouped", "pointwise")
CASES = [(seed, layer, first) for seed in range(4) for layer in LAYERS for first in (True, False)]


@pytest.mark.parametrize(("seed", "layer", "layer_first"), CASES)
def test_fused_is_exact(
    seed: int, layer: str, layer_first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it saves nothing: a 1x1 layer follows its input closely."""
    monkeypatch.setattr(choose, "_smallest", lambda plans: plans[-1])
    model = block(seed, layer, layer_first=layer_first).model()
    compiled = compile_model(model, tmp_path, core=CORES[seed])
    assert len(adding(compiled)) == 1
    assert_exact(compiled, samples=4)


def test_fused_is_smaller(tmp_path: Path) -> None:
    model = block(0, "window", layer_first=True).model()
    fused = compile_model(model, tmp_path)
    (step,) = adding(fused)
    tensor = fused.graph.type(step.outputs[0]).bytes
    assert fused.plan.arena_bytes < 2 * tensor + step.scratch_bytes + 16
    assert not adding(compile_model(model, tmp_path, kernels="api"))


@pytest.mark.parametrize("core", CORES)
def test_fused_on_an_emulated_core(core: str, tmp_path: Path) -> None:
    compiled = compile_model(block(0, "window", layer_first=core == "cortex-m3").model(), tmp_path, core=core)
    assert adding(compiled)
    assert_exact(compiled, samples=2, on=core)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("layer", ["window", "pointwise", "pixel"])
def test_fused_on_emulated_helium(seed: int, layer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host runs the plain C; these run the vectors."""
    monkeypatch.setattr(choose, "_smallest", lambda plans: plans[-1])
    model = block(seed, layer, layer_first=seed % 2 == 0).model()
    compiled = compile_model(model, tmp_path, core="cortex-m55")
    assert len(adding(compiled)) == 1
    assert_exact(compiled, samples=2, on="cortex-m55")


def other_operand_is_read_by_the_layer() -> Net:
    net = Net("int8", seed=1)
    x = net.conv(net.integer_input([1, 2, 6, 6]), (8, 2, 1, 1))
    net.integer_output(add(net, net.conv(x, (8, 8, 3, 3), pads=[1, 1, 1, 1]), x))
    return net


def other_operand_is_read_later() -> Net:
    net = Net("int8", seed=2)
    x = net.conv(net.integer_input([1, 2, 6, 6]), (8, 2, 1, 1))
    y = net.conv(net.conv(x, (8, 8, 3, 3), pads=[1, 1, 1, 1]), (8, 8, 3, 3), pads=[1, 1, 1, 1])
    net.integer_output(add(net, add(net, y, x), x))
    return net


def layer_is_an_output() -> Net:
    net = Net("int8", seed=3)
    x = net.conv(net.integer_input([1, 2, 6, 6]), (8, 2, 1, 1))
    y = net.conv(net.conv(x, (8, 8, 3, 3), pads=[1, 1, 1, 1]), (8, 8, 3, 3), pads=[1, 1, 1, 1])
    net.integer_output(add(net, y, x))
    net.integer_output(y)
    return net


def other_operand_is_the_input() -> Net:
    net = Net("int8", seed=4)
    x = net.copy("Transpose", net.integer_input([1, 6, 6, 8]), perm=[0, 3, 1, 2])  # of NHWC: moves nothing
    y = net.conv(net.conv(x, (8, 8, 3, 3), pads=[1, 1, 1, 1]), (8, 8, 3, 3), pads=[1, 1, 1, 1])
    net.integer_output(add(net, y, x))
    return net


def shapes_differ() -> Net:
    net = Net("int8", seed=5)
    x = net.conv(net.integer_input([1, 2, 6, 6]), (8, 2, 6, 6))
    y = net.conv(net.integer_input([1, 2, 8, 8], name="other"), (8, 2, 3, 3))
    net.integer_output(add(net, y, x))
    return net


@pytest.mark.parametrize(
    "net",
    [
        other_operand_is_read_by_the_layer,
        other_operand_is_read_later,
        layer_is_an_output,
        other_operand_is_the_input,
        shapes_differ,
    ],
)
def test_apart_where_it_would_be_wrong(net: Callable[[], Net], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "_smallest", lambda plans: plans[-1])
    compiled = compile_model(net().model(), tmp_path)
    assert not adding(compiled)
    assert_exact(compiled, samples=4)
