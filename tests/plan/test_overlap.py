"""Every kernel that states an order, run with its output exactly as close to its input as that allows."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checking import assert_exact, compile_model
from small_models import Net

from mcugen.emit.artefact import Compiled
from mcugen.plan.allocate import allocate
from mcugen.plan.overlap import ORDERS

# Each has its own kernels; the host runs their C.
CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55")
SHAPES = range(len(CORES))


def tight(compiled: Compiled) -> Compiled:
    """The same steps, every output at its exact lead before its input, with nothing rounded up."""
    plan = allocate(compiled.graph, compiled.steps, {}, align=1)
    for step in compiled.steps:
        for name, lead in step.leads:
            if lead < compiled.graph.type(step.outputs[0]).bytes:
                assert plan.addresses[name] - plan.addresses[step.outputs[0]] == lead, step.name
    return replace(compiled, plan=plan)


def layer(kind: str, seed: int) -> Net:
    """One layer of odd sizes between an integer input and output; NHWC by a transpose that folds into nothing."""
    rng = np.random.default_rng(seed)

    def draw(low: int, high: int) -> int:
        return int(rng.integers(low, high, endpoint=True))

    net = Net("int8", seed=seed)
    channels = draw(1, 67) if seed % 2 else draw(1, 9)
    height, width = draw(4, 9), draw(4, 9)
    kernel = [draw(1, 3), draw(1, 3)]
    attributes = {
        "kernel_shape": kernel,
        "strides": [draw(1, 2), draw(1, 2)],
        "pads": [draw(0, kernel[0] - 1), draw(0, kernel[1] - 1), draw(0, kernel[0] - 1), draw(0, kernel[1] - 1)],
    }
    x = net.integer_input([1, height, width, channels])
    x = net.copy("Transpose", x, perm=[0, 3, 1, 2])
    if kind == "depthwise":
        x = net.conv(x, (channels, 1, *kernel), group=channels, **attributes)
    elif kind == "multiplied":
        x = net.conv(x, (2 * channels, 1, *kernel), group=channels, **attributes)
    elif kind == "grouped":
        groups = next(n for n in (4, 3, 2, 1) if channels % n == 0)
        x = net.conv(x, (groups * draw(1, 9), channels // groups, *kernel), group=groups, **attributes)
    elif kind == "pointwise":
        x = net.conv(x, (draw(1, 40), channels, 1, 1))
    elif kind == "direct":
        x = net.conv(x, (draw(1, 9), channels, *kernel), w_zero=3, **attributes)
    elif kind == "conv":
        dilations = [1, draw(1, 2) if width > 6 else 1]
        x = net.conv(x, (draw(1, 40), channels, *kernel), dilations=dilations, **attributes)
    elif kind == "max":
        x = net.copy("MaxPool", x, **attributes)
    else:
        x = net.op("AveragePool", x, **attributes)
    net.integer_output(net.copy("Transpose", x, perm=[0, 2, 3, 1]))
    return net


KINDS = ("conv", "pointwise", "depthwise", "multiplied", "grouped", "direct", "max", "average")
KERNELS = ("api", "specialised")


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("seed", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_overlapped_layer_is_exact(kind: str, seed: int, kernels: str, tmp_path: Path) -> None:
    core = CORES[seed]
    compiled = tight(compile_model(layer(kind, seed).model(), tmp_path, core=core, kernels=kernels))
    assert_exact(compiled, samples=3)


def test_the_cases_above_run_every_order(tmp_path: Path) -> None:
    seen: set[str] = set()
    for kind, seed, kernels in itertools.product(KINDS, SHAPES, KERNELS):
        compiled = compile_model(layer(kind, seed).model(), tmp_path, core=CORES[seed], kernels=kernels)
        seen.update(step.kernel for step in compiled.steps if step.leads)
    assert set(ORDERS) <= seen


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("kernels", ["api", "specialised"])
def test_overlapped_layers_on_an_emulated_core(core: str, kernels: str, tmp_path: Path) -> None:
    net = Net("int8", seed=1)
    x = net.copy("Transpose", net.integer_input([1, 9, 9, 7]), perm=[0, 3, 1, 2])
    x = net.conv(x, (12, 7, 3, 3), pads=[1, 1, 1, 1])
    x = net.conv(x, (12, 1, 3, 3), group=12, pads=[1, 1, 1, 1])
    x = net.conv(x, (17, 12, 1, 1))
    x = net.conv(x, (5, 17, 2, 3), strides=[2, 1])
    net.integer_output(net.copy("Transpose", net.copy("MaxPool", x, kernel_shape=[2, 2]), perm=[0, 2, 3, 1]))
    compiled = compile_model(net.model(), tmp_path, core=core, kernels=kernels)
    plan = allocate(compiled.graph, compiled.steps, {}, align=4)  # as scratch needs
    assert_exact(replace(compiled, plan=plan), samples=4, on=core)


@pytest.mark.parametrize(("outputs", "kernel"), [(80, 3), (270, 1)])
def test_overlapped_layer_of_many_outputs_on_helium(outputs: int, kernel: int, tmp_path: Path) -> None:
    """More than a kernel holds the sums of."""
    net = Net("int8", seed=2)
    x = net.copy("Transpose", net.integer_input([1, 5, 5, 16]), perm=[0, 3, 1, 2])
    x = net.conv(x, (outputs, 16, kernel, kernel), pads=[kernel // 2] * 4)
    net.integer_output(net.copy("Transpose", x, perm=[0, 2, 3, 1]))
    compiled = tight(compile_model(net.model(), tmp_path, core="cortex-m55", kernels="api"))
    assert_exact(compiled, samples=1, on="cortex-m55")


@pytest.mark.slow
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_overlapped_layer_on_emulated_helium(kind: str, seed: int, kernels: str, tmp_path: Path) -> None:
    """The host runs the plain C; these run the vectors."""
    compiled = compile_model(layer(kind, seed).model(), tmp_path, core="cortex-m55", kernels=kernels)
    assert_exact(tight(compiled), samples=3, on="cortex-m55")


def test_no_overlap_with_arms_library(tmp_path: Path) -> None:
    compiled = compile_model(layer("conv", 3).model(), tmp_path, kernels="api", library="arm")
    assert all(not step.leads for step in compiled.steps if step.kernel.startswith("arm_"))
