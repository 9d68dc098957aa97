"""`mcugen pipeline`: files that are refused, budgets that hold and break, and one report for all of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml
from export_models import float_net, run

from mcugen.deliver import cortex_m, qnn
from mcugen.deliver.calibration import Images
from mcugen.deliver.deployment import load_deployment
from mcugen.prove.toolchain import available
from mcugen.target import core


@pytest.fixture
def folder(net: Path, samples: Path, tmp_path: Path) -> Path:
    shutil.copy(net, tmp_path / "net.onnx")
    shutil.copy(samples, tmp_path / "samples.npz")
    return tmp_path


def document(target: dict[str, Any], **model: Any) -> dict[str, Any]:
    return {
        "models": {"net": {"model": "net.onnx", "calibration": "samples.npz", **model}},
        "targets": {"there": target},
    }


def pipeline(folder: Path, content: dict[str, Any] | str, *, code: int) -> dict[str, Any]:
    """The report; with "error": what was said on stderr."""
    file = folder / "deployment.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    result = run("pipeline", file, "--json")
    assert result.exit_code == code, result.output
    report = json.loads(result.stdout) if result.stdout else {}
    if report:
        assert report == json.loads((folder / "out/deployment.json").read_text())
    return {**report, "error": " ".join(result.stderr.split())}


ORT = {"for": "ort", "budgets": {"size": "1M"}}
BAD: list[tuple[Any, str]] = [
    ("models: [", "deployment.yaml: it cannot be read: "),
    ("models: {a: 1}\nmodels: {b: 2}\n", "key 'models' stands twice"),
    ("- 1\n", "the file: it is not a mapping of names"),
    ({"models": {}}, "it needs `models` and `targets`"),
    ({**document(ORT), "model": {}}, "the file: unknown key 'model'. Known: output, models, targets."),
    ({**document(ORT), "output": 3}, "output must be of type str, it is 3"),
    (document({"for": "cortex-m9"}), "targets.there: `for` is 'cortex-m9'. Known: cortex-m0, "),
    (document({**ORT, "soc": "SM8650"}), "targets.there: soc is for qnn, this target is for ort"),
    (document({"for": "qnn", "soc": "SM1"}), "targets.there: unknown SoC 'SM1'. Known to --soc: "),
    (document({**ORT, "threads": True}), "threads must be of type int"),
    (document({"for": "tensorrt", "trt": 9}), "trt must be 10 or 11"),
    (document({"for": "ort", "budgets": {"flash": 1}}), "no budget 'flash'. It has: latency_ms, size, accuracy_loss."),
    (document({"for": "ort", "budgets": {"size": "big"}}), "targets.there.budgets.size: 'big' is not a memory size"),
    (document({"for": "ort", "budgets": {"latency_ms": "5 ms"}}), "'5 ms' is not a number"),
    (document(ORT, model="no.onnx"), "models.net: model: no such file 'no.onnx'"),
    (document(ORT, labels="no.npz"), "models.net: labels: no such file 'no.npz'"),
    (document(ORT, targets=["here"]), "unknown target 'here'. Known: there."),
    (document(ORT, shapes={"x": [1, -1]}), "shapes.x is [1, -1]. Write [1, 3, 224, 224]."),
    (document(ORT, images={"mean": ["a"]}), "images is {'mean': ['a']}. mean and std are lists of numbers, layout"),
    (document(ORT, images={"pixels": 128}), "images is {'pixels': 128}"),
    (
        document(ORT, images={"size": [8, 8]}),
        "models.net.images: unknown key 'size'. Known: mean, std, layout",
    ),
    (document(ORT, images={"mean": [0.5]}), "models.net: mean, std, pixels and layout are of folders of images"),
    (document({"for": "cortex-m4"}, prequantized=True), "needs either `calibration` or `prequantized: true`"),
    ({"models": {"../up": {"model": "net.onnx"}}, "targets": {"there": ORT}}, "'../up' cannot name a folder"),
    (
        {"models": {"n": {"model": "net.onnx"}}, "targets": {"there": {"for": "ort", "budgets": {"accuracy_loss": 1}}}},
        "the budget accuracy_loss of there needs a float model and samples",
    ),
]


@pytest.mark.parametrize("content, words", BAD, ids=[words for _, words in BAD])
def test_bad_files(content: dict[str, Any] | str, words: str, folder: Path) -> None:
    assert words in pipeline(folder, content, code=2)["error"]
    assert not (folder / "out").exists()


def test_absent_and_broken_files(tmp_path: Path) -> None:
    result = run("pipeline", tmp_path / "no.yaml")
    assert result.exit_code == 2 and "no such file" in result.stderr
    (tmp_path / "bad.toml").write_text("models = {")
    result = run("pipeline", tmp_path / "bad.toml")
    assert result.exit_code == 2 and "it cannot be read" in result.stderr


def test_toml_says_the_same_as_yaml(folder: Path) -> None:
    (folder / "a.yaml").write_text(yaml.safe_dump(document({**ORT, "threads": 1}, exclude=["fc"])))
    (folder / "a.toml").write_text(
        '[models.net]\nmodel = "net.onnx"\ncalibration = "samples.npz"\nexclude = ["fc"]\n'
        '[targets.there]\nfor = "ort"\nthreads = 1\nbudgets = {size = "1M"}\n'
    )
    first, second = (load_deployment(folder / name) for name in ("a.yaml", "a.toml"))
    assert (first.models, first.targets, first.output) == (second.models, second.targets, second.output)


def test_images_of_a_model(folder: Path) -> None:
    (folder / "photos").mkdir()
    own = {"mean": [0.4], "std": [0.2, 0.3], "layout": "nhwc", "pixels": 255}
    content = document(ORT, images=own, calibration="photos")
    (folder / "images.yaml").write_text(yaml.safe_dump(content))
    (model,) = load_deployment(folder / "images.yaml").models
    assert model.images == Images((0.4,), (0.2, 0.3), "nhwc", 255.0)
    (folder / "plain.yaml").write_text(yaml.safe_dump(document(ORT)))
    assert load_deployment(folder / "plain.yaml").models[0].images == Images()


def test_every_pair_is_made_and_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qnn, "_installed", lambda: None)
    board = {"ram": "64K", "flash": "256K", "instructions": "50M", "accuracy_loss": 50}
    targets: dict[str, Any] = {
        "board": {"for": "cortex-m4", "budgets": board},
        "gateway": {"for": "ort", "threads": 1, "budgets": {"latency_ms": 1000, "size": "1M", "accuracy_loss": 50}},
        "phone": {"for": "qnn", "soc": "SM8550"},
        "jetson": {"for": "tensorrt", "trt": 11, "budgets": {"size": "1M"}},
    }
    if available(core("cortex-m4")):
        del targets["board"]
    report = pipeline(folder, {**document({}), "targets": targets}, code=0)
    jobs = {job["target"]: job for job in report["jobs"]}
    assert list(jobs) == list(targets) and report["passed"]
    for name, job in jobs.items():
        budgets = {b["name"]: b for b in job["budgets"]}
        assert list(budgets) == list(targets[name].get("budgets", {}))
        assert all(b["passed"] and 0 <= b["value"] <= b["limit"] for b in budgets.values())
        assert json.loads((folder / "out" / job["folder"] / "report.json").read_text())["mcugen"]
    assert {name: job["verified"] for name, job in jobs.items()} == {name: name != "phone" for name in targets}
    gateway = jobs["gateway"]["measured"]
    assert gateway["size"] == (folder / "out/gateway/net/model.ort").stat().st_size
    assert gateway["latency_ms"] > 0 and gateway["sqnr_db"] > 20


@pytest.mark.parametrize("budget, limit", [("latency_ms", 0), ("size", 10), ("accuracy_loss", 0)])
def test_broken_budgets(budget: str, limit: float, folder: Path, quantized: dict[str, Path]) -> None:
    if budget == "accuracy_loss":
        # A model that gives other classes than the float model it is held against.
        onnx.save(float_net(seed=7), folder / "other.onnx")
        shutil.copy(quantized["ort"], folder / "q.onnx")
        given = {"model": "q.onnx", "prequantized": True, "reference": "other.onnx", "data": "samples.npz"}
        content = {"models": {"net": given}, "targets": {"there": {"for": "ort", "budgets": {budget: limit}}}}
    else:
        content = document({"for": "ort", "budgets": {budget: limit}})
    report = pipeline(folder, content, code=1)
    (job,) = report["jobs"]
    assert not report["passed"] and not job["refused"] and job["budgets"][0]["value"] > limit
    assert f"net for there: {budget} " in report["error"] and " is over " in report["error"]


def test_what_cannot_be_measured_breaks_its_budget(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cortex_m, "available", lambda item: "no compiler here")
    report = pipeline(folder, document({"for": "cortex-m4", "budgets": {"instructions": "1M"}}), code=1)
    assert "instructions not measured: no compiler here" in report["error"]


def test_a_refused_model_does_not_stop_the_others(folder: Path) -> None:
    content = document(ORT)
    content["models"]["late"] = {**content["models"]["net"]}
    content["models"]["net"]["exclude"] = ["nowhere"]
    report = pipeline(folder, content, code=2)
    first, second = report["jobs"]
    assert first["refused"] and not first["passed"] and "nowhere" in first["problems"][0]
    assert second["passed"] and (folder / "out/there/late/model.ort").exists()
    assert not (folder / "out/there/net").exists()


def test_the_table_for_people(folder: Path) -> None:
    (folder / "deployment.yaml").write_text(yaml.safe_dump(document(ORT)))
    result = run("pipeline", folder / "deployment.yaml", "-o", folder / "elsewhere")
    assert result.exit_code == 0 and "1,048,576" in result.stdout
    assert (folder / "elsewhere/deployment.json").exists() and (folder / "elsewhere/there/net/run_ort.py").exists()
