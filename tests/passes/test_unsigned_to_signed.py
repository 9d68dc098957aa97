from __future__ import annotations

from pass_text import around, shows

MODEL = """
g (uint8[1,2] x) => (uint8[1,4] y)
<float s = {0.5}, uint8 z = {128}, uint8[2,2] w = {0, 128, 129, 255}, uint8 wz = {130}, int64[4] pads = {0, 0, 0, 2}> {
    real = DequantizeLinear(x, s, z)
    weights = DequantizeLinear(w, s, wz)
    product = Gemm<transB = 1>(real, weights)
    q = QuantizeLinear(product, s, z)
    product_again = DequantizeLinear(q, s, z)
    padded = Pad(product_again, pads)
    y = QuantizeLinear(padded, s, z)
}"""


def test_values_zero_points_and_attributes_move_by_128() -> None:
    before, after = around(MODEL, "unsigned_to_signed")
    shows(
        before,
        """
        graph g
          input %x: uint8[1,2] scale 0.5 zp 128
          %q: uint8[1,2] scale 0.5 zp 128 = fully_connected(%x, const uint8[2,2] scale 0.5 zp 130, -) clamp=[0,255]
          %y: uint8[1,4] scale 0.5 zp 128 = pad(%q) pads=[0,0,0,2] value=128
          output %y: uint8[1,4] scale 0.5 zp 128
        """,
    )
    shows(
        after,
        """
        graph g
          input %x: int8[1,2] scale 0.5 zp 0
          %q: int8[1,2] scale 0.5 zp 0 = fully_connected(%x, const int8[2,2] scale 0.5 zp 2, -) clamp=[-128,127]
          %y: int8[1,4] scale 0.5 zp 0 = pad(%q) pads=[0,0,0,2] value=0
          output %y: int8[1,4] scale 0.5 zp 0
        """,
    )
    assert after.data(after.nodes[0].inputs[1]).ravel().tolist() == [-128, 0, 1, 127]
    assert {value.type.origin for value in after.values.values() if value.type.dtype == "int8"} == {128}
