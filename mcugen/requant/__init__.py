"""Every fixed-point rule: what ONNX Runtime computes, and the integers that make C compute the same.

The formulas are those of ONNX Runtime 1.31.1 on x86-64 with AVX2 and FMA. In the docstrings fl(x) is x
rounded to float32 and rne(x) is x rounded to the nearest integer, halves to even.

Tensors are int8 here. A uint8 tensor of the model arrives shifted down by 128, bytes and zero point alike.
Most operators cannot tell the difference; those that add the zero point before they round (add, mul,
average pool) can, and take `unsigned=True` for such tensors: they then round the model's own numbers.
"""

from .elementwise import (
    AddParams,
    MulParams,
    SubParams,
    add_params,
    mul_params,
    ort_add,
    ort_mul,
    prove_add,
    prove_mul,
    sub_params,
)
from .reductions import (
    AveragePoolParams,
    ReduceParams,
    average_pool_params,
    reduce_params,
    softmax_scale_inverse,
    softmax_table,
)
from .scales import (
    Multiplier,
    accumulator_range,
    conv_scale,
    dequantize,
    exact_precondition,
    fma32,
    gemm_scale,
    global_average_scale,
    ort_requantize,
    quantize,
    requantize_table,
    split,
)
from .stock import StockSolution, solve_layer, stock_requantize
from .wide import (
    WideMultiplier,
    WidePoolParams,
    WideProductParams,
    WideSumParams,
    wide_choice_params,
    wide_multiplier,
    wide_pool_params,
    wide_product_params,
    wide_reduce_params,
    wide_sum_params,
)

__all__ = [
    "AddParams",
    "AveragePoolParams",
    "MulParams",
    "Multiplier",
    "ReduceParams",
    "StockSolution",
    "SubParams",
    "WideMultiplier",
    "WidePoolParams",
    "WideProductParams",
    "WideSumParams",
    "accumulator_range",
    "add_params",
    "average_pool_params",
    "conv_scale",
    "dequantize",
    "exact_precondition",
    "fma32",
    "gemm_scale",
    "global_average_scale",
    "mul_params",
    "ort_add",
    "ort_mul",
    "ort_requantize",
    "prove_add",
    "prove_mul",
    "quantize",
    "reduce_params",
    "requantize_table",
    "softmax_scale_inverse",
    "softmax_table",
    "solve_layer",
    "split",
    "stock_requantize",
    "sub_params",
    "wide_choice_params",
    "wide_multiplier",
    "wide_pool_params",
    "wide_product_params",
    "wide_reduce_params",
    "wide_sum_params",
]
