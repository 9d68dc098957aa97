"""Dynamic dimensions: a batch becomes 1, everything else must be said with --shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from small_models import Net

from mcugen.errors import UserError
from mcugen.frontend import read


def written(folder: Path, *shapes: Sequence[Any]) -> Path:
    net = Net()
    for index, shape in enumerate(shapes):
        net.output(net.op("Neg", net.input(shape, name=f"in{index}")), f"out{index}")
    path = folder / "m.onnx"
    onnx.save(net.model(), path)
    return path


def shapes_of(path: Path, shapes: Mapping[str, tuple[int, ...]] | None = None) -> list[tuple[int, ...]]:
    graph = read(path, shapes).graph
    return [graph.type(name).shape for name in graph.inputs]


@pytest.mark.parametrize("batch", ["N", None, "batch_size"])
def test_a_batch_becomes_one(batch: str | None, tmp_path: Path) -> None:
    assert shapes_of(written(tmp_path, (batch, 3, 4))) == [(1, 3, 4)]


def test_shape_fixes_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path, ("N", 3, "H", "W"))
    assert shapes_of(path, {"in0": (2, 3, 5, 6)}) == [(2, 3, 5, 6)]


def test_a_symbol_means_the_same_everywhere(tmp_path: Path) -> None:
    path = written(tmp_path, ("N", "T"), ("N", "T"))
    assert shapes_of(path, {"in0": (1, 7)}) == [(1, 7), (1, 7)]


def test_another_dynamic_axis_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="axis 2 is dynamic") as caught:
        read(written(tmp_path, ("N", 3, "H", 8)))
    assert caught.value.origin == "in0"
    assert "--shape in0=1,3,H,8" in caught.value.hint


WRONG: dict[str, tuple[dict[str, tuple[int, ...]], str]] = {
    "unknown_input": ({"nothing": (1, 3, 4, 8)}, "names an input 'nothing'"),
    "rank": ({"in0": (1, 3, 4)}, "gives 3 dimensions, the input has 4"),
    "fixed_axis": ({"in0": (1, 4, 4, 8)}, "asks for 4 at axis 1, the model fixes 3"),
    "zero": ({"in0": (1, 3, 0, 8)}, "dimension 0 at axis 2"),
    "negative": ({"in0": (1, 3, -4, 8)}, "dimension -4 at axis 2"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_shapes(case: str, tmp_path: Path) -> None:
    shapes, message = WRONG[case]
    with pytest.raises(UserError, match=message):
        read(written(tmp_path, ("N", 3, "H", 8)), shapes)
