"""Every operator, one explicit line each. `mcugen ops` and the README's table print this list."""

from __future__ import annotations

import onnx

from .along_axis import FLOAT_CUM_SUM, TOP_K
from .base import OpDef
from .boundary import DEQUANTIZE, QUANTIZE
from .cast import CAST
from .conv import CONV
from .conv_transpose import CONV_TRANSPOSE, FLOAT_CONV_TRANSPOSE
from .dynamic_layer import DYNAMIC_CONV, DYNAMIC_FULLY_CONNECTED
from .dynamic_quantize import DYNAMIC_QUANTIZE
from .elementwise import ADD, MUL
from .elementwise_16 import ADD_16, DIV_16, MAX_16, MIN_16, MUL_16, SUB_16
from .float_batch_norm import FLOAT_BATCH_NORM
from .float_clip import FLOAT_CLIP
from .float_compare import FLOAT_COMPARE
from .float_conv import FLOAT_CONV, FLOAT_FULLY_CONNECTED
from .float_elementwise import FLOAT_BINARY
from .float_lp_normalize import FLOAT_LP_NORMALIZE
from .float_matmul import FLOAT_MATMUL
from .float_matmul_4 import FLOAT_MATMUL_4
from .float_normalize import FLOAT_NORMALIZE
from .float_pool import FLOAT_AVERAGE_POOL, FLOAT_GLOBAL_AVERAGE_POOL, FLOAT_MAX_POOL
from .float_reduce import FLOAT_REDUCE
from .float_rnn import DYNAMIC_LSTM, FLOAT_RNN
from .float_softmax import FLOAT_SOFTMAX
from .float_unary import FLOAT_UNARY
from .fully_connected import FULLY_CONNECTED
from .gather import GATHER, SCATTER
from .integer import INTEGER_ARITHMETIC, INTEGER_COMPARE, INTEGER_REDUCE
from .integer_sums import INTEGER_CONV, INTEGER_MATMUL
from .layer_16 import CONV_16, CONV_TRANSPOSE_16, FULLY_CONNECTED_16
from .layout import CONCAT, COPY_OF, FEED_ROWS, PAD, RESHAPE, TRANSPOSE
from .matmul import MATMUL
from .matmul_16 import MATMUL_16
from .pool import AVERAGE_POOL, GLOBAL_AVERAGE_POOL, MAX_POOL
from .pool_16 import AVERAGE_POOL_16, GLOBAL_AVERAGE_POOL_16
from .real import DIV, MAX, MIN, SUB
from .reduce import (
    ARG_MAX,
    ARG_MIN,
    REDUCE_MAX,
    REDUCE_MEAN,
    REDUCE_MEAN_16,
    REDUCE_MIN,
    REDUCE_SUM,
    REDUCE_SUM_16,
)
from .resize import FLOAT_RESIZE, RESIZE
from .softmax import SOFTMAX, SOFTMAX_16
from .take import TAKE
from .unary import CHANNEL_LUT, LUT
from .where import FLOAT_WHERE, WHERE

OPS: dict[str, OpDef] = {
    op.name: op
    for op in (
        CONV,
        CONV_TRANSPOSE,
        FULLY_CONNECTED,
        MATMUL,
        ADD,
        MUL,
        SUB,
        DIV,
        MIN,
        MAX,
        MAX_POOL,
        AVERAGE_POOL,
        GLOBAL_AVERAGE_POOL,
        REDUCE_MAX,
        REDUCE_MIN,
        REDUCE_MEAN,
        REDUCE_SUM,
        ARG_MAX,
        ARG_MIN,
        SOFTMAX,
        LUT,
        CHANNEL_LUT,
        CONCAT,
        PAD,
        TAKE,
        GATHER,
        SCATTER,
        RESIZE,
        WHERE,
        TRANSPOSE,
        RESHAPE,
        COPY_OF,
        FEED_ROWS,
        QUANTIZE,
        DEQUANTIZE,
        CONV_16,
        CONV_TRANSPOSE_16,
        FULLY_CONNECTED_16,
        MATMUL_16,
        ADD_16,
        SUB_16,
        MUL_16,
        DIV_16,
        MIN_16,
        MAX_16,
        AVERAGE_POOL_16,
        GLOBAL_AVERAGE_POOL_16,
        REDUCE_MEAN_16,
        REDUCE_SUM_16,
        SOFTMAX_16,
        DYNAMIC_QUANTIZE,
        DYNAMIC_CONV,
        DYNAMIC_FULLY_CONNECTED,
        FLOAT_BINARY,
        FLOAT_COMPARE,
        FLOAT_WHERE,
        CAST,
        FLOAT_CLIP,
        FLOAT_CONV,
        FLOAT_CONV_TRANSPOSE,
        FLOAT_FULLY_CONNECTED,
        FLOAT_MAX_POOL,
        FLOAT_AVERAGE_POOL,
        FLOAT_GLOBAL_AVERAGE_POOL,
        FLOAT_SOFTMAX,
        FLOAT_UNARY,
        FLOAT_MATMUL,
        FLOAT_MATMUL_4,
        FLOAT_NORMALIZE,
        FLOAT_LP_NORMALIZE,
        FLOAT_BATCH_NORM,
        FLOAT_REDUCE,
        TOP_K,
        FLOAT_CUM_SUM,
        FLOAT_RESIZE,
        FLOAT_RNN,
        DYNAMIC_LSTM,
        INTEGER_ARITHMETIC,
        INTEGER_COMPARE,
        INTEGER_REDUCE,
        INTEGER_CONV,
        INTEGER_MATMUL,
    )
}

# ONNX operator -> the OpDef that recognises it between DequantizeLinear and QuantizeLinear; by the activations' width.
RECOGNISED: dict[str, OpDef] = {name: op for op in OPS.values() if op.recognise and 8 in op.bits for name in op.onnx}
RECOGNISED_16: dict[str, OpDef] = {
    name: op for op in OPS.values() if op.recognise and 16 in op.bits for name in op.onnx
}

# ONNX operator -> the OpDef that takes it on float32 tensors; and the one on int32 and int64 tensors.
FLOATS: dict[str, OpDef] = {
    name: op for op in OPS.values() if op.from_float and "float32" in op.takes for name in op.onnx
}
INTEGERS: dict[str, OpDef] = {
    name: op for op in OPS.values() if op.from_float and "int64" in op.takes for name in op.onnx
}

# domain.Operator -> its meaning as an ONNX function, for operators that a plugin brought.
FUNCTIONS: dict[str, onnx.FunctionProto] = {}


def register(operator: OpDef) -> None:
    """Make an operator known that is not in the list above."""
    OPS[operator.name] = operator
    for name in operator.onnx:
        if operator.recognise:
            RECOGNISED[name] = operator
        if operator.from_float:
            FLOATS[name] = operator
