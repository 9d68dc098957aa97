"""Files that nobody vouched for: each defect is refused with one sentence, before anything is compiled."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from small_models import Net

from mcugen.errors import UserError
from mcugen.frontend import read
from mcugen.frontend.load import OPSETS


def tiny(opset: int = 17) -> onnx.ModelProto:
    net = Net(opset=opset)
    net.output(net.conv(net.input((1, 2, 4, 4)), (3, 2, 3, 3)))
    return net.model()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file") as caught:
        read(tmp_path / "missing.onnx")
    assert "missing.onnx" in caught.value.origin


CONTENTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "text": (b"This is not a model.\n" * 20, "not a readable ONNX model"),
    "zeros": (bytes(1000), "not a readable ONNX model"),
    "other_format": (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a readable ONNX model"),
    "truncated": (tiny().SerializeToString()[:-40], "not a readable ONNX model"),
    "half": (tiny().SerializeToString()[: len(tiny().SerializeToString()) // 2], "not a readable ONNX model"),
    "no_graph": (onnx.ModelProto(ir_version=8).SerializeToString(), "holds no graph"),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_contents(case: str, tmp_path: Path) -> None:
    content, message = CONTENTS[case]
    with pytest.raises(UserError, match=message):
        read(write(tmp_path / "m.onnx", content))


def test_every_prefix_of_a_model_is_refused_or_read(tmp_path: Path) -> None:
    """Never anything but UserError, wherever the file ends."""
    content = tiny().SerializeToString()
    for size in range(1, len(content), 97):
        with pytest.raises(UserError):
            read(write(tmp_path / "m.onnx", content[:size]))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it is a folder"):
        read(tmp_path)


def test_an_output_needs_no_shape(tmp_path: Path) -> None:
    model = tiny()
    model.graph.output[0].type.tensor_type.ClearField("shape")
    graph = read(write(tmp_path / "m.onnx", model.SerializeToString())).graph
    assert graph.type("y").shape == (1, 3, 2, 2)


@pytest.mark.parametrize("opset", [OPSETS.start - 1, OPSETS.stop])
def test_opsets_out_of_range(opset: int, tmp_path: Path) -> None:
    model = tiny()
    model.opset_import[0].version = opset
    with pytest.raises(UserError, match=f"opset {opset} is not supported") as caught:
        read(write(tmp_path / "m.onnx", model.SerializeToString()))
    assert caught.value.hint


@pytest.mark.parametrize("opset", OPSETS)
def test_opsets_in_range(opset: int, tmp_path: Path) -> None:
    net = Net(opset=opset)
    net.output(net.copy("MaxPool", net.input((1, 2, 4, 4)), kernel_shape=[2, 2]))
    graph = read(write(tmp_path / "m.onnx", net.model().SerializeToString())).graph
    assert [node.op for node in graph.nodes].count("MaxPool") == 1


def test_the_same_bytes_have_the_same_hash(tmp_path: Path) -> None:
    a, b = (write(tmp_path / name, tiny().SerializeToString()) for name in ("a.onnx", "b.onnx"))
    assert read(a).sha256 == read(b).sha256


def with_data_outside(folder: Path) -> Path:
    path = folder / "m.onnx"
    onnx.save(
        tiny(), path, save_as_external_data=True, all_tensors_to_one_file=True, location="weights.bin", size_threshold=0
    )
    return path


def test_external_data_is_read_and_hashed(tmp_path: Path) -> None:
    path = with_data_outside(tmp_path)
    source = read(path)
    inside = read(write(tmp_path / "inside.onnx", tiny().SerializeToString()))
    for name, value in inside.graph.values.items():
        if value.data is not None:
            np.testing.assert_array_equal(source.graph.values[name].data, value.data)
    data = tmp_path / "weights.bin"
    data.write_bytes(bytes([data.read_bytes()[0] ^ 1]) + data.read_bytes()[1:])
    assert read(path).sha256 != source.sha256


def relocated(path: Path, key: str, value: str) -> Path:
    """The model at `path` with one external-data entry of its first external tensor changed."""
    model = onnx.load(path, load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL)
    entry = next((e for e in tensor.external_data if e.key == key), None) or tensor.external_data.add(key=key)
    entry.value = value
    path.write_bytes(model.SerializeToString())
    return path


def _symlink(folder: Path) -> str:
    os.symlink("/etc/passwd", folder / "link.bin")
    return "link.bin"


ESCAPES: dict[str, Callable[[Path], str]] = {
    "parent": lambda folder: "../weights.bin",
    "parent_inside": lambda folder: "a/../../weights.bin",
    "absolute": lambda folder: "/etc/passwd",
    "drive": lambda folder: "C:\\weights.bin",
    "backslashes": lambda folder: "..\\weights.bin",
    "symlink": _symlink,
    "nothing": lambda folder: "",
    "zero byte": lambda folder: "weights.bin\0",
}


@pytest.mark.parametrize("case", ESCAPES)
def test_external_data_may_not_leave_the_folder(case: str, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(10_000))
    folder = tmp_path / "model"
    folder.mkdir()
    path = relocated(with_data_outside(folder), "location", ESCAPES[case](folder))
    with pytest.raises(UserError, match="outside the model's folder"):
        read(path)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("location", "elsewhere.bin", "is missing"),
        ("offset", "100000000", "past the end"),
        ("length", "100000000", "past the end"),
        ("offset", "-4", "past the end"),
        ("offset", "many", "not a number"),
        ("length", "1", "does not fit its shape"),
    ],
)
def test_external_data_that_is_wrong(key: str, value: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read(relocated(with_data_outside(tmp_path), key, value))


def _sparse(model: onnx.ModelProto) -> None:
    values = helper.make_tensor("weights", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("indices", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))


def _short_tensor(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.dims[:] = [99]


def _cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


def _unknown_input(model: onnx.ModelProto) -> None:
    model.graph.node[2].input[0] = "nowhere"


def _same_names(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.name = "same"


def _unknown_type(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING


def _huge(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 2**40


DEFECTS: dict[str, tuple[Callable[[onnx.ModelProto], None], str]] = {
    "sparse": (_sparse, "sparse"),
    "short_tensor": (_short_tensor, "does not fit"),
    "cycle": (_cycle, "not a readable ONNX model"),
    "unknown_input": (_unknown_input, "not a readable ONNX model"),
    "same_names": (_same_names, "two nodes have this name"),
    "unknown_type": (_unknown_type, "."),
    "huge": (_huge, "beyond 256 MB, more than a Cortex-M has|do not fit"),
}


@pytest.mark.parametrize("case", DEFECTS)
def test_structure(case: str, tmp_path: Path) -> None:
    change, message = DEFECTS[case]
    model = tiny()
    change(model)
    with pytest.raises(UserError, match=message):
        read(write(tmp_path / "m.onnx", model.SerializeToString()))


@pytest.mark.parametrize("outputs", [[], [""]])
@pytest.mark.parametrize("op", ["Magic", "FusedConv"])
def test_nodes_without_outputs(op: str, outputs: list[str], tmp_path: Path) -> None:
    net = Net()
    net.output(net.quantize(net.real(net.quantize(net.real(net.input((1, 9))), 0.03, -7))))
    net.nodes.append(helper.make_node(op, ["x"], outputs, name="bad", domain="com.microsoft"))
    onnx.save(net.model(), tmp_path / "m.onnx")
    with pytest.raises(UserError, match="has no output") as error:
        read(tmp_path / "m.onnx")
    assert error.value.origin == "bad"
