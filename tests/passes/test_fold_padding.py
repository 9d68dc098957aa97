from __future__ import annotations

import pytest
from pass_text import around, ops, shows

MODEL = """
g (int8[1,4,4,1] x) => (int8[1,1,5,6] y{more})
<float s = {{0.5}}, int8 z = {{3}}, int8 wz = {{0}}, int8[1,1,1,1] w = {{1}},
 int64[8] pads = {{0, 0, 1, 0, 0, 0, 0, 2}}, float value = {{{value}}}> {{
    real = DequantizeLinear(x, s, z)
    nchw = Transpose<perm = [0, 3, 1, 2]>(real)
    padded = Pad(nchw, pads, value)
    q = QuantizeLinear(padded, s, z)
    input = DequantizeLinear(q, s, z)
    weights = DequantizeLinear(w, s, wz)
    real_y = Conv(input, weights)
    y = QuantizeLinear(real_y, s, z)
}}"""


def test_zeros_around_a_convolution_are_its_own() -> None:
    before, after = around(MODEL.format(more="", value=0.0), "fold_padding")
    assert ops(before)[:2] == ["pad", "conv"]
    shows(
        after,
        """
        graph g
          input %x: int8[1,4,4,1] scale 0.5 zp 3
          %y/nhwc: int8[1,5,6,1] scale 0.5 zp 3 = \
            conv(%x, 1, -) clamp=[-128,127] dilations=[1,1] group=1 pads=[1,0,0,2] strides=[1,1]
          %y: int8[1,1,5,6] scale 0.5 zp 3 = reshape(%y/nhwc)
          output %y: int8[1,1,5,6] scale 0.5 zp 3
        """,
    )


@pytest.mark.parametrize("more, value", [("", 1.0), (", int8[1,1,5,6] q", 0.0)], ids=["another value", "an output"])
def test_others_stay(more: str, value: float) -> None:
    _, after = around(MODEL.format(more=more, value=value), "fold_padding")
    assert "pad" in ops(after)
