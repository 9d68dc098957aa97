from __future__ import annotations

import pytest
from pass_text import graph_of, ops, shows

from mcugen.errors import UserError
from mcugen.passes.gemm_form import gemm_form


def test_matmul_and_add_become_gemm() -> None:
    graph = gemm_form(
        graph_of("""
        g (float[1,2] x) => (float[1,3] y)
        <int8[2,3] w = {1, 2, 3, 4, 5, 6}, float s = {0.5}, int8 z = {0}, float[3] b = {1.0, 2.0, 3.0}> {
            weights = DequantizeLinear(w, s, z)
            product = MatMul(x, weights)
            y = Add(b, product)
        }""")
    )
    shows(
        graph,
        """
        graph g
          input %x: float32[1,2]
          %weights/transposed: float32[3,2] = DequantizeLinear(const int8[3,2], 0.5, 0)
          %y: float32[1,3] = Gemm(%x, %weights/transposed, const float32[3]) transB=1
          output %y: float32[1,3]
        """,
    )
    assert graph.data(graph.nodes[0].inputs[0]).tolist() == [[1, 4], [2, 5], [3, 6]]


def test_the_channel_axis_follows_the_weights() -> None:
    graph = gemm_form(
        graph_of("""
        g (float[1,2] x) => (float[1,3] y)
        <int8[2,3] w = {1, 2, 3, 4, 5, 6}, float[3] s = {0.5, 1.0, 2.0}, int8[3] z = {0, 0, 0}> {
            weights = DequantizeLinear<axis = 1>(w, s, z)
            y = Gemm(x, weights)
        }""")
    )
    dequantize, gemm = graph.nodes
    assert dequantize.attrs["axis"] == 0
    assert gemm.attrs["transB"] == 1


def test_an_add_of_something_else_stays() -> None:
    graph = gemm_form(
        graph_of("""
        g (float[1,2] x, float[1,3] r) => (float[1,3] y) <float[2,3] w = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0}> {
            product = MatMul(x, w)
            y = Add(product, r)
        }""")
    )
    assert ops(graph) == ["Gemm", "Add"]


def test_an_alpha_that_is_no_power_of_two_is_refused() -> None:
    graph = graph_of("""
        g (float[2,2] x) => (float[2,2] y) <int8[2,2] w = {1, 2, 3, 4}, float s = {0.5}, int8 z = {0}> {
            weights = DequantizeLinear(w, s, z)
            y = Gemm<alpha = 3.0>(x, weights)
        }""")
    with pytest.raises(UserError, match="power of two") as caught:
        gemm_form(graph)
    assert caught.value.origin


def test_two_activations_become_a_product() -> None:
    graph = gemm_form(
        graph_of("""
        g (float[2,3] a, float[4,2] b, float[3,1] c) => (float[3,4] y) {
            y = Gemm<alpha = 0.5, transA = 1, transB = 1>(a, b, c)
        }""")
    )
    assert ops(graph) == ["Transpose", "Transpose", "MatMul", "Mul", "Add"]
