from __future__ import annotations

import pytest
from pass_text import graph_of, ops, shows

from mcugen.passes.fuse_activation import fuse_activation


def test_relu_and_clip_meet_in_one_clamp() -> None:
    graph = fuse_activation(
        graph_of("""
        g (float[1,4] a, float[1,4] b) => (float[1,4] y) <float low = {-1.0}, float high = {6.0}> {
            sum = Add(a, b)
            positive = Relu(sum)
            y = Clip(positive, low, high)
        }""")
    )
    shows(
        graph,
        """
        graph g
          input %a: float32[1,4]
          input %b: float32[1,4]
          %y: float32[1,4] = Add(%a, %b) clamp=[0,6]
          output %y: float32[1,4]
        """,
    )


@pytest.mark.parametrize(
    "outputs, tail",
    [("float[1,4] y, float[1,4] sum", ""), ("float[1,4] y, float[1,4] z", "z = Neg(sum)")],
    ids=["an output", "read twice"],
)
def test_a_value_that_others_see_is_not_clamped(outputs: str, tail: str) -> None:
    graph = fuse_activation(
        graph_of(f"""
        g (float[1,4] a, float[1,4] b) => ({outputs}) {{
            sum = Add(a, b)
            y = Relu(sum)
            {tail}
        }}""")
    )
    assert "Relu" in ops(graph)
    assert "clamp" not in graph.nodes[0].attrs


def test_a_clip_with_crossed_bounds_stays() -> None:
    """ONNX lets the upper bound win; no clamp says that."""
    graph = fuse_activation(
        graph_of("""
        g (float[1,4] a) => (float[1,4] y) <float low = {5.0}, float high = {2.0}> {
            sum = Add(a, a)
            y = Clip(sum, low, high)
        }""")
    )
    assert ops(graph) == ["Add", "Clip"]
