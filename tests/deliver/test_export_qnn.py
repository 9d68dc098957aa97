"""The QNN bundle: honest without Qualcomm's package; with it, compiled and run on the HTP simulator."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import onnx
import pytest
from export_models import check, export, run

from mcugen.deliver import qnn
from mcugen.deliver.qnn import SOCS, _context, _float_left

needs_qnn = pytest.mark.skipif(find_spec("onnxruntime_qnn") is None, reason="onnxruntime-qnn is not installed")
RUN = "Q1 Q2 Q3 Q4 Q5".split()


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qnn, "_installed", lambda: None)


@pytest.mark.usefixtures("without_package")
def test_without_the_package_nothing_is_claimed(net: Path, samples: Path, tmp_path: Path) -> None:
    manifest = export(net, "--target", "qnn", "--calibration", samples, "-o", tmp_path / "out")
    assert (manifest["compiled"], manifest["verified"]) == (False, False)
    assert {c["id"]: c["passed"] for c in manifest["checks"]} == {**dict.fromkeys(RUN), "Q6": True}
    assert not (tmp_path / "out/model_ctx.onnx").exists()
    assert json.loads((tmp_path / "out/assignment.json").read_text()) is None
    assert "**Not compiled and not verified**" in (tmp_path / "out/README.md").read_text()


@pytest.mark.usefixtures("without_package")
def test_the_table_names_the_extra(net: Path, samples: Path, tmp_path: Path) -> None:
    """Brackets are no markup."""
    shown = run("export", net, "--target", "qnn", "--calibration", samples, "-o", tmp_path / "out")
    assert "mcugen[qnn]" in "".join(shown.stdout.split())


@pytest.mark.usefixtures("without_package")
@pytest.mark.parametrize("soc", ["SM8350", "SM8475", "QCS9100", "SM8650", "SXR2330P", "SM8845"])
def test_options_of_a_soc(soc: str, quantized: dict[str, Path], tmp_path: Path) -> None:
    export(quantized["qnn"], "--prequantized", "--target", "qnn", "--soc", soc, "-o", tmp_path / "out")
    provider = json.loads((tmp_path / "out/qnn_options.json").read_text())["provider"]
    arch, model = SOCS[soc]
    assert provider == {"backend_type": "htp", "htp_arch": str(arch), "soc_model": str(model)}


def test_the_table_has_one_number_for_each_soc() -> None:
    numbers = [model for _, model in SOCS.values()]
    assert len(numbers) == len(set(numbers)) and {arch for arch, _ in SOCS.values()} == {68, 69, 73, 75, 79, 81}


@pytest.mark.usefixtures("without_package")
@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--soc", "SM9999"], "unknown SoC 'SM9999'. Known to --soc: QCM6490"),
        ([], "QNN takes QDQ models, this one is float. Export the float model with --calibration"),
    ],
)
def test_refusals(arguments: list[str], words: str, net: Path, tmp_path: Path) -> None:
    assert words in export(net, "--target", "qnn", *arguments, "-o", tmp_path / "out", code=2)["error"]
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("without_package")
def test_float_operators_need_consent(net: Path, samples: Path, tmp_path: Path) -> None:
    arguments = (net, "--target", "qnn", "--calibration", samples, "--exclude", "fc", "-o", tmp_path / "out")
    found = export(*arguments, code=1)["error"]
    assert "Q6 no operator computes in float" in found and "fc (Gemm)" in found
    assert check(export(*arguments, "--fp16-ok"), "Q6")["passed"]
    assert export(net, "--target", "qnn", "--fp16-ok", "-o", tmp_path / "float")["form"] == "float"


def test_dynamic_quantization_is_never_taken() -> None:
    nodes = [onnx.helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], "dynamic")]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], []))
    assert _float_left(model, fp16_ok=True).detail == "dynamic"


@pytest.mark.parametrize(
    "ops, info, passed",
    [
        (["EPContext"], "v2:6:2.51.0:5.51.0:75:57:0:0", (True, True)),
        (["EPContext", "Softmax"], "v2:6:2.51.0:5.51.0:75:57:0:0", (False, True)),
        (["EPContext"], "v2:6:2.51.0:5.51.0:73:43:0:0", (True, False)),
        (["EPContext"], "", (True, False)),
    ],
)
def test_what_was_compiled(ops: list[str], info: str, passed: tuple[bool, bool], tmp_path: Path) -> None:
    nodes = [onnx.helper.make_node(op, [], [f"y{i}"]) for i, op in enumerate(ops)]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], []))
    onnx.helper.set_model_props(model, {"ep_compatibility_info.QNNExecutionProvider": info})
    onnx.save(model, tmp_path / "model_ctx.onnx")
    assert tuple(c.passed for c in _context(tmp_path / "model_ctx.onnx", 75, 57)) == passed


@needs_qnn
def test_compiled_and_run_on_the_simulator(net: Path, samples: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = export(net, "--target", "qnn", "--soc", "SM8550", "--calibration", samples, "-o", out)
    assert manifest["compiled"] and manifest["verified"]
    assert {c["id"]: c["passed"] for c in manifest["checks"]} == dict.fromkeys([*RUN, "Q6"], True)
    assert [n.op_type for n in onnx.load(out / "model_ctx.onnx").graph.node] == ["EPContext"]
    assert {"model_qdq.onnx", "model_ctx.onnx", "model_ctx_qnn.bin", "run_qnn.py"} <= set(manifest["files"])
    assert json.loads((out / "assignment.json").read_text()) == {"QNNExecutionProvider": ["EPContext"]}
    done = subprocess.run(
        [sys.executable, str(out / "run_qnn.py"), "--runs", "2"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "placed: QNNExecutionProvider: EPContext" in done.stdout


@needs_qnn
def test_what_htp_does_not_take(quantized: dict[str, Path], tmp_path: Path) -> None:
    """A quantized model with float biases."""
    arguments = (quantized["tensorrt"], "--prequantized", "--target", "qnn", "--fp16-ok", "-o", tmp_path / "out")
    assert "QNN does not take the model" in export(*arguments, code=2)["error"]
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(find_spec("onnxruntime_qnn") is not None, reason="onnxruntime-qnn is installed")
def test_the_script_names_what_is_missing(net: Path, samples: Path, tmp_path: Path) -> None:
    export(net, "--target", "qnn", "--calibration", samples, "-o", tmp_path / "out")
    script = str(tmp_path / "out/run_qnn.py")
    for arguments, words in ((["--compile"], "pip install onnxruntime-qnn"), ([], "run with --compile first")):
        done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and words in done.stderr
