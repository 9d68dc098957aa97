"""Resize by interpolation: of 8-bit images as ONNX Runtime computes it in either layout, and of float32 ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from checking import assert_exact, compile_model, exact, kernels, saved_by_ort
from float_layers import near
from onnx import TensorProto, helper
from onnxruntime import GraphOptimizationLevel
from small_models import DTYPES, Net, Tensor

from mcugen import UserError
from mcugen.emit.artefact import Compiled
from mcugen.frontend import read
from mcugen.ir import attrs
from mcugen.ops.resize import interpolated

INTEGERS, FLOATS = "mcugen_resize_s8", "mcugen_resize_by_floats_s8"
MODES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")
SCALES = ((1.7, 2.3), (0.6, 0.45), (1.0, 1.7), (2.0, 2.0), (3.0, 1.0), (0.2, 3.0))


def resize(net: Net, x: Tensor, scales: Sequence[float] = (), sizes: Sequence[int] = (), **attributes: Any) -> Tensor:
    """On the 8-bit tensor itself: no DequantizeLinear before, no QuantizeLinear behind."""
    amounts = [net.constant(np.float32(scales))] if scales else ["", net.constant(np.array(sizes, np.int64))]
    attributes.setdefault("mode", "linear")
    roi = net.constant(np.float32(attributes.pop("roi"))) if "roi" in attributes else ""
    return Tensor(net.node("Resize", x.name, roi, *amounts, **attributes), x.scale, x.zero_point)


def alone(net: Net, *cases: dict[str, Any], shape: Sequence[int] = (2, 3, 6, 7)) -> onnx.ModelProto:
    """Channels first, as nothing around them says otherwise."""
    x = net.integer_input(shape)
    for case in cases:
        net.integer_output(resize(net, x, **case))
    return net.model()


def between_convolutions(net: Net, *cases: dict[str, Any]) -> onnx.ModelProto:
    """Channels last, which convolutions of 8 bits want."""
    x = net.conv(net.input((1, 4, 6, 7)), (5, 4, 1, 1))
    for number, case in enumerate(cases):
        net.output(net.conv(resize(net, x, **case), (4, 5, 1, 1)), f"y{number}")
    return net.model()


def resizes(compiled: Compiled) -> list[str]:
    return [kernel for kernel in kernels(compiled) if kernel in (INTEGERS, FLOATS)]


def scaled(mode: str, count: int) -> list[dict[str, Any]]:
    return [{"scales": (1, 1, *scales), "coordinate_transformation_mode": mode} for scales in SCALES[:count]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_channels_first(mode: str, dtype: str, tmp_path: Path) -> None:
    compiled = exact(alone(Net(dtype, opset=19), *scaled(mode, 6)), tmp_path)
    assert FLOATS in resizes(compiled)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_channels_last(mode: str, dtype: str, tmp_path: Path) -> None:
    compiled = exact(between_convolutions(Net(dtype, opset=19), *scaled(mode, 4)), tmp_path, samples=4)
    # Where rows keep their number, ONNX Runtime takes them for channels, and computes in floats.
    assert resizes(compiled).count(FLOATS) == 1


def test_to_sizes(tmp_path: Path) -> None:
    cases = [{"sizes": (2, 3, h, w)} for h, w in ((7, 9), (1, 20), (11, 3), (6, 13))]
    exact(alone(Net(), *cases), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_both_layouts_in_one_model(dtype: str, tmp_path: Path) -> None:
    """The same Resize twice, with other bytes."""
    net, case = Net(dtype), {"scales": (1, 1, 1.7, 2.3)}
    x, image = net.integer_input((1, 4, 6, 7)), net.input((1, 4, 6, 7), name="z")
    net.integer_output(resize(net, x, **case))
    net.output(net.conv(resize(net, net.conv(image, (4, 4, 1, 1)), **case), (4, 4, 1, 1)))
    assert sorted(resizes(exact(net.model(), tmp_path))) == [FLOATS, INTEGERS]


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_on_boards(core: str, tmp_path: Path) -> None:
    cases = [{"scales": (1, 1, *scales)} for scales in ((1.7, 2.3), (2.0, 2.0))]
    compiled = compile_model(alone(Net("int8"), *cases), tmp_path, core=core)
    assert sorted(resizes(compiled)) == [FLOATS, INTEGERS]
    assert_exact(compiled, samples=2, on=core)


def test_of_nhwc_images(tmp_path: Path) -> None:
    """As ONNX Runtime saves an optimized model, and as a model may say itself."""
    model = between_convolutions(Net("int8"), {"scales": (1, 1, 1.7, 2.3)}, {"sizes": (1, 5, 9, 8)})
    saved = saved_by_ort(model, GraphOptimizationLevel.ORT_ENABLE_ALL, tmp_path)
    assert any(node.op_type == "QLinearConv" and node.domain for node in saved.graph.node)  # of NHWC images
    assert resizes(exact(saved, tmp_path)) == [INTEGERS, INTEGERS]
    own = exact(alone(Net(), {"scales": (1, 1.7, 2.3, 1)}, {"sizes": (2, 5, 9, 7)}), tmp_path)
    assert resizes(own) == [INTEGERS, INTEGERS] and "mcugen_transpose" not in "".join(kernels(own))


def test_one_axis(tmp_path: Path) -> None:
    compiled = exact(alone(Net(), {"scales": (1, 1, 2)}, {"scales": (1, 1, 0.5)}, shape=(1, 3, 8)), tmp_path)
    assert resizes(compiled) == [INTEGERS, INTEGERS]


def test_rows_and_columns_in_another_order(tmp_path: Path) -> None:
    """A Transpose of the model's own that the optimizer moves through the Resize."""
    net = Net()
    x = net.conv(net.input((1, 3, 6, 6)), (3, 3, 1, 1))
    turned = Tensor(net.node("Transpose", x.name, perm=[0, 1, 3, 2]), x.scale, x.zero_point)
    y = resize(net, turned, (1, 1, 1.7, 1.7))
    back = Tensor(net.node("Transpose", y.name, perm=[0, 1, 3, 2]), x.scale, x.zero_point)
    net.output(net.conv(back, (3, 3, 1, 1)))
    exact(net.model(), tmp_path)


def test_beside_indices(tmp_path: Path) -> None:
    """Inputs that must stay small: the layout is asked for with others."""
    net = Net()
    x = net.integer_input((1, 3, 6, 7))
    net.inputs.append(helper.make_tensor_value_info("index", TensorProto.INT64, [2]))
    taken = Tensor(net.node("Gather", x.name, "index", axis=1), x.scale, x.zero_point)
    net.integer_output(resize(net, taken, (1, 1, 1.7, 2.3)))
    assert resizes(compile_model(net.model(), tmp_path)) == [FLOATS]


def test_an_order_of_axes_that_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(alone(Net(), {"scales": (1, 1, 1.7, 2.3)}), path)
    graph = read(path).graph
    (node,) = graph.nodes
    assert node.attrs["runs_in"] == (0, 1, 2, 3)
    with pytest.raises(UserError, match=r"with the axes in the order \[0, 1, 3, 2\]"):
        interpolated(graph, replace(node, attrs=attrs(**{**node.attrs, "runs_in": (0, 1, 3, 2)})))


def of_floats(*cases: dict[str, Any], shape: Sequence[int] = (2, 3, 6, 7)) -> onnx.ModelProto:
    net = Net(opset=19)
    x = net.float_input(shape)
    for case in cases:
        given = dict(case)
        kinds = (("roi", np.float32), ("scales", np.float32), ("sizes", np.int64))
        amounts = [net.constant(np.array(given.pop(key), kind)) if key in given else "" for key, kind in kinds]
        net._output(net.node("Resize", x, *amounts, **given), TensorProto.FLOAT)
    return net.model()


CUBIC: dict[str, Any] = {"mode": "cubic"}
CROPPED: dict[str, Any] = {
    "coordinate_transformation_mode": "tf_crop_and_resize",
    "roi": (0, 0, 0.4, 0.6, 1, 1, 1.2, 1.7),
    "extrapolation_value": 10.0,
}
ON_AXES: dict[str, Any] = {"axes": [3, 2], "sizes": (5, 4)}
LARGER: dict[str, Any] = {"axes": [2, 3], "sizes": (9, 4), "keep_aspect_ratio_policy": "not_larger"}


@pytest.mark.parametrize("mode", MODES)
def test_cubes_are_exact(mode: str, tmp_path: Path) -> None:
    exact(of_floats(*(case | CUBIC for case in scaled(mode, 4))), tmp_path, samples=4)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_crops_axes_and_policies_are_exact(mode: str, tmp_path: Path) -> None:
    cases = [CROPPED | {"scales": (1, 1, 1.7, 2.3)}, CROPPED | {"sizes": (2, 3, 4, 2)}, ON_AXES, LARGER]
    cases += [CROPPED | ON_AXES | {"roi": (0.1, 0.2, 0.6, 0.9)}, LARGER | {"keep_aspect_ratio_policy": "not_smaller"}]
    exact(of_floats(*(case | {"mode": mode} for case in cases)), tmp_path, samples=4)


FILTERED: tuple[dict[str, Any], ...] = (
    {"mode": "linear", "antialias": 1},
    {"mode": "linear", "antialias": 1, "exclude_outside": 1},
    CUBIC | {"antialias": 1},
    CUBIC | {"antialias": 1, "exclude_outside": 1, "cubic_coeff_a": -0.6},
    CUBIC | {"exclude_outside": 1, "cubic_coeff_a": -0.5},
)


@pytest.mark.parametrize("form", FILTERED, ids=str)
def test_filters_are_near(form: dict[str, Any], tmp_path: Path) -> None:
    cases = [case | form for mode in ("half_pixel", "align_corners") for case in scaled(mode, 3)]
    result = near(compile_model(of_floats(*cases), tmp_path))
    assert 0 < result.max_abs_difference < 1e-5
    near(compile_model(of_floats(CROPPED | {"sizes": (2, 3, 4, 4)} | form), tmp_path))


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
def test_cubes_and_crops_on_boards(core: str, tmp_path: Path) -> None:
    cases = [CUBIC | {"scales": (1, 1, 1.7, 2.3)}, CROPPED | {"scales": (1, 1, 1.7, 2.3), "mode": "linear"}]
    assert_exact(compile_model(of_floats(*cases), tmp_path, core=core), samples=2, on=core)


def test_to_the_size_it_has(tmp_path: Path) -> None:
    """The scales say more, but not enough for another pixel: ONNX Runtime copies."""
    case = {"scales": (1, 1, 1.1, 1.1)}
    assert not resizes(exact(alone(Net(), case), tmp_path))
    exact(of_floats(case | {"mode": "linear"}), tmp_path)


REFUSED: dict[str, tuple[dict[str, Any], Sequence[int], str]] = {
    "one axis": ({"scales": (1, 1, 1.7)}, (1, 3, 8), "weights of few bits .1.7 here."),
    "channels": ({"scales": (1, 2, 2, 1.5)}, (1, 3, 4, 4), "does not run the model|over one or two spatial axes"),
    "cubic": ({"scales": (1, 1, 2, 2), "mode": "cubic"}, (1, 3, 4, 4), "of 8-bit numbers by cubes"),
    "crop": ({"scales": (1, 1, 2, 2)} | CROPPED, (1, 3, 4, 4), "of 8-bit numbers by cubes"),
    "antialias": ({"scales": (1, 1, 2, 2), "antialias": 1}, (1, 3, 4, 4), "of 8-bit numbers by cubes"),
    "infinite": ({"scales": (1, 1, 2, 2), "cubic_coeff_a": np.inf}, (1, 3, 4, 4), "that is no finite number"),
    "volumes": ({"scales": (1, 1, 2, 2, 2)}, (1, 3, 4, 4, 4), "over one or two spatial axes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str, tmp_path: Path) -> None:
    given, shape, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        compile_model(alone(Net(opset=19), given, shape=shape), tmp_path)
