"""The C of one small model, as text; and the same bytes from every build.

UPDATE_GOLDEN=1 pytest tests/golden rewrites the files: read the difference before committing it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from checking import compile_model
from gallery import FEW_BY_DEFAULT, example
from small_models import Net

from mcugen.emit.codegen import c_sources

HERE = Path(__file__).parent


def tiny() -> onnx.ModelProto:
    """One step of each kind: convolution, table (of two operators), fully connected."""
    net = Net("int8", seed=11)
    x = net.conv(net.input((1, 1, 4, 4), name="image"), (2, 1, 3, 3))
    x = net.op("Sigmoid", x, scale=1 / 256, zero_point=-128)
    x = net.op("Mul", x, x, scale=1 / 256, zero_point=-128)
    net.output(net.gemm(net.copy("Flatten", x, axis=1), 3, 8), "scores")
    return net.model()


def test_generated_sources(tmp_path: Path) -> None:
    files = c_sources(compile_model(tiny(), tmp_path, name="tiny"))
    if os.environ.get("UPDATE_GOLDEN"):
        for name, text in files.items():
            (HERE / name).write_text(text, encoding="utf-8")
    assert sorted(path.name for path in HERE.glob("*.[ch]")) == sorted(files)
    for name, text in files.items():
        assert text.splitlines() == (HERE / name).read_text(encoding="utf-8").splitlines(), name


def build(model: Path, folder: Path, seed: str) -> dict[str, bytes]:
    """Every file of a project built by another process."""
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-m", "mcugen.cli", "build", str(model), "-o", str(folder)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("case", FEW_BY_DEFAULT)
def test_two_builds_have_the_same_bytes(case: str, tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    onnx.save(example(case), model)
    first, second = (build(model, tmp_path / seed, seed) for seed in ("0", "4711"))
    assert list(first) == list(second)
    for name, content in first.items():
        assert content == second[name], name
    for content in first.values():
        assert str(tmp_path).encode() not in content  # no path of this machine
