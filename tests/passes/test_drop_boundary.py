from __future__ import annotations

from pass_text import around, graph_of, shows

from mcugen import pipeline

MODEL = """
g (float[1,4] x) => (float[1,4] y{more}) <float s = {{0.5}}, uint8 z = {{100}}> {{
    q = QuantizeLinear(x, s, z)
    real = DequantizeLinear(q, s, z)
    negative = Neg(real)
    n = QuantizeLinear(negative, s, z)
    y = DequantizeLinear(n, s, z)
    {tail}
}}"""


def test_the_firmware_reads_and_writes_integers() -> None:
    before, after = around(MODEL.format(more="", tail=""), "drop_boundary")
    assert [node.op for node in before.nodes] == ["quantize", "lut", "dequantize"]
    shows(
        after,
        """
        graph g
          input %x: int8[1,4] scale 0.5 zp -28
          %y: int8[1,4] scale 0.5 zp -28 = lut(%x, const int8[256])
          output %y: int8[1,4] scale 0.5 zp -28
        """,
    )


def test_a_second_name_of_an_output_is_a_view() -> None:
    _, after = around(MODEL.format(more=", float[1,4] w", tail="w = DequantizeLinear(n, s, z)"), "drop_boundary")
    assert [node.op for node in after.nodes] == ["lut", "reshape"]
    assert set(after.outputs) == {"y", "w"}


def test_an_output_that_a_float_operator_reads_too_is_dequantized_for_it() -> None:
    _, after = around(MODEL.format(more=", bool[1,4] w", tail="w = Greater(y, s)"), "drop_boundary")
    assert [node.op for node in after.nodes] == ["lut", "dequantize", "float_compare"]
    assert [after.type(name).dtype for name in after.outputs] == ["int8", "bool"]


def test_it_does_not_run_with_float_edges() -> None:
    seen: list[str] = []
    graph = pipeline.run_passes(graph_of(MODEL.format(more="", tail="")), "float", lambda name, _: seen.append(name))
    assert "drop_boundary" not in seen
    assert [node.op for node in graph.nodes] == ["quantize", "lut", "dequantize"]
