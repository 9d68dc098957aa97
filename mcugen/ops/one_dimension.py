"""1-D convolution and pooling [N,C,L] as 2-D ones of height 1: views only."""

from __future__ import annotations

from dataclasses import replace

from ..ir import Node, attrs
from .base import Fitter

_PER_AXIS = ("kernel", "strides", "dilations", "output_padding")


def with_height(fit: Fitter, node: Node) -> bool:
    """True if `node` was 1-D; its window attributes have one entry a dimension until then."""
    x = node.inputs[0]
    shape = fit.type(x).shape
    if len(shape) != 3:
        return False
    inputs = [fit.view(x, (*shape[:2], 1, shape[2])), *node.inputs[1:]]
    if len(inputs) > 1:
        weights = fit.type(inputs[1]).shape
        inputs[1] = fit.view(inputs[1], (*weights[:2], 1, weights[2]))
    changed = dict(node.attrs)
    for name in set(_PER_AXIS) & set(changed):
        neutral = 0 if name == "output_padding" else 1
        changed[name] = (neutral, *changed[name])
    if "pads" in changed:
        before, after = changed["pads"]
        changed["pads"] = (0, before, 0, after)
    batch, channels, length = fit.type(node.output).shape
    output = fit.inner((batch, channels, 1, length))
    fit.add(replace(node, inputs=tuple(inputs), outputs=(output,), attrs=attrs(**changed)))
    fit.finish(output)
    return True
