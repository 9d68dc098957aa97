from __future__ import annotations

import numpy as np
from pass_text import graph_of, ops, shows

from mcugen.passes.fuse_activation import fuse_activation
from mcugen.passes.unary_chains_to_lut import unary_chains_to_lut

PARAMS = "<float s = {0.5}, uint8 z = {128}, float three = {3.0}, float zero = {0.0}"


def test_an_expression_of_one_tensor_is_a_table() -> None:
    graph = unary_chains_to_lut(
        graph_of(f"""
        g (uint8[1,4] x) => (uint8[1,4] y) {PARAMS}> {{
            real = DequantizeLinear(x, s, z)
            shifted = Add(real, three)
            product = Mul(shifted, real)
            y = QuantizeLinear(product, s, z)
        }}""")
    )
    shows(
        graph,
        """
        graph g
          input %x: uint8[1,4] scale 0.5 zp 128
          %y: uint8[1,4] scale 0.5 zp 128 = lut(%x, const uint8[256])
          output %y: uint8[1,4] scale 0.5 zp 128
        """,
    )
    x = (np.arange(256) - 128) / 2.0
    np.testing.assert_array_equal(graph.data(graph.nodes[0].inputs[1]), np.clip(np.rint((x + 3) * x * 2) + 128, 0, 255))


def test_a_clamp_inside_a_chain_is_part_of_the_table() -> None:
    graph = unary_chains_to_lut(
        fuse_activation(
            graph_of(f"""
            g (uint8[1,4] x) => (uint8[1,4] y) {PARAMS}> {{
                real = DequantizeLinear(x, s, z)
                shifted = Add(real, three)
                clipped = Clip(shifted, zero, three)
                y = QuantizeLinear(clipped, s, z)
            }}""")
        )
    )
    assert ops(graph) == ["lut"]
    x = (np.arange(256) - 128) / 2.0
    np.testing.assert_array_equal(graph.data(graph.nodes[0].inputs[1]), np.clip(x + 3, 0, 3) * 2 + 128)


def test_two_tensors_are_no_table() -> None:
    graph = unary_chains_to_lut(
        graph_of(f"""
        g (uint8[1,4] a, uint8[1,4] b) => (uint8[1,4] y) {PARAMS}> {{
            a_real = DequantizeLinear(a, s, z)
            b_real = DequantizeLinear(b, s, z)
            sum = Add(a_real, b_real)
            y = QuantizeLinear(sum, s, z)
        }}""")
    )
    assert "lut" not in ops(graph)


def test_batch_normalization_is_a_table_a_channel() -> None:
    graph = unary_chains_to_lut(
        graph_of(f"""
        g (uint8[1,2,2] x) => (uint8[1,2,2] y) {PARAMS}, float[2] gamma = {{1.0, 2.0}}, float[2] none = {{0.0, 0.0}},
          float[2] one = {{1.0, 1.0}}> {{
            real = DequantizeLinear(x, s, z)
            scaled = BatchNormalization<epsilon = 0.0>(real, gamma, none, none, one)
            y = QuantizeLinear(scaled, s, z)
        }}""")
    )
    (node,) = graph.nodes
    assert (node.op, node.attrs["axis"]) == ("channel_lut", 1)
    codes = np.arange(256)
    expected = [codes, np.clip(2 * (codes - 128) + 128, 0, 255)]
    np.testing.assert_array_equal(graph.data(node.inputs[1]), expected)


def test_a_quantized_constant_may_be_read_twice() -> None:
    graph = unary_chains_to_lut(
        graph_of("""
        g (uint8[1,4] x) => (uint8[1,4] y) <float s = {0.5}, uint8 z = {128}, uint8 two = {132}> {
            real = DequantizeLinear(x, s, z)
            factor = DequantizeLinear(two, s, z)
            product = Mul(real, factor)
            sum = Add(product, factor)
            y = QuantizeLinear(sum, s, z)
        }""")
    )
    assert ops(graph) == ["lut"]
    x = (np.arange(256) - 128) / 2.0
    np.testing.assert_array_equal(graph.data(graph.nodes[0].inputs[1]), np.clip(np.rint((x * 2 + 2) * 2) + 128, 0, 255))
