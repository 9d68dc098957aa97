"""Operators of the user's own: the example holds in every byte, and a plugin's mistakes are named."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from mcugen import UserError, load_plugin, ops, pipeline, plugin, random_samples, resources, verify
from mcugen.project import build
from mcugen.prove.toolchain import available
from mcugen.target import core

FOLDER = Path(__file__).parents[2] / "examples" / "custom_operator"
TABLES = (ops.OPS, ops.RECOGNISED, ops.FLOATS, ops.FUNCTIONS, plugin._LOADED)

DELTA = """
<ir_version: 10, opset_import: ["" : 17, "com.example" : 1]>
delta (float[{batch}, 5, 3] x) => (float[{batch}, 5, 3] y)
{{
    xq = QuantizeLinear (x, x_scale, x_zero)
    xd = DequantizeLinear (xq, x_scale, x_zero)
    grown = com.example.Delta (xd)
    yq = QuantizeLinear (grown, y_scale, y_zero)
    y = DequantizeLinear (yq, y_scale, y_zero)
}}
"""


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test loads is gone behind it."""
    before = [dict(table) for table in TABLES]
    folders = list(resources._plugins)
    yield
    for table, old in zip(TABLES, before, strict=True):
        table.clear()
        table.update(old)  # type: ignore[arg-type]
    resources._plugins[:] = folders


def delta_model(path: Path, dtype: type, *, batch: int = 1) -> Path:
    model = onnx.parser.parse_model(DELTA.format(batch=batch))
    constants = {"x_scale": np.float32(0.037), "x_zero": dtype(5), "y_scale": np.float32(0.05), "y_zero": dtype(100)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items())
    onnx.save(model, path)
    return path


def copy_of_example(folder: Path, **replaced: str) -> Path:
    """The example's plugin file in `folder`, with texts replaced."""
    for name in ("plugin.py", "example_delta.c", "example_delta.h"):
        shutil.copy(FOLDER / name, folder / name)
    text = (folder / "plugin.py").read_text(encoding="utf-8")
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "plugin.py").write_text(text, encoding="utf-8")
    return folder / "plugin.py"


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_the_operator_alone_equals_its_function(tmp_path: Path, dtype: type) -> None:
    load_plugin(FOLDER / "plugin.py")
    compiled = pipeline.compile(delta_model(tmp_path / "m.onnx", dtype), pipeline.Options())
    assert [step.kernel for step in compiled.steps] == ["example_delta"]
    result = verify(compiled, random_samples(compiled, 200, seed=0))
    assert result.bit_exact, result.first_difference


@pytest.mark.parametrize("on", ["host", "cortex-m0", "cortex-m4"])
def test_the_example_equals_onnx_runtime(on: str) -> None:
    if on != "host" and (missing := available(core(on))):
        pytest.skip(missing)
    load_plugin(FOLDER / "plugin.py")
    options = pipeline.Options(core="cortex-m4" if on == "host" else on)
    compiled = pipeline.compile(FOLDER / "delta.onnx", options)
    result = verify(compiled, random_samples(compiled, 8, seed=1), on)
    assert result.bit_exact, result.first_difference


def test_a_wrong_kernel_is_found(tmp_path: Path) -> None:
    file = copy_of_example(tmp_path)
    kernel = tmp_path / "example_delta.c"
    kernel.write_text(kernel.read_text(encoding="utf-8").replace("a - b", "b - a"), encoding="utf-8")
    load_plugin(file)
    compiled = pipeline.compile(delta_model(tmp_path / "m.onnx", np.int8), pipeline.Options())
    result = verify(compiled, random_samples(compiled, 4, seed=0))
    assert not result.bit_exact
    assert "delta" in result.first_difference


def test_the_model_may_bring_its_own_definition(tmp_path: Path) -> None:
    """Then that is what the C is compared with."""
    path = delta_model(tmp_path / "m.onnx", np.int8)
    load_plugin(FOLDER / "plugin.py")
    model = onnx.load(path)
    model.functions.append(ops.FUNCTIONS["com.example.Delta"])
    model.functions[0].node[-1].op_type = "Add"
    onnx.save(model, path)
    compiled = pipeline.compile(path, pipeline.Options())
    assert not verify(compiled, random_samples(compiled, 4, seed=0)).bit_exact


def test_the_project_carries_the_kernel(tmp_path: Path) -> None:
    load_plugin(FOLDER / "plugin.py")
    compiled = pipeline.compile(FOLDER / "delta.onnx", pipeline.Options())
    build(compiled, tmp_path / "out", ram=None, flash=None)
    assert (tmp_path / "out" / "kernels" / "example_delta.c").is_file()
    assert '#include "example_delta.h"' in (tmp_path / "out" / "delta.c").read_text(encoding="utf-8")
    assert "kernels/example_delta.c" in (tmp_path / "out" / "CMakeLists.txt").read_text(encoding="utf-8")


def test_the_committed_model_is_what_the_script_makes(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "make_model.py", tmp_path)
    subprocess.run([sys.executable, tmp_path / "make_model.py"], check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "delta.onnx").read_bytes() == (FOLDER / "delta.onnx").read_bytes()


def test_without_the_plugin_the_operator_is_refused() -> None:
    with pytest.raises(UserError, match=r"com\.example\.Delta is not supported.*--plugin"):
        pipeline.compile(FOLDER / "delta.onnx", pipeline.Options())


def test_a_limit_of_the_plugin_is_the_message(tmp_path: Path) -> None:
    load_plugin(FOLDER / "plugin.py")
    path = delta_model(tmp_path / "m.onnx", np.int8, batch=2)
    with pytest.raises(UserError, match=r"Delta takes a batch of 1 \(the batch is 2\)\. Fix it with --shape"):
        pipeline.compile(path, pipeline.Options())


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"PLUGIN =": "OTHER ="}, "no PLUGIN is defined"),
        ({"PLUGIN =": "1 / 0; PLUGIN ="}, "ZeroDivisionError: division by zero"),
        ({'name="delta"': 'name="softmax"'}, "'softmax' is there already"),
        ({'"com.example", opset': '"", opset'}, "a domain that is not yours"),
        ({"y = Sub (x, before)": "y = Sub (x"}, "not valid ONNX"),
        ({".parent)": '.parent / "none")'}, "is missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, replaced: dict[str, str], message: str) -> None:
    file = copy_of_example(tmp_path, **replaced)
    known = set(ops.OPS)
    with pytest.raises(UserError, match=message):
        load_plugin(file)
    assert set(ops.OPS) == known


def test_kernel_files_keep_off_our_names(tmp_path: Path) -> None:
    file = copy_of_example(tmp_path)
    (tmp_path / "mcugen_softmax_s8.c").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"mcugen_softmax_s8\.c has a reserved name"):
        load_plugin(file)


def test_a_missing_kernel_is_named(tmp_path: Path) -> None:
    file = copy_of_example(tmp_path, **{'kernel="example_delta"': 'kernel="example_gamma"'})
    load_plugin(file)
    compiled = pipeline.compile(delta_model(tmp_path / "m.onnx", np.int8), pipeline.Options())
    with pytest.raises(UserError, match=r"no C file example_gamma\.c"):
        build(compiled, tmp_path / "out", ram=None, flash=None)
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_plugin(tmp_path / "none.py")
