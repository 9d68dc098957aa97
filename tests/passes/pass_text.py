"""Graphs as text, in and out: a model in ONNX's own text form, the IR as `ir.format_graph` prints it."""

from __future__ import annotations

import onnx.parser

from mcugen import ir, pipeline
from mcugen.frontend.forms import modern_forms
from mcugen.frontend.parse import parse
from mcugen.frontend.qoperator import to_qdq

HEADER = '<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]>'


def graph_of(text: str) -> ir.Graph:
    """The IR of a model in ONNX's text form (without its header), before any pass."""
    model = onnx.parser.parse_model(HEADER + text)
    return parse(modern_forms(to_qdq(model)), name="g")


def around(text: str, name: str, io: str = "int8") -> tuple[ir.Graph, ir.Graph]:
    """The graphs before and behind the pass `name`, in the pipeline's own order."""
    start = graph_of(text)
    seen = {"": start}

    def note(step: str, graph: ir.Graph) -> None:
        seen[step] = graph

    pipeline.run_passes(start, io, note)
    steps = list(seen)
    return seen[steps[steps.index(name) - 1]], seen[name]


def shows(graph: ir.Graph, expected: str) -> None:
    """The graph's text, line by line, is `expected`; a backslash joins lines, and spaces count as one."""
    assert _lines(ir.format_graph(graph)) == _lines(expected)


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def ops(graph: ir.Graph) -> list[str]:
    return [node.op for node in graph.nodes]
