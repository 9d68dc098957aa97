from __future__ import annotations

from pass_text import around, ops, shows

MODEL = """
g (uint8[1,4] x) => (uint8[4,1] y)
<float s = {0.5}, uint8 z = {128}, int64[2] square = {2, 2}, int64[2] line = {1, 4}, int64[2] column = {4, 1}> {
    a = Reshape(x, square)
    b = Reshape(a, line)
    real = DequantizeLinear(b, s, z)
    negative = Neg(real)
    n = QuantizeLinear(negative, s, z)
    c = Reshape(n, square)
    y = Reshape(c, column)
}"""


def test_views_of_views_are_one_or_none() -> None:
    before, after = around(MODEL, "alias_views")
    assert ops(before) == ["reshape", "reshape", "lut", "reshape", "reshape"]
    shows(
        after,
        """
        graph g
          input %x: int8[1,4] scale 0.5 zp 0
          %n: int8[1,4] scale 0.5 zp 0 = lut(%x, const int8[256])
          %y: int8[4,1] scale 0.5 zp 0 = reshape(%n)
          output %y: int8[4,1] scale 0.5 zp 0
        """,
    )
