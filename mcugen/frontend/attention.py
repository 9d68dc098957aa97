"""com.microsoft's Attention -> the standard nodes it stands for (see fused.py).

ONNX Runtime's optimizer writes it for encoders. Its weights for queries, keys and values stand side by side in one
matrix: they become a layer each.
"""

from __future__ import annotations

import numpy as np

from ..errors import UserError
from .expansion import Expansion


def attention(e: Expansion) -> None:
    """softmax(q k^T * scale + mask) v, by heads. x [B,S,D], w [D,3*H], b [3*H] -> [B,S,H].

    A mask int32[B,S] is above 0 where a key counts; elsewhere mask_filter_value is added, as ONNX Runtime does.
    """
    heads = e.attribute("num_heads", 0)
    w, b = (e.constants.get(e.input(slot)) for slot in (1, 2))
    mask, bias = e.input(3), e.input(5)
    if any(e.attribute(name, 0) for name in ("unidirectional", "do_rotary", "past_present_share_buffer")):
        raise _refused(e, "a causal mask, rotary embeddings or a past of its own")
    if e.input(4) or e.input(6) or any(e.node.output[1:]):
        raise _refused(e, "the keys and values of earlier runs")
    if w is None or w.ndim != 2 or (e.input(2) and (b is None or b.shape != w.shape[1:])):
        raise _refused(e, "weights or a bias computed at run time")
    sizes: list[int] = e.attribute("qkv_hidden_sizes", [w.shape[1] // 3] * 3)
    whole = heads > 0 and all(isinstance(size, int) and size > 0 and size % heads == 0 for size in sizes)
    if not whole or len(sizes) != 3 or sum(sizes) != w.shape[1] or sizes[0] != sizes[1]:
        raise _refused(e, f"{w.shape[1]} columns of weights for {heads} heads")
    if mask and e.rank(mask) != 2:
        raise _refused(e, f"a mask of {e.rank(mask)} dimensions")

    ends = np.cumsum([0, *sizes])
    by_heads = e.initializer("by_heads", np.array([0, 0, heads, -1]))
    made = []
    for first, last, perm in zip(ends, ends[1:], ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=False):
        part = e.add("MatMul", [e.input(0), e.initializer("weights", w[:, first:last])])
        if b is not None:
            part = e.add("Add", [part, e.initializer("bias", b[first:last])])
        made.append(e.add("Transpose", [e.add("Reshape", [part, by_heads])], perm=perm))
    scale = e.attribute("scale", 0.0) or 1 / np.sqrt(sizes[0] // heads)
    scores = e.add("Mul", [e.add("MatMul", made[:2]), e.number(scale)])
    if mask:
        seen = e.add("Greater", [mask, e.initializer("none", np.array(0, np.int32))])
        added = e.add("Where", [seen, e.number(0), e.number(e.attribute("mask_filter_value", -10000.0))])
        scores = e.add("Add", [scores, e.add("Reshape", [added, e.initializer("to_keys", np.array([0, 1, 1, -1]))])])
    if bias:
        scores = e.add("Add", [scores, bias])
    mixed = e.add("Transpose", [e.add("MatMul", [e.add("Softmax", [scores], axis=-1), made[2]])], perm=[0, 2, 1, 3])
    e.finish(e.add("Reshape", [mixed, e.initializer("joined", np.array([0, 0, -1]))]))


def _refused(e: Expansion, what: str) -> UserError:
    return UserError(
        f"Attention with {what} is not supported",
        origin=e.where,
        hint="Export the model without ONNX Runtime's own fusions.",
    )
