"""Sizes and positions computed from shapes: what exporters write for views, halves and enlargements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from mcugen.errors import UserError
from mcugen.frontend import read
from mcugen.frontend.fold import fold_shapes

# name -> (opset, nodes from float[1,6,4] x to float y, the shape of y)
CASES: dict[str, tuple[int, str, tuple[int, ...]]] = {
    "second_half": (
        13,
        """s = Shape(x) i = Constant<value_int = 1>() n = Gather(s, i) two = Constant<value = int64[1] {2}>()
           half = Div(n, two) axis = Constant<value_ints = [1]>() most = Constant<value_ints = [9223372036854775807]>()
           y = Slice(x, half, most, axis)""",
        (1, 3, 4),
    ),
    "old_unsqueeze": (
        11,
        """s = Shape(x) i = Constant<value = int64 {1}>() n = Gather(s, i) u = Unsqueeze<axes = [0]>(n)
           m = Constant<value = int64[1] {-1}>() shape = Concat<axis = 0>(u, m) y = Reshape(x, shape)""",
        (6, 4),
    ),
    "part_of_a_shape": (
        15,
        """s = Shape<start = -2>(x) one = Constant<value_ints = [1]>() shape = Concat<axis = 0>(s, one)
           y = Reshape(x, shape)""",
        (6, 4, 1),
    ),
    "scaled_in_float": (
        17,
        """s = Shape<start = 1, end = 2>(x) f = Cast<to = 1>(s) k = Constant<value_float = 0.5>() h = Mul(f, k)
           r = Floor(h) n = Cast<to = 7>(r) m = Constant<value_ints = [-1]>() shape = Concat<axis = 0>(n, m)
           y = Reshape(x, shape)""",
        (3, 8),
    ),
    "shape_behind_a_folded_shape": (
        17,
        """s = Shape<start = 1>(x) z = Relu(x) v = Reshape(z, s) t = Shape(v) m = Constant<value_ints = [1]>()
           shape = Concat<axis = 0>(m, t, m) y = Reshape(v, shape)""",
        (1, 6, 4, 1),
    ),
    "zeros": (
        13,
        """s = Shape(x) z = ConstantOfShape(s) y = Add(x, z)""",
        (1, 6, 4),
    ),
}


def parsed(opset: int, nodes: str, rank: int = 3) -> onnx.ModelProto:
    output = ",".join("abcd"[:rank])
    text = f'<ir_version: 8, opset_import: ["": {opset}]> g (float[1,6,4] x) => (float[{output}] y) {{ {nodes} }}'
    return onnx.parser.parse_model(text)


@pytest.mark.parametrize("case", CASES)
def test_result_has_its_shape(case: str, tmp_path: Path) -> None:
    opset, nodes, shape = CASES[case]
    onnx.save(parsed(opset, nodes, len(shape)), tmp_path / "m.onnx")
    graph = read(tmp_path / "m.onnx").graph
    assert graph.type("y").shape == shape
    assert "Shape" not in {node.op for node in graph.nodes}


@pytest.mark.parametrize("case", CASES)
def test_nothing_unread_stays(case: str) -> None:
    opset, nodes, _ = CASES[case]
    graph = fold_shapes(parsed(opset, nodes)).graph
    read_names = {name for node in graph.node for name in node.input} | {"y"}
    assert {i.name for i in graph.initializer} <= read_names
    assert {name for node in graph.node for name in node.output} <= read_names


def test_large_results_stay_nodes() -> None:
    nodes = """n = Constant<value_ints = [1, 600, 4]>() z = ConstantOfShape(n) y = Concat<axis = 1>(x, z)"""
    assert [node.op_type for node in fold_shapes(parsed(13, nodes)).graph.node] == [
        "Constant",
        "ConstantOfShape",
        "Concat",
    ]


def test_values_are_onnx_runtimes() -> None:
    """Integer division truncates; a position may count from the end."""
    nodes = """a = Constant<value_ints = [-7, 7]>() b = Constant<value_ints = [2, -2]>() d = Div(a, b)
               i = Constant<value_ints = [-1]>() e = Gather(d, i) c = Concat<axis = 0>(d, e) y = Reshape(x, c)"""
    model = parsed(13, nodes)
    model.graph.node[-1].op_type = "Tile"
    (found,) = (i for i in fold_shapes(model).graph.initializer if i.name == "c")
    assert np.array_equal(onnx.numpy_helper.to_array(found), [-3, -3, -3])


def test_a_position_outside_is_refused(tmp_path: Path) -> None:
    model = parsed(13, "s = Shape(x) i = Constant<value_ints = [5]>() n = Gather(s, i) y = Reshape(x, n)")
    model.graph.node[2].name = "pick"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(UserError, match="Gather of constants cannot be computed") as caught:
        read(tmp_path / "m.onnx")
    assert caught.value.origin == "pick"
