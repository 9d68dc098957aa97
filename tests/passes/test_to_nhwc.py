from __future__ import annotations

import numpy as np
from pass_text import around, shows

PARAMS = "<float s = {0.5}, float t = {0.25}, int8 z = {0}, int8[2,2,1,1] w = {1, 2, 3, 4}"
CONV_LUT_CONV = f"""
g (int8[1,2,4,4] x) => (int8[1,2,4,4] y) {PARAMS}> {{
    real = DequantizeLinear(x, s, z)
    weights = DequantizeLinear(w, s, z)
    first = Conv(real, weights)
    a = QuantizeLinear(first, s, z)
    a_real = DequantizeLinear(a, s, z)
    tanh = Tanh(a_real)
    b = QuantizeLinear(tanh, t, z)
    b_real = DequantizeLinear(b, t, z)
    second = Conv(b_real, weights)
    y = QuantizeLinear(second, s, z)
}}"""


def test_transposes_are_left_at_the_edges_only() -> None:
    _, after = around(CONV_LUT_CONV, "to_nhwc")
    rest = "clamp=[-128,127] dilations=[1,1] group=1 pads=[0,0,0,0] strides=[1,1]"
    shows(
        after,
        f"""
        graph g
          input %x: int8[1,2,4,4] scale 0.5 zp 0
          %x/nhwc: int8[1,4,4,2] scale 0.5 zp 0 = transpose(%x) perm=[0,2,3,1]
          %a/nhwc: int8[1,4,4,2] scale 0.5 zp 0 = conv(%x/nhwc, const int8[2,1,1,2] scale 0.5 zp 0, -) {rest}
          %b/nhwc: int8[1,4,4,2] scale 0.25 zp 0 = lut(%a/nhwc, const int8[256])
          %y/nhwc: int8[1,4,4,2] scale 0.5 zp 0 = conv(%b/nhwc, const int8[2,1,1,2] scale 0.5 zp 0, -) {rest}
          %y: int8[1,2,4,4] scale 0.5 zp 0 = transpose(%y/nhwc) perm=[0,3,1,2]
          output %y: int8[1,2,4,4] scale 0.5 zp 0
        """,
    )


FLATTEN = f"""
g (int8[1,2,2,2] x) => (int8[1,1] y) {PARAMS}, int8[1,8] m = {{0, 1, 2, 3, 4, 5, 6, 7}}> {{
    real = DequantizeLinear(x, s, z)
    weights = DequantizeLinear(w, s, z)
    first = Conv(real, weights)
    a = QuantizeLinear(first, s, z)
    a_real = DequantizeLinear(a, s, z)
    flat = Flatten(a_real)
    matrix = DequantizeLinear(m, s, z)
    product = Gemm<transB = 1>(flat, matrix)
    y = QuantizeLinear(product, s, z)
}}"""


def test_a_flatten_moves_the_permutation_into_the_weights() -> None:
    _, after = around(FLATTEN, "to_nhwc")
    assert [node.op for node in after.nodes] == ["transpose", "conv", "reshape", "fully_connected"]
    np.testing.assert_array_equal(after.data(after.nodes[-1].inputs[1]), [[0, 4, 1, 5, 2, 6, 3, 7]])


def test_transposes_of_a_channels_last_model_cancel() -> None:
    _, after = around(
        f"""
        g (int8[1,4,4,2] x) => (int8[1,4,4,2] y) {PARAMS}> {{
            real = DequantizeLinear(x, s, z)
            weights = DequantizeLinear(w, s, z)
            nchw = Transpose<perm = [0, 3, 1, 2]>(real)
            first = Conv(nchw, weights)
            nhwc = Transpose<perm = [0, 2, 3, 1]>(first)
            y = QuantizeLinear(nhwc, s, z)
        }}""",
        "alias_views",
    )
    assert "transpose" not in [node.op for node in after.nodes]


def test_floats_are_never_transposed() -> None:
    """With float edges the transpose runs on the integers before the dequantize."""
    _, after = around(
        f"""
        g (float[1,2,4,4] x) => (float[1,2,4,4] y) {PARAMS}> {{
            q = QuantizeLinear(x, s, z)
            real = DequantizeLinear(q, s, z)
            weights = DequantizeLinear(w, s, z)
            first = Conv(real, weights)
            n = QuantizeLinear(first, s, z)
            y = DequantizeLinear(n, s, z)
        }}""",
        "to_nhwc",
        io="float",
    )
    assert [node.op for node in after.nodes] == ["quantize", "transpose", "conv", "transpose", "dequantize"]
