"""com.microsoft.MatMulNBits: DequantizeLinear in blocks, then MatMul."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from ..errors import UserError
from .expansion import Expansion

_LARGEST = 2**24  # of K and N: a file that says more holds no such tensor


def matmul_nbits(e: Expansion) -> None:
    depth, outputs, block = (e.attribute(name, 0) for name in ("K", "N", "block_size"))
    if e.attribute("bits", 4) != 4:
        bits = e.attribute("bits", 4)
        raise UserError(f"MatMulNBits with {bits} bits is not supported", origin=e.where, hint="Use 4 bits.")
    level = e.attribute("accuracy_level", 0)
    if level not in (0, 1):
        raise UserError(
            f"MatMulNBits with accuracy_level {level} is not supported (ONNX Runtime then rounds its input)",
            origin=e.where,
            hint="Quantize with accuracy_level 0 or 1: float32.",
        )
    if e.input(4):
        raise UserError("MatMulNBits with g_idx is not supported", origin=e.where, hint="Quantize without act_order.")
    if min(depth, outputs) < 1 or max(depth, outputs) >= _LARGEST or block < 16 or block & (block - 1):
        raise UserError(
            f"MatMulNBits has K {depth}, N {outputs}, block_size {block}",
            origin=e.where,
            hint="Blocks have 16, 32, 64, ... values.",
        )
    blocks = -(-depth // block)
    packed = _values(e, 1, "uint8", outputs * blocks * block // 2, "the weights")
    scales = _values(e, 2, "float32", outputs * blocks, "the scales").reshape(outputs, blocks)
    weights = _nibbles(packed, outputs, blocks * block)[:, :depth]
    zeros = np.full((outputs, blocks), 8, np.uint8)
    if e.input(3):
        zeros = _nibbles(_values(e, 3, "uint8", outputs * -(-blocks // 2), "the zero points"), outputs, blocks)
    inputs = [
        e.initializer("weights", weights.T.astype(ml_dtypes.uint4)),
        e.initializer("scales", np.ascontiguousarray(scales.T)),
        e.initializer("zero_points", zeros.T.astype(ml_dtypes.uint4)),
    ]
    y = e.add("MatMul", [e.input(0), e.add("DequantizeLinear", inputs, axis=0, block_size=block)])
    if e.input(5):
        y = e.add("Add", [y, e.input(5)])
    e.finish(y)


def _values(e: Expansion, slot: int, dtype: str, count: int, what: str) -> np.ndarray:
    array = e.constant(slot, f"{what} of MatMulNBits")
    if array.dtype != dtype or array.size != count:
        raise UserError(
            f"{what} of MatMulNBits: {array.size} values of type {array.dtype}, not {count} of type {dtype}",
            origin=e.where,
            hint="Quantize the model again with onnxruntime.quantization.",
        )
    return array.reshape(-1)


def _nibbles(packed: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """uint8[rows, columns]: two values a byte, the first in the low half; each row begins a new byte."""
    pairs = packed.reshape(rows, -1)
    return np.stack([pairs & 15, pairs >> 4], axis=-1).reshape(rows, -1)[:, :columns]
