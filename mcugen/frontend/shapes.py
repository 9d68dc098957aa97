"""Fix every dimension: firmware has no dynamic shapes. A batch left open becomes 1."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from ..errors import UserError


def fix_shapes(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> onnx.ModelProto:
    """A copy whose inputs have only numbers as dimensions; inner and output shapes are left to inference.

    shapes: input name -> dimensions, from --shape.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    constants = {i.name for i in fixed.graph.initializer}
    inputs = {i.name: i for i in fixed.graph.input if i.name not in constants}
    for name in shapes:
        if name not in inputs:
            raise UserError(
                f"--shape names an input {name!r} that the model does not have",
                hint=f"Its inputs are: {', '.join(inputs)}.",
            )
    symbols: dict[str, int] = {}
    for name, value in inputs.items():
        if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
            raise UserError("the input has no shape", origin=name, hint=f"Pass --shape {name}=...")
        dims = value.type.tensor_type.shape.dim
        wanted = shapes.get(name)
        if wanted is not None and len(wanted) != len(dims):
            raise UserError(
                f"--shape gives {len(wanted)} dimensions, the input has {len(dims)}",
                origin=name,
                hint="Give one number for each.",
            )
        for axis, dim in enumerate(dims):
            given = dim.dim_value if dim.HasField("dim_value") else None
            label = dim.dim_param
            if wanted is not None:
                size = wanted[axis]
                if given is not None and given != size:
                    raise UserError(
                        f"--shape asks for {size} at axis {axis}, the model fixes {given}",
                        origin=name,
                        hint=f"Give {given} there, or export the model with a dynamic axis.",
                    )
            elif given is not None:
                size = given
            elif label in symbols:
                size = symbols[label]
            elif axis == 0:
                size = 1
            else:
                raise UserError(
                    f"axis {axis} is dynamic ({label or 'unnamed'})",
                    origin=name,
                    hint=f"Fix it with --shape {name}="
                    + ",".join(str(d.dim_value) if d.HasField("dim_value") else (d.dim_param or "?") for d in dims)
                    + ".",
                )
            if size < 1:
                raise UserError(
                    f"dimension {size} at axis {axis} is not positive",
                    origin=name,
                    hint="Fix it with --shape, or export the model again.",
                )
            if label:
                symbols[label] = size
            dim.dim_value = size
    del fixed.graph.value_info[:]
    for output in fixed.graph.output:
        if output.name in inputs:
            output.type.CopyFrom(inputs[output.name].type)
            continue
        output.type.tensor_type.ClearField("shape")
    return fixed
