"""Operators that pick, repeat or shuffle elements: exact copies, with one kernel for all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checking import exact, transposes
from small_models import DTYPES, Net, Tensor

SHAPE = (1, 8, 6, 6)


def sizes(net: Net, *values: int) -> str:
    return net.shape(*values)


def copy(op: str, *operands: tuple[int, ...], **attributes: Any) -> Callable[[Net, Tensor], Tensor]:
    return lambda net, x: net.copy(op, x, *(sizes(net, *o) for o in operands), **attributes)


def resize(scales: tuple[float, ...], **attributes: Any) -> Callable[[Net, Tensor], Tensor]:
    return lambda net, x: net.copy(
        "Resize", x, "", net.constant(np.array(scales, np.float32)), mode="nearest", **attributes
    )


CASES: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "slice": copy("Slice", (1, 0), (6, 100), (1, 3), (2, 1)),
    "slice backwards": copy("Slice", (-1,), (-100,), (1,), (-2,)),
    "gather": copy("Gather", (2, 0, -1, 5), axis=1),
    "gather one": lambda net, x: net.copy("Gather", x, net.constant(np.int64(3)), axis=2),
    "gather a table": lambda net, x: net.copy("Gather", x, net.constant(np.array([[1, 2], [0, 5]])), axis=3),
    "expand": lambda net, x: net.copy("Expand", copy("Slice", (0,), (1,), (2,))(net, x), sizes(net, 2, 8, 6, 6)),
    "expand by a rank": copy("Expand", (2, 1, 8, 6, 6)),
    "tile": copy("Tile", (1, 2, 1, 3)),
    "depth to space": copy("DepthToSpace", blocksize=2),
    "depth to space crd": copy("DepthToSpace", blocksize=2, mode="CRD"),
    "space to depth": copy("SpaceToDepth", blocksize=3),
    "pad reflect": copy("Pad", (0, 0, 2, 1, 0, 0, 0, 3), mode="reflect"),
    "pad edge": copy("Pad", (0, 0, 2, 1, 0, 1, 0, 3), mode="edge"),
    "resize": resize((1, 1, 2, 2)),
    "resize half pixel": resize((1, 1, 1.5, 0.7), coordinate_transformation_mode="half_pixel"),
    "resize asymmetric": resize((1, 1, 2.3, 3), coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "resize corners": resize((1, 1, 2, 0.5), coordinate_transformation_mode="align_corners", nearest_mode="ceil"),
    "resize to sizes": lambda net, x: net.copy("Resize", x, "", "", sizes(net, 1, 8, 9, 4), mode="nearest"),
    "six axes": lambda net, x: copy("Reshape", (1, -1))(
        net, net.copy("Transpose", copy("Reshape", (2, 4, 2, 3, 2, 3))(net, x), perm=[5, 3, 1, 4, 2, 0])
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_copies(case: str, dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    net.output(net.op("Relu", CASES[case](net, net.input(SHAPE))))
    exact(net.model(), tmp_path, samples=2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_split_in_unequal_parts_with_other_scales(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.input(SHAPE)
    first = net.node("Split", net.real(x), sizes(net, 3, 5), axis=1)
    net.nodes[-1].output.append("rest")
    net.output(net.quantize(first, x.scale, net.zero_of(x)), "y0")
    net.output(net.quantize("rest", 0.07, 1), "y1")
    exact(net.model(), tmp_path, samples=2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_between_convolutions_nothing_is_transposed(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = net.conv(net.input(SHAPE), (8, 8, 1, 1))
    x = copy("Slice", (2,), (7,), (1,))(net, x)
    x = net.conv(resize((1, 1, 2, 2))(net, x), (4, 5, 3, 3))
    net.output(x)
    compiled = exact(net.model(), tmp_path, samples=2)
    assert transposes(compiled) == 2  # of the input and the output


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_channel_shuffle_is_one_transpose(dtype: str, tmp_path: Path) -> None:
    net = Net(dtype)
    x = copy("Reshape", (1, 2, 4, 6, 6))(net, net.conv(net.input(SHAPE), (8, 8, 1, 1)))
    x = copy("Reshape", SHAPE)(net, net.copy("Transpose", x, perm=[0, 2, 1, 3, 4]))
    net.output(net.conv(x, (4, 8, 1, 1)))
    compiled = exact(net.model(), tmp_path, samples=2)
    assert transposes(compiled) == 3  # of the input, the output, and the shuffle
