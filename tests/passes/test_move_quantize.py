from __future__ import annotations

import pytest
from pass_text import graph_of, ops, shows

from mcugen.passes.move_quantize import move_quantize

PARAMS = "<float s = {0.5}, float t = {0.25}, uint8 z = {128}"


def test_equal_pairs_vanish_around_a_copy() -> None:
    graph = move_quantize(
        graph_of(f"""
        g (uint8[1,4] x) => (uint8[2,2] y) {PARAMS}, int64[2] shape = {{2, 2}}> {{
            real = DequantizeLinear(x, s, z)
            view = Reshape(real, shape)
            y = QuantizeLinear(view, s, z)
        }}""")
    )
    shows(
        graph,
        """
        graph g
          input %x: uint8[1,4] scale 0.5 zp 128
          %y: uint8[2,2] = Reshape(%x, const int64[2])
          output %y: uint8[2,2]
        """,
    )


def test_what_differs_stays_at_the_source() -> None:
    """Of the two operands of a Concat, only the one with another scale is requantized."""
    graph = move_quantize(
        graph_of(f"""
        g (uint8[1,4] a, uint8[1,4] b) => (uint8[1,8] y) {PARAMS}> {{
            a_real = DequantizeLinear(a, s, z)
            b_real = DequantizeLinear(b, t, z)
            both = Concat<axis = 1>(a_real, b_real)
            y = QuantizeLinear(both, t, z)
        }}""")
    )
    assert ops(graph) == ["DequantizeLinear", "QuantizeLinear", "Concat"]
    assert graph.nodes[-1].inputs[1] == "b"


@pytest.mark.parametrize("value, quantized", [("", 128), (", half", 130)])
def test_a_pad_value_is_quantized(value: str, quantized: int) -> None:
    graph = move_quantize(
        graph_of(f"""
        g (uint8[1,4] x) => (uint8[1,6] y) {PARAMS}, int64[4] pads = {{0, 1, 0, 1}}, float half = {{1.1}}> {{
            real = DequantizeLinear(x, s, z)
            padded = Pad(real, pads{value})
            y = QuantizeLinear(padded, s, z)
        }}""")
    )
    assert ops(graph) == ["Pad"]
    assert graph.data(graph.nodes[0].inputs[2]) == quantized


def test_arithmetic_keeps_its_pairs() -> None:
    text = f"""
        g (uint8[1,4] x) => (uint8[1,4] y) {PARAMS}> {{
            real = DequantizeLinear(x, s, z)
            sum = Add(real, real)
            y = QuantizeLinear(sum, t, z)
        }}"""
    assert ops(move_quantize(graph_of(text))) == ["DequantizeLinear", "Add", "QuantizeLinear"]
