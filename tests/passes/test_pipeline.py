"""Properties of the list of passes as a whole."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from gallery import NAMES, example

from mcugen import ir, pipeline
from mcugen.frontend import read
from mcugen.ops import OPS


@pytest.mark.parametrize("case", NAMES)
@pytest.mark.parametrize("io", ["int8", "float"])
def test_after_all_passes(case: str, io: str, tmp_path: Path) -> None:
    """Every node is an operator of ours, every activation knows its scale, every node its ONNX origin."""
    onnx.save(example(case), tmp_path / "m.onnx")
    source = read(tmp_path / "m.onnx").graph
    before = ir.format_graph(source)
    graph = pipeline.run_passes(source, io)
    assert ir.format_graph(source) == before  # passes return new graphs
    named = {name for node in source.nodes for name in node.origin}
    for node in graph.nodes:
        assert node.op in OPS
        assert set(node.origin) <= named
        for name in node.outputs:
            assert graph.type(name).dtype == "float32" or graph.type(name).quant is not None


def test_passes_are_listed_with_reasons() -> None:
    assert all(reason for _, reason in pipeline.PASSES)
    assert len(set(pipeline.pass_names())) == len(pipeline.PASSES)
