from __future__ import annotations

import numpy as np
import pytest
from pass_text import graph_of, ops, shows

from mcugen.passes.fold_batchnorm import fold_batchnorm

MODEL = """
g (float[1,1,2,2] x) => (float[1,2,2,2] y{more})
<int8[2,1,1,1] w = {{64, -128}}, float[2] s = {{0.5, 0.25}}, int8[2] z = {{0, 0}},
 float[2] gamma = {{2.0, -1.0}}, float[2] beta = {{0.0, 1.0}},
 float[2] mean = {{3.0, 5.0}}, float[2] variance = {{1.0, 4.0}}> {{
    weights = DequantizeLinear<axis = 0>(w, s, z)
    real = Conv(x, weights)
    y = BatchNormalization<epsilon = 0.0>(real, gamma, beta, mean, variance)
}}"""


def test_the_factor_goes_into_the_scale_and_its_sign_into_the_weights() -> None:
    graph = fold_batchnorm(graph_of(MODEL.format(more="")))
    shows(
        graph,
        """
        graph g
          input %x: float32[1,1,2,2]
          %weights/folded_real: float32[2,1,1,1] = \
            DequantizeLinear(const int8[2,1,1,1], const float32[2], const int8[2]) axis=0
          %y: float32[1,2,2,2] = Conv(%x, %weights/folded_real, const float32[2])
          output %y: float32[1,2,2,2]
        """,
    )
    dequantize, conv = graph.nodes
    weights, scale, _ = (graph.data(name) for name in dequantize.inputs)
    assert weights.ravel().tolist() == [64, 127]  # 128 is no int8
    assert scale.tolist() == [1.0, 0.125]
    assert graph.data(conv.inputs[2]).tolist() == [-6.0, 3.5]  # beta - mean * gamma / sqrt(variance)
    assert len(conv.origin) == 2


def test_float_weights_take_the_factor() -> None:
    graph = fold_batchnorm(
        graph_of("""
        g (float[1,1,2,2] x) => (float[1,2,2,2] y)
        <float[2,1,1,1] w = {1.0, 2.0}, float[2] b = {1.0, 1.0},
         float[2] gamma = {2.0, 3.0}, float[2] beta = {0.0, 1.0},
         float[2] mean = {0.0, 0.0}, float[2] variance = {1.0, 1.0}> {
            real = Conv(x, w, b)
            y = BatchNormalization<epsilon = 0.0>(real, gamma, beta, mean, variance)
        }""")
    )
    assert ops(graph) == ["Conv"]
    _, weights, bias = (graph.data(name) for name in graph.nodes[0].inputs)
    np.testing.assert_array_equal(weights.ravel(), [2, 6])
    np.testing.assert_array_equal(bias, [2, 4])


@pytest.mark.parametrize("more", [", float[1,2,2,2] real"], ids=["read elsewhere"])
def test_a_convolution_that_others_read_stays(more: str) -> None:
    graph = fold_batchnorm(graph_of(MODEL.format(more=more)))
    assert ops(graph) == ["DequantizeLinear", "Conv", "BatchNormalization"]
