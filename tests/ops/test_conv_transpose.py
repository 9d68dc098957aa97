"""Transposed convolution: ONNX Runtime computes it in float, the firmware the integer form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checking import compile_model, exact_integer_form, kernels
from small_models import DTYPES, Net

from mcugen import UserError
from mcugen.prove.samples import random_samples
from mcugen.prove.verify import verify

# weights [C, O / groups, KH, KW]
CASES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "stride 2": ((4, 6, 3, 3), {"strides": [2, 2]}),
    "stride 1": ((4, 6, 3, 3), {"pads": [1, 1, 1, 1]}),
    "asymmetric": ((4, 6, 3, 2), {"strides": [2, 3], "pads": [1, 0, 1, 1], "output_padding": [1, 2], "bias": False}),
    "dilated": ((4, 6, 3, 2), {"strides": [4, 3], "dilations": [2, 2], "pads": [1, 0, 2, 1]}),
    "dilation and stride share a factor": ((4, 6, 4, 3), {"strides": [4, 6], "dilations": [6, 4]}),
    "grouped": ((4, 3, 3, 2), {"strides": [1, 2], "group": 2, "axis": None}),
    "depthwise": ((4, 1, 3, 3), {"strides": [2, 2], "group": 4, "axis": None}),
    "same": ((4, 3, 3, 4), {"strides": [2, 2], "auto_pad": "SAME_UPPER", "axis": None}),
    "same lower": ((4, 3, 3, 4), {"strides": [2, 2], "auto_pad": "SAME_LOWER", "axis": None}),
    "given shape": ((4, 3, 3, 4), {"strides": [2, 2], "output_shape": [10, 13], "axis": None}),
    "weights with a zero point": ((4, 3, 3, 4), {"strides": [2, 2], "axis": None, "w_zero": 5}),
    "relu": ((4, 3, 2, 2), {"strides": [2, 2], "then": "Relu", "zero_point": 11}),
}


@pytest.mark.parametrize("dtype", [*DTYPES, "uint16"])
@pytest.mark.parametrize("case", CASES)
def test_cases(case: str, dtype: str, tmp_path: Path) -> None:
    """Equal to the canonical integer graph in every byte, and to ONNX Runtime's float to one step."""
    shape, given = CASES[case]
    if dtype == "uint16" and "w_zero" in given:
        given = given | {"w_zero": 1}  # int8 holds the weights less that
    net = Net(dtype, opset=21 if dtype == "uint16" else 17)
    outputs = shape[1] * given.get("group", 1)
    x = net.input((1, 4, 5, 6))
    net.output(net.layer("ConvTranspose", x, shape, depth=4, outputs=outputs, **{"axis": 1, **given}))
    compiled = exact_integer_form(net.model(), tmp_path)
    assert f"mcugen_conv_transpose_s{16 if dtype == 'uint16' else 8}" in kernels(compiled)
    assert verify(compiled, random_samples(compiled, 8, seed=2)).max_lsb <= 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_dimension(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input((1, 4, 9))
    net.output(net.layer("ConvTranspose", x, (4, 3, 4), depth=4, outputs=3, axis=1, strides=[3], pads=[1, 2]))
    exact_integer_form(net.model(), tmp_path)


@pytest.mark.parametrize(("on", "group"), [("cortex-m3", 1), ("cortex-m4", 1), ("cortex-m4", 2), ("cortex-m55", 2)])
def test_emulated(on: str, group: int, tmp_path: Path) -> None:
    """Blocks of four channels and of what is left of a group; vectors that the inputs of a group do not fill."""
    net = Net()
    x = net.input((1, 22, 5, 6))
    given = {"axis": None, "group": group, "strides": [2, 3], "dilations": [3, 2], "pads": [1, 2, 3, 0]}
    net.output(net.layer("ConvTranspose", x, (22, 6, 3, 4), depth=40, outputs=6 * group, **given))
    compiled = compile_model(net.model(), tmp_path, core=on)
    samples = random_samples(compiled, 4, seed=1)
    emulated, host = verify(compiled, samples, on), verify(compiled, samples)
    np.testing.assert_array_equal(emulated.outputs["y"], host.outputs["y"])


@pytest.mark.parametrize("dtype", [*DTYPES, "uint16"])
def test_groups_share_the_scales_of_axis_1(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype, opset=21 if dtype == "uint16" else 17)
    x = net.input((1, 4, 5, 6))
    net.output(net.layer("ConvTranspose", x, (4, 3, 3, 2), depth=4, outputs=3, axis=1, group=2, bias=False))
    compiled = exact_integer_form(net.model(), tmp_path)
    assert verify(compiled, random_samples(compiled, 8, seed=2)).max_lsb <= 1


def test_scales_of_another_axis_are_refused(tmp_path: Path) -> None:
    net = Net()
    x = net.input((1, 4, 5, 6))
    net.output(net.layer("ConvTranspose", x, (4, 3, 2, 2), depth=4, outputs=6, axis=0, group=2, bias=False))
    with pytest.raises(UserError, match="the weights are quantized along axis 0"):
        compile_model(net.model(), tmp_path)
