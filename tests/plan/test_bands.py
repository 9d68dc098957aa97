"""Bands of rows: the same bytes, no multiplication more, less memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from checking import assert_exact, compile_model
from click.testing import CliRunner
from small_models import Net, Tensor

from mcugen.cli import main
from mcugen.emit.artefact import Compiled
from mcugen.emit.codegen import c_sources
from mcugen.emit.report import report
from mcugen.errors import CheckFailed
from mcugen.plan import COSTS, choose
from mcugen.project import check_budgets
from mcugen.prove.profile import profile
from mcugen.prove.samples import random_samples
from mcugen.step import SUM


def smallest(net: Net, folder: Path, **options: object) -> tuple[Compiled, Compiled]:
    """(whole steps, bands that make the arena as small as can be)."""
    model = net.model()
    return compile_model(model, folder, **options), compile_model(model, folder, ram=0, **options)


def random_chain(seed: int) -> Net:
    """Windows of all kinds, with a skip connection where shapes allow; the input is NCHW."""
    rng = np.random.default_rng(seed)

    def draw(low: int, high: int) -> int:
        return int(rng.integers(low, high, endpoint=True))

    net = Net(("uint8", "int8")[seed % 2], seed=seed)
    height, width, channels = draw(12, 22), draw(4, 8), draw(1, 4)
    x = net.integer_input([1, channels, height, width])
    skip: Tensor | None = None
    for _ in range(draw(3, 6)):
        kind = draw(0, 5)
        kernel = [draw(1, 3), draw(1, 3)]
        pads = [draw(0, kernel[0] - 1), draw(0, kernel[1] - 1), draw(0, kernel[0] - 1), draw(0, kernel[1] - 1)]
        if kind == 0:
            x = net.conv(x, (channels, 1, 3, 3), group=channels, pads=[1, 1, 1, 1])
        elif kind == 1 and skip is not None:
            x = net.op("Add", x, skip, scale=float(max(x.scale, skip.scale)))
        elif kind == 2 and height > 8:
            x = net.copy("MaxPool", x, kernel_shape=[2, 1], strides=[2, 1])
            height, skip = height // 2, None
        elif kind == 3 and height > 8:
            square = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1]}
            x = net.op("AveragePool", x, scale=float(x.scale), count_include_pad=seed % 2, **square)
        elif kind == 4:
            x, skip = net.conv(x, (channels, channels, 3, 3), pads=[1, 1, 1, 1], then="Relu"), x
        else:
            outputs, stride = draw(3, 12), draw(1, 2) if height > 8 else 1
            shape = (outputs, channels, *kernel)
            x = net.conv(x, shape, pads=pads, strides=[stride, 1])
            height = (height + pads[0] + pads[2] - kernel[0]) // stride + 1
            width = width + pads[1] + pads[3] - kernel[1] + 1
            channels, skip = outputs, None
    net.integer_output(net.op("GlobalAveragePool", x, scale=float(x.scale) / 4))
    return net


@pytest.mark.parametrize("kernels", ["api", "specialised"])
@pytest.mark.parametrize("seed", range(4))
def test_random_chains_are_exact(seed: int, kernels: str, tmp_path: Path) -> None:
    whole, banded = smallest(random_chain(seed), tmp_path, kernels=kernels)
    assert banded.plan.arena_bytes <= whole.plan.arena_bytes
    assert banded.macs == whole.macs
    assert_exact(banded, samples=3)


def residual(height: int = 16, width: int = 12, blocks: int = 1) -> Net:
    """A picture; two layers around a skip connection and a pool, `blocks` times."""
    net = Net("uint8", seed=5)
    x = net.conv(net.integer_input([1, 3, height, width]), (8, 3, 3, 3), pads=[1, 1, 1, 1], then="Relu")
    for _ in range(blocks):
        y = net.conv(x, (8, 8, 3, 3), pads=[1, 1, 1, 1], then="Relu")
        y = net.conv(y, (8, 8, 3, 3), pads=[1, 1, 1, 1])
        x = net.copy("MaxPool", net.op("Add", x, y), kernel_shape=[2, 2], strides=[2, 2])
    net.integer_output(net.conv(x, (4, 8, 3, 3), strides=[2, 2]))
    return net


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_half_the_memory_on_an_emulated_core(core: str, tmp_path: Path) -> None:
    whole, banded = smallest(residual(), tmp_path, core=core)
    assert banded.plan.arena_bytes < 0.6 * whole.plan.arena_bytes
    assert_exact(banded, samples=2, on=core)


def separable() -> Net:
    """Layers of one size down to a global average pool: without it, the last tensor would stand whole."""
    net = Net("int8", seed=7)
    x = net.conv(net.integer_input([1, 1, 21, 5]), (16, 1, 3, 3), pads=[1, 1, 1, 1], then="Relu")
    for _ in range(2):
        x = net.conv(x, (16, 1, 3, 3), group=16, pads=[1, 1, 1, 1])
        x = net.conv(x, (16, 16, 1, 1), then="Relu")
    x = net.op("GlobalAveragePool", x, scale=float(x.scale) / 4)
    net.integer_output(net.conv(x, (12, 16, 1, 1)))
    return net


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_a_global_average_pool_closes_the_bands(core: str, tmp_path: Path) -> None:
    whole, banded = smallest(separable(), tmp_path, core=core)
    assert whole.plan.arena_bytes >= 16 * 21 * 5 > banded.plan.arena_bytes
    assert any(step.kernel == SUM for step in banded.steps)
    assert_exact(banded, samples=8)
    assert_exact(banded, samples=2, on=core)


def test_bands_only_where_the_budget_asks_for_them(tmp_path: Path) -> None:
    model = residual().model()
    whole = compile_model(model, tmp_path)
    assert all(step.rows is None for step in whole.steps)
    kept = compile_model(model, tmp_path, ram=whole.plan.arena_bytes)
    assert c_sources(kept) == c_sources(whole)
    budget = whole.plan.arena_bytes * 9 // 10
    fitted = compile_model(model, tmp_path, ram=budget)
    smallest_of_all = compile_model(model, tmp_path, ram=0)
    assert smallest_of_all.plan.arena_bytes < fitted.plan.arena_bytes <= budget
    assert len(fitted.steps) < len(smallest_of_all.steps)
    less = whole.plan.arena_bytes - fitted.plan.arena_bytes
    assert re.search(rf": the budget asks for it; {less:,} bytes .*, no row is computed twice$", fitted.planned)
    assert fitted.macs == smallest_of_all.macs == whole.macs, "no row is computed twice"


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4"])
def test_bands_that_are_free_are_taken_without_a_budget(core: str, tmp_path: Path) -> None:
    """They spare two Adds pixel by pixel: less memory, not one instruction more, and no more code than is said."""
    model = residual(40, 32, blocks=2).model()
    whole, fast = (compile_model(model, tmp_path, core=core, optimize=aim) for aim in ("size", "speed"))
    banded = compile_model(model, tmp_path, core=core)
    assert all(step.rows is None for step in (*whole.steps, *fast.steps)) and report(whole)["arena_plan"].startswith(
        "whole layers"
    )
    said = re.match(
        r"bands: ([\d,]+) bytes of RAM less, at least ([\d,]+) instr.*, at most ([\d,]+) bytes",
        report(banded)["arena_plan"],
    )
    assert said is not None and any(step.rows for step in banded.steps)
    ram, instructions, code = (int(number.replace(",", "")) for number in said.groups())
    assert ram == whole.plan.arena_bytes - banded.plan.arena_bytes > 0.1 * whole.plan.arena_bytes
    assert code <= ram * choose._FLASH_SHARE
    assert_exact(banded, samples=2, on=core)
    samples = random_samples(banded, 1, seed=0)
    less, more = (profile(compiled, samples) for compiled in (banded, whole))
    assert more.instructions - less.instructions >= instructions >= 0
    assert less.footprint.code_bytes - more.footprint.code_bytes <= code


def narrowing() -> Net:
    """Depthwise and pointwise layers over a picture that they make smaller: whole, a tensor has to be moved."""
    net = Net("int8", seed=4)
    x = net.conv(net.integer_input([1, 1, 96, 96]), (8, 1, 3, 3), pads=[0, 0, 1, 1], strides=[2, 2], then="Relu")
    for before, after, stride in ((8, 16, 1), (16, 32, 2), (32, 32, 1)):
        pads = [1, 1, 1, 1] if stride == 1 else [0, 0, 1, 1]
        x = net.conv(x, (before, 1, 3, 3), group=before, pads=pads, strides=[stride, stride], then="Relu")
        x = net.conv(x, (after, before, 1, 1), then="Relu")
    net.integer_output(net.op("GlobalAveragePool", x, scale=float(x.scale) / 4))
    return net


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"])
@pytest.mark.parametrize("net", [lambda: residual(48, 40, 2), lambda: residual(45, 37, 2), narrowing])
def test_no_bands_without_a_budget_cost_instructions(net: Callable[[], Net], core: str, tmp_path: Path) -> None:
    model = net().model()
    whole, banded = (compile_model(model, tmp_path, core=core, optimize=aim) for aim in ("size", "balanced"))
    if all(step.rows is None for step in banded.steps):
        assert c_sources(banded) == c_sources(whole)
        return
    samples = random_samples(banded, 1, seed=0)
    less, more = (profile(compiled, samples) for compiled in (banded, whole))
    assert less.instructions <= more.instructions
    saved = whole.plan.arena_bytes - banded.plan.arena_bytes
    assert less.footprint.code_bytes - more.footprint.code_bytes <= saved * choose._FLASH_SHARE


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], r"\n plan +bands +[\d,]+ bytes of RAM less, "),
        (["--ram", "min"], r"\n plan +bands, or less scratch +the budget asks for it; "),
        (["--optimize", "size"], None),
    ],
    ids=["free", "smallest", "whole"],
)
def test_the_build_says_why_the_plan_is_not_plain(options: list[str], line: str | None, tmp_path: Path) -> None:
    onnx.save(residual(40, 32, blocks=2).model(), tmp_path / "net.onnx")
    command = ["build", str(tmp_path / "net.onnx"), "-o", str(tmp_path / "out"), *options]
    said = CliRunner().invoke(main, command, catch_exceptions=False).stdout
    assert re.search(line, said) if line else "\n plan " not in said
    notes = [text for text in said.splitlines() if text.startswith("note: ")]
    assert len(notes) == len(set(notes)), "bands repeat what their layer says"


def test_bands_without_need_only_if_they_are_worth_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def banded(net: Net, **options: str) -> bool:
        return any(step.rows for step in compile_model(net.model(), tmp_path, **options).steps)

    net = residual(40, 32, blocks=2)
    assert banded(net), "or nothing below says anything"
    assert not banded(net, kernels="api"), "their costs were not measured"
    assert not banded(residual(40, 32)), "the Add's kernel is new there, and the whole plan's own code faster"
    assert not banded(residual(20, 16, blocks=2)), "the arena is small anyway"
    monkeypatch.setattr(choose, "_FLASH_SHARE", 0)
    assert not banded(net)
    monkeypatch.setattr(choose, "_FLASH_SHARE", 1)
    monkeypatch.setitem(COSTS, "dsp", replace(COSTS["dsp"], call=10_000))  # type: ignore[arg-type]
    assert not banded(net)


def test_a_budget_that_cannot_be_kept_names_the_peak(tmp_path: Path) -> None:
    compiled = compile_model(residual().model(), tmp_path, ram=100)
    with pytest.raises(CheckFailed, match=r"allows 100: .* too many\. The peak is at step"):
        check_budgets(compiled, report(compiled), 100, None)


@pytest.mark.parametrize("net", [residual, separable])
def test_a_broken_budget_is_explained_in_the_words_of_the_steps(net: Callable[[], Net], tmp_path: Path) -> None:
    """Not by tensors, whose names the exporter made up, or the windows of bands."""
    compiled = compile_model(net().model(), tmp_path, ram=100)
    with pytest.raises(CheckFailed) as caught:
        check_budgets(compiled, report(compiled), 100, None)
    held = str(caught.value).split(": ")[-1].rstrip(".").split(", ")
    known = {"input", "output", *(step.name for step in compiled.steps)}
    names = [re.sub(r" \d{1,3}(,\d{3})*$", "", item).removeprefix("scratch of ") for item in held]
    assert len(names) > 1 and set(names) <= known


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_bands_of_one_layer_share_its_code(core: str, tmp_path: Path) -> None:
    """However many rows they have, and layers that are alike share theirs; for speed, each kind of band has its own."""
    budget = compile_model(separable().model(), tmp_path, core=core).plan.arena_bytes * 8 // 10
    shared, apart = (
        compile_model(separable().model(), tmp_path, ram=budget, core=core, optimize=optimize)
        for optimize in ("balanced", "speed")
    )
    layers = {step.name for step in shared.steps if "rows" in dict(step.args)}
    bands = {str(dict(step.args)["rows"]) for step in shared.steps if "rows" in dict(step.args)}
    assert len(bands) > 2, "no layer has bands that differ"
    assert c_sources(shared)["small.c"].count("static const mcugen_layer layer") < len(layers)
    assert c_sources(apart)["small.c"].count("static const mcugen_layer layer") > len(layers)
    assert_exact(shared, samples=2, on=core)
    assert_exact(apart, samples=2, on=core)


def test_bands_share_their_tables(tmp_path: Path) -> None:
    whole, banded = smallest(residual(), tmp_path)
    tables = {name for name in c_sources(whole)["small_weights.c"].splitlines() if name.startswith("const")}
    assert tables == {name for name in c_sources(banded)["small_weights.c"].splitlines() if name.startswith("const")}


def test_a_search_cut_short_keeps_the_best_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large networks have more choices of bands than can be tried."""
    whole, searched = smallest(random_chain(4), tmp_path)
    monkeypatch.setattr(choose, "_WORK", 0)
    _, first = smallest(random_chain(4), tmp_path)
    assert searched.plan.arena_bytes < first.plan.arena_bytes < whole.plan.arena_bytes
