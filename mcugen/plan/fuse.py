"""A layer and the Add behind it as one call that adds to the other operand where that stands.

The layer's own output never exists in the arena, so its input, its output and the other operand need no room at once.
The bytes are those of the two calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..step import Step
from .bands import Banded
from .lifetimes import finder

Merge = Callable[[Step, Step], Step | None]
"""(layer, the Add of its output and another operand) -> one step with `adds_to`, if a kernel can."""


def fuse(banded: Banded, merge: Merge) -> Banded:
    """Every layer and Add that are neighbours, outside of bands, are merged if they may be.

    They may if the other operand is a whole tensor that dies in the Add and that the layer does not read.
    """
    graph, steps = banded.graph, banded.steps
    find = finder(graph, banded.places)
    last = {find(name)[0]: index for index, step in enumerate(steps) for name in step.inputs}
    kept = {find(name)[0] for name in (*graph.inputs, *graph.outputs)}

    def dies(name: str, index: int) -> bool:
        root = find(name)[0]
        return root not in kept and last[root] == index and graph.data(root) is None

    def merged(layer: Step, index: int) -> Step | None:
        add, output = steps[index], layer.outputs[0]
        others = [name for name in add.inputs if name != output]
        if len(add.inputs) != 2 or len(others) != 1 or layer.rows is not None or add.rows is not None:
            return None
        root = find(others[0])[0]
        whole = root in graph.values and graph.type(root).bytes == graph.type(output).bytes
        read = root in (find(name)[0] for name in layer.inputs)
        may = whole and not read and dies(others[0], index) and dies(output, index)
        return merge(layer, add) if may else None

    found: list[Step] = []
    origin: list[int] = []
    for index, step in enumerate(steps):
        one = merged(found[-1], index) if found else None
        if one is not None:
            found.pop()
            origin.pop()
        found.append(one or step)
        origin.append(banded.origin[index])
    return replace(banded, steps=tuple(found), origin=tuple(origin))
