"""ONNX file -> Graph in the ONNX dialect: load and check, one form for quantization (QDQ), fixed shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from .. import oracle
from ..ir import Graph
from .conditions import take_branches
from .fold import fold_shapes
from .forms import modern_forms
from .fused import to_standard
from .layouts import note_layouts
from .load import NO_FUNCTIONS, load, spelled_out
from .pairs import merge_pairs
from .parse import parse
from .qoperator import to_qdq
from .shapes import fix_shapes

__all__ = ["Source", "read"]


@dataclass(frozen=True)
class Source:
    """A model as it came, and as the compiler reads it."""

    model: onnx.ModelProto  # with every dimension fixed: what ONNX Runtime is given as the reference
    graph: Graph
    sha256: str


def read(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    functions: Mapping[str, onnx.FunctionProto] = NO_FUNCTIONS,
) -> Source:
    """Read, check and parse; raises UserError for anything that cannot be compiled from here on.

    functions: operators of plugins, by domain.Operator, with their meaning.
    """
    loaded, sha256 = load(path, functions)
    model = fix_shapes(loaded, shapes or {})
    with oracle.blaming(model):
        merged = merge_pairs(oracle.name_types(fold_shapes(take_branches(spelled_out(model)))))
        # Again, for shapes behind operators that ONNX infers no shapes for until they are standard ones.
        graph = parse(modern_forms(fold_shapes(to_standard(to_qdq(merged)))), name=path.stem)
    return Source(model, note_layouts(graph, model), sha256)
