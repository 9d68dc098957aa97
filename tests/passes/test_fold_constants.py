from __future__ import annotations

import numpy as np
from pass_text import graph_of, ops, shows

from mcugen.passes.fold_constants import fold_constants


def test_shape_computations_become_a_constant() -> None:
    graph = fold_constants(
        graph_of("""
        g (float[2,3,4] x) => (float[2,12] y) <int64[1] zero = {0}, int64[1] rest = {-1}> {
            sizes = Shape(x)
            batch = Gather(sizes, zero)
            target = Concat<axis = 0>(batch, rest)
            y = Reshape(x, target)
        }""")
    )
    shows(
        graph,
        """
        graph g
          input %x: float32[2,3,4]
          %y: float32[2,12] = Reshape(%x, const int64[2])
          output %y: float32[2,12]
        """,
    )
    assert graph.data(graph.nodes[0].inputs[1]).tolist() == [2, -1]


def test_a_slice_of_a_shape() -> None:
    graph = fold_constants(graph_of("g (float[2,3,4] x) => (int64[1] y) { y = Shape<start = 1, end = 2>(x) }"))
    assert ops(graph) == []
    assert graph.data("y").tolist() == [3]


def test_quantized_weights_stay_quantized() -> None:
    graph = fold_constants(
        graph_of("""
        g (float[1,2] x) => (float[1,2] y)
        <int8[2] w = {1, 2}, float s = {0.5}, float two = {2.0}, float three = {3.0}> {
            real = DequantizeLinear(w, s)
            six = Mul(two, three)
            sum = Add(x, real)
            y = Mul(sum, six)
        }""")
    )
    assert ops(graph) == ["DequantizeLinear", "Add", "Mul"]
    assert graph.data("six") == np.float32(6)
