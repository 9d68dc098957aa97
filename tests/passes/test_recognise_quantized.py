from __future__ import annotations

import pytest
from pass_text import around, graph_of, ops, shows

from mcugen.errors import UserError
from mcugen.passes.move_quantize import move_quantize
from mcugen.passes.recognise_quantized import recognise_quantized

GEMM = """
g (uint8[1,2] x) => (uint8[1,3] y)
<float s = {{0.5}}, uint8 z = {{128}}, int8[3,2] w = {{1, 2, 3, 4, 5, 6}}, int8 wz = {{0}},
 int32[3] b = {{7, 8, 9}}, float bs = {{{bias_scale}}}, int32 bz = {{0}}> {{
    real = DequantizeLinear(x, s, z)
    weights = DequantizeLinear(w, s, wz)
    bias = DequantizeLinear(b, bs, bz)
    product = Gemm<transB = 1>(real, weights, bias)
    positive = Relu(product)
    y = QuantizeLinear(positive, s, z)
}}"""


def test_dq_gemm_q_is_one_operator() -> None:
    before, after = around(GEMM.format(bias_scale=0.25), "recognise_quantized")
    assert [node.op for node in before.nodes] == ["DequantizeLinear"] * 3 + ["Gemm", "QuantizeLinear"]
    shows(
        after,
        """
        graph g
          input %x: uint8[1,2] scale 0.5 zp 128
          %y: uint8[1,3] scale 0.5 zp 128 = \
            fully_connected(%x, const int8[3,2] scale 0.5 zp 0, const int32[3] scale 0.25 zp 0) \
            clamp=[128,255] integer_form=True
          output %y: uint8[1,3] scale 0.5 zp 128
        """,
    )


@pytest.mark.parametrize("factor", [0.98, 1.02, 16.0])
def test_a_bias_of_another_scale_is_refused(factor: float) -> None:
    with pytest.raises(UserError, match=r"bias is not at input scale \* weight scale"):
        around(GEMM.format(bias_scale=0.25 * factor), "recognise_quantized")


def test_copies_hand_on_what_they_know() -> None:
    """Scale and zero point reach the model's own ports through copies, from either side."""
    _, after = around(
        """
        g (int8[1,4] x) => (int8[1,8] y)
        <float s = {0.5}, int8 z = {3}, int64[2] shape = {2, 2}, int64[2] line = {1, 4}> {
            square = Reshape(x, shape)
            back = Reshape(square, line)
            real = DequantizeLinear(back, s, z)
            twice = Concat<axis = 1>(real, real)
            y = QuantizeLinear(twice, s, z)
        }""",
        "recognise_quantized",
    )
    assert {str(after.type(name)).partition(" ")[2] for name in ("x", "square", "y")} == {"scale 0.5 zp 3"}


def test_a_dequantized_constant_is_quantized_at_compile_time() -> None:
    graph = graph_of("""
        g (uint8[1,4] x) => (uint8[2,4] y)
        <float s = {0.5}, uint8 z = {128}, float t = {0.25}, uint8 u = {100}, uint8[1,4] token = {128, 130, 0, 255}> {
            real = DequantizeLinear(x, t, u)
            constant = DequantizeLinear(token, s, z)
            q = QuantizeLinear(constant, t, u)
            again = DequantizeLinear(q, t, u)
            joined = Concat<axis = 0>(again, real)
            y = QuantizeLinear(joined, t, u)
        }""")
    after = recognise_quantized(move_quantize(graph))
    assert ops(after) == ["concat"]
    assert after.data(after.nodes[0].inputs[0]).tolist() == [[100, 104, 0, 255]]
