"""Specialised kernels, or CMSIS-NN's calls: what is taken by itself, and why."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import onnx
import pytest
from checking import compile_model, exact, kernels
from click.testing import CliRunner
from small_models import Net

from mcugen.cli import main
from mcugen.emit.report import report
from mcugen.ops import specialised
from mcugen.prove.profile import footprint
from mcugen.prove.toolchain import available
from mcugen.target import core


def layers(stages: int = 3) -> onnx.ModelProto:
    """Convolutions, depthwise and pointwise ones, none like another, and a fully connected layer."""
    net = Net("int8", seed=3)
    x = net.input((1, 3, 20, 16))
    channels = 3
    for stage in range(stages):
        wider = channels + 3 + stage
        x = net.conv(x, (wider, channels, 3, 3), pads=[1, 1, 1, 1], then="Relu")
        x = net.conv(x, (wider, 1, 3, 3), pads=[1, 1, 1, 1], group=wider, then="Relu")
        x = net.conv(x, (wider + 2, wider, 1, 1))
        channels = wider + 2
    net.output(net.conv(x, (5, channels, 20, 16)))
    return net.model()


@pytest.mark.parametrize("on", ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55"])
def test_the_code_is_not_larger_than_is_said(on: str, tmp_path: Path) -> None:
    reason = available(core(on))
    if reason:
        pytest.skip(reason)
    taken, calls = (compile_model(layers(), tmp_path, core=on, **options) for options in ({}, {"kernels": "api"}))
    assert taken.kernels.startswith("specialised: fewer instructions"), taken.kernels
    assert calls.kernels == "api: --kernels asks for it"
    code, before = footprint(taken), footprint(calls)
    assert code is not None and before is not None
    more, _ = specialised.growth(taken.steps)
    assert code.code_bytes - before.code_bytes <= more


def test_calls_where_specialised_code_would_be_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = layers()
    few = kernels(compile_model(model, tmp_path))
    monkeypatch.setattr(specialised, "_GROWTH_BYTES", 1000)
    monkeypatch.setattr(specialised, "_GROWTH_SHARE", 1000)
    compiled = exact(model, tmp_path)
    assert "mcugen_conv_dsp" in few and not any("_dsp" in kernel for kernel in kernels(compiled))
    assert compiled.kernels == report(compiled)["kernels"] and compiled.kernels.endswith("1,000 are allowed")
    for asked in ({"kernels": "specialised"}, {"optimize": "speed"}):
        kept = compile_model(model, tmp_path, **asked)
        assert kernels(kept) == few and kept.kernels.startswith("specialised: --")
    onnx.save(model, tmp_path / "net.onnx")
    said = CliRunner().invoke(main, ["build", str(tmp_path / "net.onnx"), "-o", str(tmp_path / "out")])
    page = unescape((tmp_path / "out" / "report.html").read_text())
    assert re.search(r"^ kernels +api ", said.stdout, re.MULTILINE) and compiled.kernels in page


def test_the_cost_of_speed_is_that_of_its_tables(tmp_path: Path) -> None:
    balanced, speed = (compile_model(layers(), tmp_path, optimize=aim) for aim in ("balanced", "speed"))
    more = report(speed)["const_bytes"] - report(balanced)["const_bytes"]
    assert more > 0 and f"for {more:,} bytes of tables more" in speed.kernels


def test_a_model_without_layers_says_so(tmp_path: Path) -> None:
    net = Net("int8")
    net.output(net.copy("MaxPool", net.input((1, 2, 4, 4)), kernel_shape=[2, 2]))
    assert compile_model(net.model(), tmp_path).kernels == "api: no layer has a specialised kernel"
