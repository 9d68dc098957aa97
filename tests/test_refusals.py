"""What is refused, as a user meets it: exit code, one message with its next step, nothing written."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from c_compiler import GCC, compile_project
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper
from small_models import Net

import mcugen
from mcugen.cli import main
from mcugen.ops import OPS


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def save(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "small.onnx"
    onnx.save(model, path)
    return path


def assert_refused(result: Result, code: int, *parts: str) -> str:
    """One paragraph on stderr that holds every part, nothing on stdout, no traceback."""
    said = result.stderr.strip()
    assert result.exit_code == code, (result.exit_code, said, result.exception)
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if not line.startswith("Usage:")]
    assert len(lines) == 1, said
    for part in parts:
        assert part in said, said
    return said


def assert_nothing_written(folder: Path, *allowed: str) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(allowed)


def plain(dtype: str = "uint8") -> Net:
    net = Net(dtype)
    net.output(net.conv(net.input((1, 3, 8, 8)), (4, 3, 3, 3)))
    return net


def _unsupported_operator() -> onnx.ModelProto:
    net = Net()
    net.output(net.quantize(net.node("Det", net.real(net.input((1, 2, 3, 3))), name="head/Det"), 0.1, 0))
    return net.model()


def _custom_operator() -> onnx.ModelProto:
    model = _unsupported_operator()
    node = next(node for node in model.graph.node if node.op_type == "Det")
    node.op_type, node.domain, node.name = "Magic", "org.example", "head/Magic"
    model.opset_import.append(helper.make_opsetid("org.example", 1))
    return model


def _per_channel_activation() -> onnx.ModelProto:
    net = Net()
    real = net.float_input((1, 3, 4, 4))
    scales, zeros = net.constant(np.array([0.1, 0.2, 0.3], np.float32)), net.constant(np.zeros(3, np.uint8))
    q = net.node("QuantizeLinear", real, scales, zeros, axis=1, name="input/Quantize")
    back = net.node("DequantizeLinear", q, scales, zeros, axis=1)
    pooled = net.node("MaxPool", back, kernel_shape=[2, 2], name="input/Pool")
    net.output(net.quantize(pooled, 0.1, 0))
    return net.model()


def _dynamic_quantization() -> onnx.ModelProto:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="body/Dynamic"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], name="body/Back"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _dilated_same_padding() -> onnx.ModelProto:
    net = Net()
    net.output(net.conv(net.input((1, 3, 8, 8)), (4, 3, 3, 3), auto_pad="SAME_UPPER", dilations=[2, 2]))
    return net.model()


def _far_bias_scale() -> onnx.ModelProto:
    net = Net()
    x = net.input((1, 6))
    weights, _ = net.weights((4, 6), axis=None)
    bias = net.bias(np.array([1, 2, 3, 4], np.int32), np.float32([1.0]))
    net.output(net.quantize(net.node("Gemm", net.real(x), weights, bias, transB=1, name="head/Gemm"), 0.1, 0))
    return net.model()


def _negative_scale() -> onnx.ModelProto:
    net = Net()
    net.output(net.op("Neg", net.input((1, 6), scale=-0.1)))
    return net.model()


def _wide_operator() -> onnx.ModelProto:
    net = Net("int16", opset=21)
    position = net.node("ArgMax", net.real(net.input((1, 6))), name="head/ArgMax", axis=1)
    net.outputs.append(helper.make_tensor_value_info(position, TensorProto.INT64, None))
    return net.model()


def _narrow_activation() -> onnx.ModelProto:
    net = Net("int8", opset=21)
    x = net.quantize(net.float_input((1, 6)), 0.1)
    y = net.node("QuantizeLinear", net.real(x), *net.params(0.5, 0), name="head/Q", output_dtype=TensorProto.INT4)
    net.nodes[-1].input.pop()
    net.outputs.append(helper.make_tensor_value_info(y, TensorProto.INT4, [1, 6]))
    return net.model()


def _half_precision() -> onnx.ModelProto:
    net = Net()
    net.inputs.append(helper.make_tensor_value_info("x", TensorProto.FLOAT16, [1, 6]))
    net.node("Neg", "x", name="head/Neg")
    net.outputs.append(helper.make_tensor_value_info(net.nodes[-1].output[0], TensorProto.FLOAT16, [1, 6]))
    return net.model()


def _loop() -> onnx.ModelProto:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])], "b", [], [helper.make_tensor_value_info("z", 1, [1, 4])]
    )
    node = helper.make_node("If", ["c"], ["y"], name="body/If", then_branch=branch, else_branch=branch)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    graph = helper.make_graph([node], "g", [ends[0], condition], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _without_elements() -> onnx.ModelProto:
    net = Net()
    x = net.input((1, 4))
    start = net.shape(1)
    nothing = net.real(net.op("Slice", x, start, start, start, name="head/Slice"))
    net.outputs.append(helper.make_tensor_value_info(net.node("ReduceSum", nothing), TensorProto.FLOAT, None))
    return net.model()


def _empty_output() -> onnx.ModelProto:
    net = Net()
    start = net.shape(1)
    net.output(net.op("Slice", net.input((1, 4)), start, start, start))
    return net.model()


def _no_output() -> onnx.ModelProto:
    model = plain().model()
    del model.graph.output[:]
    return model


def _groups_that_do_not_divide() -> onnx.ModelProto:
    net = Net()
    net.output(net.conv(net.input((1, 3, 8, 8)), (4, 3, 3, 3), group=2))
    return net.model()


def _scales_of_another_number() -> onnx.ModelProto:
    model = plain().model()
    scale = next(i for i in model.graph.initializer if i.name.startswith("bias_scale"))
    scale.CopyFrom(numpy_helper.from_array(np.float32([0.1, 0.2, 0.3]), scale.name))
    return model


def _bias_of_another_length() -> onnx.ModelProto:
    net = Net()
    weights, scales = net.weights((4, 3, 3, 3), 0.01)
    bias = net.bias(np.arange(3, dtype=np.int32), scales[:3] * np.float32(0.05))
    net.output(net.quantize(net.node("Conv", net.real(net.input((1, 3, 8, 8), 0.05)), weights, bias), 0.1, 0))
    return net.model()


def _nan() -> onnx.ModelProto:
    net = Net()
    x = net.float_input((1, 4))
    net.outputs.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    shift = net.constant(np.float32([0, np.nan, 0, 0]))
    net.nodes.append(helper.make_node("Add", [x, shift], ["y"], name="body/Add"))
    return net.model()


def _nan_attribute() -> onnx.ModelProto:
    net = Net()
    net.output(net.op("LeakyRelu", net.input((1, 4)), alpha=float("nan"), name="body/Leaky"))
    return net.model()


def _scale_beyond_float() -> onnx.ModelProto:
    net = Net()
    net.output(net.op("Neg", net.input((1, 4), scale=3e38)))
    return net.model()


def _constant_of_a_gigabyte() -> onnx.ModelProto:
    net = Net()
    wide = net.node("Expand", net.constant(np.float32([1])), net.constant(np.array([2**14, 2**14])), name="head/Wide")
    total = net.node("ReduceSum", wide, keepdims=0)
    net.outputs.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    net.nodes.append(helper.make_node("Add", [net.float_input((1, 4)), total], ["y"]))
    return net.model()


def _endless_stride() -> onnx.ModelProto:
    net = Net()
    net.output(net.conv(net.input((1, 3, 3, 8)), (4, 3, 3, 3), strides=[2**40, 1]))
    return net.model()


def _batch_norm(variance: float, outputs: int = 1, **attributes: int) -> Callable[[], onnx.ModelProto]:
    """Behind a convolution, where it would be folded."""

    def make() -> onnx.ModelProto:
        net = Net()
        weights = net.constant(np.ones((2, 3, 1, 1), np.float32))
        y = net.node("Conv", net.float_input((1, 3, 4, 4)), weights)
        factors = [net.constant(np.float32([1, value])) for value in (1, 0, 0, variance)]
        ends = ["y", "mean", "var"][:outputs]
        net.nodes.append(helper.make_node("BatchNormalization", [y, *factors], ends, name="body/Norm", **attributes))
        net.outputs.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
        return net.model()

    return make


def _functions(depth: int, last: str) -> Callable[[], onnx.ModelProto]:
    """Each calls the next one twice, the last one `last`."""

    def make() -> onnx.ModelProto:
        domain, opsets = "org.example", [helper.make_opsetid("", 17), helper.make_opsetid("org.example", 1)]
        names = [f"F{i}" for i in range(depth)]
        functions = []
        for name, called in zip(names, [*names[1:], last], strict=True):
            to = "" if called == "Relu" else domain
            pair = [helper.make_node(called, [x], [y], domain=to) for x, y in (("a", "b"), ("b", "c"))]
            functions.append(helper.make_function(domain, name, ["a"], ["c"], pair, opsets))
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
        graph = helper.make_graph([helper.make_node("F0", ["x"], ["y"], domain=domain)], "g", ends[:1], ends[1:])
        return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8)

    return make


def _sums_read_as_real() -> onnx.ModelProto:
    net = Net()
    a, b = net.input((1, 4)), net.constant(np.ones((4, 2), np.uint8))
    sums = net.node("MatMulInteger", a.name, b)
    real = net.node("DequantizeLinear", sums, net.constant(np.float32(0.5)), name="body/Back")
    net.outputs.append(helper.make_tensor_value_info(real, TensorProto.FLOAT, None))
    return net.model()


def _division(op: str) -> Callable[[], onnx.ModelProto]:
    """It stops ONNX Runtime, and the process with it."""

    def make() -> onnx.ModelProto:
        net = Net()
        sizes = net.node(
            op, *(net.constant(np.array(n, np.int64)) for n in ([-(2**63), 4], [-1, -1])), name="head/Size"
        )
        net.output(net.copy("Reshape", net.input((1, 4)), sizes))
        return net.model()

    return make


# name -> (model, what the message says: node, limit, next step)
MODELS: dict[str, tuple[Callable[[], onnx.ModelProto], tuple[str, ...]]] = {
    "unsupported operator": (_unsupported_operator, ("head/Det", "Det is not supported", "mcugen ops")),
    "custom operator": (_custom_operator, ("head/Magic", "org.example.Magic", "mcugen ops")),
    "per-channel activation": (_per_channel_activation, ("per channel", "per tensor")),
    "dynamic quantization": (_dynamic_quantization, ("body/Back", "computed at run time", "static quantization")),
    "dilated same padding": (_dilated_same_padding, ("Conv_", "SAME_UPPER", "explicit pads")),
    "far bias scale": (_far_bias_scale, ("head/Gemm", "not at input scale * weight scale", "a copy for each")),
    "negative scale": (_negative_scale, ("QuantizeLinear", "not a positive number", "Quantize the model again")),
    "operator without 16 bits": (_wide_operator, ("head/ArgMax", "activations of 16 bits", "8 bits")),
    "4-bit activation": (_narrow_activation, ("head/Q", "activations of 4 bits", "8 or 16 bits")),
    "half precision": (_half_precision, ("tensor type float16", "int8 or uint8")),
    "no elements": (_without_elements, ("head/Slice", "without elements", "Export the model without it")),
    "empty output": (_empty_output, ("y: the output has no elements", "[1, 0]")),
    "no output": (_no_output, ("the model has no output", "Export it again")),
    "groups": (_groups_that_do_not_divide, ("ONNX Runtime does not run the model", "group", "export it again")),
    "scales of another number": (_scales_of_another_number, ("Dequantize", "scale of shape [3]", "[4]", "axis 0")),
    "bias of another length": (_bias_of_another_length, ("ONNX Runtime does not run the model", "bias", "export it")),
    "NaN": (_nan, ("body/Add", "holds NaN", "again")),
    "NaN attribute": (_nan_attribute, ("body/Leaky", "alpha is NaN")),
    "scale beyond float32": (_scale_beyond_float, ("QuantizeLinear", "beyond float32", "Quantize the model again")),
    "large constant": (_constant_of_a_gigabyte, ("head/Wide", "[16384, 16384] is beyond 256 MB", "export")),
    "endless stride": (_endless_stride, ("Conv_", "beyond int32 (1,099,511,627,776)", "fit its input")),
    "negative variance": (_batch_norm(-0.5), ("body/Norm", "-0.49999", "not more than 0", "again")),
    "training": (_batch_norm(1, 3, training_mode=1), ("body/Norm", "in training mode", "for inference")),
    "many functions": (_functions(40, "Relu"), ("nodes, more than 100,000",)),
    "recursive functions": (_functions(3, "F1"), ("the function F1 calls itself", "without functions")),
    "int32 read as real": (_sums_read_as_real, ("body/Back", "int32 numbers computed at run time", "8 or 16 bits")),
    "Div overflows": (_division("Div"), ("head/Size", "Div of constants", "beyond its type")),
    "Mod overflows": (_division("Mod"), ("head/Size", "Mod of constants", "beyond its type")),
    "control flow": (_loop, ("body/If", "control flow")),
}


@pytest.mark.parametrize("case", MODELS)
@pytest.mark.parametrize("command", ["build", "verify"])
def test_models(command: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, parts = MODELS[case]
    path = save(make(), tmp_path)
    more = ["-o", tmp_path / "out"] if command == "build" else []
    assert_refused(run(command, path, *more), 2, *parts)
    assert_nothing_written(tmp_path, "small.onnx")


@pytest.mark.parametrize(
    "content, part", [(b"", "empty"), (b"text", "not a readable ONNX model")], ids=["empty", "text"]
)
def test_files(content: bytes, part: str, tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(content)
    assert_refused(run("build", path, "-o", tmp_path / "out"), 2, "small.onnx", part, "Export the model again")
    assert_nothing_written(tmp_path, "small.onnx")


def test_missing_file(tmp_path: Path) -> None:
    assert_refused(run("build", tmp_path / "none.onnx", "-o", tmp_path / "out"), 2, "none.onnx", "no such file")
    assert_nothing_written(tmp_path)


OPTIONS: dict[str, tuple[list[str], int, tuple[str, ...]]] = {
    "ram": (["--ram", "64"], 1, ("--ram allows 64", "too many", "The peak is at step")),
    "flash": (["--flash", "100"], 1, ("--flash allows 100", "too many")),
    "ram text": (["--ram", "lots"], 2, ("'lots' is not a memory size", "256K")),
    "memory without a size": (["--memory", "dtcm"], 2, ("memory region 'dtcm' has no size", "dtcm=64K")),
    "canonical graph": (
        ["--emit-canonical", f"{__file__}/x.onnx"],
        2,
        ("test_refusals.py/x.onnx", "is a file, not a folder"),
    ),
    "shape text": (["--shape", "x"], 2, ("'x' is not a shape", "--shape name=1,3,224,224")),
    "shape size": (["--shape", f"x=1,3,8,{2**64}"], 2, ("is not a shape",)),
    "shape zero": (["--shape", "x=1,0"], 2, ("is not a shape",)),
    "shape name": (["--shape", "z=1,3,8,8"], 2, ("'z'", "Its inputs are: x")),
    "shape rank": (["--shape", "x=1,3"], 2, ("x", "2 dimensions, the input has 4")),
    "shape fixed": (["--shape", "x=1,4,8,8"], 2, ("x", "the model fixes 3")),
    "target": (["--target", "cortex-m9"], 2, ("unknown core 'cortex-m9'", "Known: cortex-m0")),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options(case: str, tmp_path: Path) -> None:
    arguments, code, parts = OPTIONS[case]
    path = save(plain().model(), tmp_path)
    assert_refused(run("build", path, "-o", tmp_path / "out", *arguments), code, *parts)
    assert_nothing_written(tmp_path, "small.onnx")


@pytest.mark.parametrize("command", ["verify", "profile"])
def test_unknown_core(command: str, tmp_path: Path) -> None:
    path = save(plain().model(), tmp_path)
    assert_refused(run(command, path, "--on", "cortex-m9"), 2, "unknown core 'cortex-m9'", "Known:")


def test_verify_needs_what_it_can_have(tmp_path: Path) -> None:
    path = save(plain().model(), tmp_path)
    assert_refused(run("verify", path, "--on", "cortex-m85"), 2, "no emulator has cortex-m85", "Take --on host")
    assert_refused(run("verify", path, "--outputs", tmp_path), 2, str(tmp_path), "it is a folder")
    assert_refused(run("verify", path, "--outputs", path / "y.npz"), 2, f"{path} is a file, not a folder")
    assert_refused(run("verify", path, "--samples", 10**12), 2, "not enough memory on this machine")
    assert run("verify", path, "--seed", -1).exit_code == 2


def test_a_missing_folder_of_an_output_is_made(tmp_path: Path) -> None:
    path = save(plain().model(), tmp_path)
    canonical, outputs = tmp_path / "a" / "b" / "c.onnx", tmp_path / "d" / "y.npz"
    assert run("build", path, "-o", tmp_path / "out", "--emit-canonical", canonical).exit_code == 0
    assert run("verify", path, "--samples", 1, "--outputs", outputs).exit_code == 0
    assert canonical.is_file() and outputs.is_file()


@pytest.mark.parametrize("command, code", [("verify", 1), ("profile", 1)])
def test_budget_of_the_other_commands(command: str, code: int, tmp_path: Path) -> None:
    path = save(plain().model(), tmp_path)
    assert_refused(run(command, path, "--ram", "64"), code, "--ram allows 64")


def test_profile_needs_a_core(tmp_path: Path) -> None:
    path = save(plain().model(), tmp_path)
    assert_refused(run("profile", path, "--on", "host"), 2, "--on cortex-m4")


@pytest.mark.parametrize("budget", [("--flash", "64K"), ("--memory", "sram=64K,flash=64K")], ids=str)
def test_a_budget_checked_in_part_is_said_to_be(
    budget: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(plain().model(), tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("build", path, "-o", tmp_path / "out", *budget)
    assert result.exit_code == 0
    assert f"warning: {budget[0]} was checked without the code" in result.stderr


def test_a_plugin_that_leaves(tmp_path: Path) -> None:
    path, plugin = save(plain().model(), tmp_path), tmp_path / "plugin.py"
    plugin.write_text("raise SystemExit(0)")
    assert_refused(run("verify", path, "--plugin", plugin), 2, "the plugin does not load: SystemExit")


def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    path = save(plain().model(), tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    assert_refused(run("build", path, "-o", out), 2, str(out), "holds something else", "another -o")
    assert (out / "thesis.txt").read_text() == "precious"
    assert_nothing_written(tmp_path, "small.onnx", "out")
    assert_nothing_written(out, "thesis.txt")


def test_a_file_in_the_way(tmp_path: Path) -> None:
    path = save(plain().model(), tmp_path)
    (tmp_path / "out").write_text("precious")
    assert_refused(run("build", path, "-o", tmp_path / "out"), 2, "it is a file", "another -o")
    assert (tmp_path / "out").read_text() == "precious"


def test_an_earlier_build_is_replaced(tmp_path: Path) -> None:
    path = save(plain().model(), tmp_path)
    out = tmp_path / "out"
    assert run("build", path, "-o", out).exit_code == 0
    (out / "stale.c").write_text("int stale;")
    assert run("build", path, "-o", out).exit_code == 0
    assert not (out / "stale.c").exists()
    assert_nothing_written(tmp_path, "small.onnx", "out")


def test_a_link_to_an_earlier_build_stays_a_link(tmp_path: Path) -> None:
    path, link = save(plain().model(), tmp_path), tmp_path / "link"
    link.symlink_to(tmp_path / "out")
    for _ in range(2):
        assert run("build", path, "-o", link).exit_code == 0
    assert link.is_symlink() and (tmp_path / "out" / "small.c").is_file()
    assert_nothing_written(tmp_path, "small.onnx", "link", "out")


def test_a_failed_build_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = save(plain().model(), tmp_path)
    out = tmp_path / "out"
    assert run("build", path, "-o", out).exit_code == 0
    before = {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert run("build", path, "-o", out, "--ram", "64").exit_code == 1
    assert {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def _npz(**arrays: np.ndarray) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("wb") as stream:
            np.savez(stream, **arrays)

    return write


_X = np.zeros((2, 1, 3, 8, 8), np.float32)
ARCHIVES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "missing": (lambda path: None, ("no such file",)),
    "empty file": (lambda path: path.write_bytes(b""), ("not a readable .npz",)),
    "text": (lambda path: path.write_text("hello"), ("not a readable .npz",)),
    "truncated": (lambda path: (_npz(x=_X)(path), path.write_bytes(path.read_bytes()[:200])), ("not a readable .npz",)),
    "objects": (lambda path: _npz(x=np.array([{}], object))(path), ("not a readable .npz",)),
    "other name": (_npz(image=_X), ("no array for the model input 'x'", "It holds: image")),
    "other shape": (_npz(x=_X[..., :7]), ("has shape [2, 1, 3, 8, 7]", "Each sample must be [1, 3, 8, 8]")),
    "other type": (_npz(x=_X.astype(complex)), ("complex128", "float32")),
    "no samples": (_npz(x=_X[:0]), ("no sample",)),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_inputs(case: str, tmp_path: Path) -> None:
    write, parts = ARCHIVES[case]
    path = save(plain().model(), tmp_path)
    archive = tmp_path / "inputs.npz"
    write(archive)
    assert_refused(run("verify", path, "--inputs", archive), 2, "inputs.npz", *parts)


def test_arms_library_on_helium_without_float(tmp_path: Path) -> None:
    path = save(plain().model(), tmp_path)
    arguments = ("build", path, "-o", tmp_path / "out", "--target", "cortex-m55+nomve.fp", "--library", "arm")
    assert_refused(run(*arguments), 2, "cortex-m55+nomve.fp has none", "Take the bundled kernels, or --requant stock")
    assert not (tmp_path / "out").exists()


def test_cmsis_nn_that_is_none(tmp_path: Path) -> None:
    path = save(plain().model(), tmp_path)
    result = run("verify", path, "--samples", 1, "--cmsis-nn", tmp_path)
    assert_refused(result, 2, "not a CMSIS-NN checkout", "Clone")


HOSTILE = {
    "comment": "a */ #error x /* ",
    "newline": 'first\n#error "second"',
    "quotes": '"; } int main(void) { return 1; } //',
    "percent": "%s%n%d",
    "path": "../../../etc/passwd",
    "absolute": "/tmp/escape",
    "long": "x" * 500,
    "keyword": "int",
    "digits": "12",
    "non-ascii": "größe/学习/🙂",
    "backslash": "line \\\n#error continued",
    "trigraph": "??/\n#error continued",
    "braces": "{{ m.name }}{% raw %}",
    "spaces": "   ",
    "control": "\x01\x1b[31m",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_names(case: str, tmp_path: Path) -> None:
    """Names reach C only as identifiers and harmless comments: the project compiles without a warning, alone."""
    text = HOSTILE[case]
    net = Net()
    a, b = net.input((1, 3, 6, 6), name=text), net.input((1, 4, 4, 4), name=text + "2")
    conv = net.conv(a, (4, 3, 3, 3))
    net.output(net.op("Add", conv, b, scale=max(conv.scale, b.scale) * 1.5), text + "3")
    model = net.model()
    for index, node in enumerate(model.graph.node):
        node.name = f"{text}{index or ''}"
    out = tmp_path / "inside" / "out"
    out.parent.mkdir()
    result = run("build", save(model, tmp_path), "-o", out, "--name", text if case == "long" else "m")
    assert result.exit_code == 0, result.stderr
    assert_nothing_written(tmp_path, "small.onnx", "inside")
    assert_nothing_written(tmp_path / "inside", "out")
    compile_project(out, [GCC, "-std=c99"])


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_project_names(case: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("build", save(plain().model(), tmp_path), "-o", out, "--name", HOSTILE[case])
    assert result.exit_code == 0, result.stderr
    assert_nothing_written(tmp_path, "small.onnx", "out")
    assert all(path.parent == out for path in out.glob("*.[ch]"))
    compile_project(out, [GCC, "-std=c99"])


@pytest.mark.parametrize("name", ["string", "stdint", "main", "vectors", "board", "test", "mcugen_port"])
def test_projects_do_not_take_names_that_others_have(name: str, tmp_path: Path) -> None:
    """Headers of the C library, the project's own files, and targets of CMake."""
    assert run("build", save(plain().model(), tmp_path), "-o", tmp_path / "out", "--name", name).exit_code == 0
    assert (tmp_path / "out" / f"model_{name}.h").is_file()
    compile_project(tmp_path / "out", [GCC, "-std=c99"])


def test_a_model_file_of_a_hostile_name(tmp_path: Path) -> None:
    path = tmp_path / "auto register; (2).onnx"
    onnx.save(plain().model(), path)
    assert run("build", path, "-o", tmp_path / "out").exit_code == 0
    compile_project(tmp_path / "out", [GCC, "-std=c99"])


# They are about the model or an option as a whole: no node is to blame.
_OF_NO_NODE = (
    "the model uses no ONNX operators",
    "with its functions in place, the model has ",
    "the function ",
    "opset ",
    "the model's shapes do not fit together",  # ONNX's own words behind it name the node
    "ONNX Runtime does not run the model",
    "--shape names an input",
    "--feed rows takes a model with one input",
)


def _made_errors() -> dict[str, ast.Call]:
    """Where UserError is called in what reads, transforms and lowers a model."""
    package, found = Path(mcugen.__file__).parent, {}
    folders = ("frontend", "passes", "ops", "requant")
    files = [path for folder in folders for path in sorted((package / folder).glob("*.py"))]
    for path in (*files, package / "oracle.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "UserError":
                found[f"{path.relative_to(package)}:{node.lineno}"] = node
    return found


def test_every_refusal_is_given_a_node_and_a_next_step() -> None:
    """`requant` knows no nodes: who calls it adds them."""
    found = _made_errors()
    assert len(found) > 100
    for place, call in found.items():
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        said = ast.unparse(call.args[0])
        assert "hint" in given, (place, said)
        whole = place.startswith("requant") or any(start in said for start in _OF_NO_NODE)
        assert whole or "origin" in given, (place, said)
        for value in (given["hint"], given.get("origin")):
            assert not (isinstance(value, ast.Constant) and not value.value), (place, said)


def test_every_limit_says_what_it_is_and_what_to_do() -> None:
    """Of each operator: its docstring is the message, the limit in one sentence and the next step behind it."""
    for definition in OPS.values():
        for limit in definition.limits:
            rule, _, hint = " ".join((limit.__doc__ or "").split()).partition(". ")
            assert rule and hint.endswith("."), (definition.name, limit.__name__)
