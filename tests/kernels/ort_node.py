"""One-node models run by ONNX Runtime (one thread, default optimization): the oracle of the kernel tests.

The options of the pinned session concern Q/DQ graphs; these nodes are integer operators already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import helper

from mcugen import oracle

DTYPES = (np.int8, np.uint8)


def run_node(
    op: str, inputs: Mapping[str, Any], output: Any, *, domain: str = "com.microsoft", **attributes: Any
) -> Any:
    """The node's output, of dtype `output`. 0-d and 1-d inputs other than x, a and b are constants."""
    feeds = {name: value for name, value in inputs.items() if name in ("x", "a", "b")}
    constants = [
        helper.make_tensor(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape, value.ravel())
        for name, value in inputs.items()
        if name not in feeds
    ]
    node = helper.make_node(op, list(inputs), ["y"], domain=domain, **attributes)
    model = oracle.make_model(
        [node],
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in feeds.items()
        ],
        [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(output)), None)],
        constants,
        opset=17,
    )
    (result,) = oracle.run(oracle.default_session(model), feeds).values()
    return result


def origin(dtype: Any) -> int:
    """What the compiler subtracts from a tensor of this type to make it int8."""
    return 128 if np.dtype(dtype) == np.uint8 else 0


def to_model(values: Any, dtype: Any) -> np.ndarray:
    """int8 values (or a zero point) as the model's own type has them."""
    return (np.asarray(values, np.int64) + origin(dtype)).astype(dtype)


def from_model(values: Any) -> np.ndarray:
    """The model's own numbers as int8."""
    return (values.astype(np.int64) - origin(values.dtype)).astype(np.int8)


def quantization(prefix: str, scale: Any, zero_point: int, dtype: Any) -> dict[str, np.ndarray]:
    """The two constant inputs <prefix>_scale and <prefix>_zero_point; zero_point is the int8 one."""
    return {
        f"{prefix}_scale": np.asarray(scale, np.float32),
        f"{prefix}_zero_point": to_model(zero_point, dtype),
    }
