"""Every operator, one explicit line each. `mcugen ops` and the README's table print this list."""

from __future__ import annotations

from .base import OpDef
from .boundary import DEQUANTIZE, QUANTIZE
from .conv import CONV
from .elementwise import ADD, MUL
from .fully_connected import FULLY_CONNECTED
from .layout import CONCAT, PAD, RESHAPE, TRANSPOSE
from .pool import AVERAGE_POOL, GLOBAL_AVERAGE_POOL, MAX_POOL
from .softmax import SOFTMAX
from .unary import CHANNEL_LUT, LUT

OPS: dict[str, OpDef] = {
    op.name: op
    for op in (
        CONV,
        FULLY_CONNECTED,
        ADD,
        MUL,
        MAX_POOL,
        AVERAGE_POOL,
        GLOBAL_AVERAGE_POOL,
        SOFTMAX,
        LUT,
        CHANNEL_LUT,
        CONCAT,
        PAD,
        TRANSPOSE,
        RESHAPE,
        QUANTIZE,
        DEQUANTIZE,
    )
}

# ONNX operator -> the OpDef that recognises it between DequantizeLinear and QuantizeLinear.
RECOGNISED: dict[str, OpDef] = {name: op for op in OPS.values() if op.recognise for name in op.onnx}
