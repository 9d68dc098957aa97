"""RNN, LSTM and GRU in every form that ONNX Runtime runs, in float32; and DynamicQuantizeLSTM.

That one has 8-bit weights, and quantizes its input and state at run time.

x [steps, batch, inputs] -> Y [steps, directions, batch, hidden], last states Y_h (and Y_c) [directions, batch, hidden].
Gates of functions without bounds (Affine, Elu, Softplus) amplify rounding from step to step: `verify` then may fail.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node
from ..step import FLOAT, Arg, Array, Buffer, Scratch, Step, Struct, Table
from .base import Canonical, FloatUnit, Lowering, OpDef

TOLERANCE = 1e-5
DYNAMIC_TOLERANCE = 1e-2  # a state next to the middle of two codes may take the other one
_DYNAMIC = "com.microsoft.DynamicQuantizeLSTM"
_MAX_DEPTH = 32768  # products of 8-bit values that an int32 surely holds: 2^31 / 255^2
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_ACTIVATIONS = {"LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh"), "RNN": ("tanh",)}
# In the order of the C header's enum; name -> its alpha and beta in ONNX Runtime by default, where it takes them.
_FUNCTIONS: dict[str, tuple[float, ...]] = {
    "sigmoid": (),
    "tanh": (),
    "relu": (),
    "affine": (0.0, 0.0),
    "leakyrelu": (0.01,),
    "thresholdedrelu": (0.0,),
    "scaledtanh": (0.0, 0.0),
    "hardsigmoid": (0.2, 0.5),
    "elu": (1.0,),
    "softsign": (),
    "softplus": (),
}
# What makes a layer another one than the default, as ONNX has it; DynamicQuantizeLSTM is compiled without.
_FORM = ("activations", "activation_alpha", "activation_beta", "clip", "input_forget")


def _from_float(unit: FloatUnit) -> Node:
    node, operator = unit.node, unit.node.op.removeprefix("com.microsoft.DynamicQuantize")
    if node.attrs.get("layout", 0):
        raise UserError(
            f"{operator} with layout = 1 runs nowhere in ONNX Runtime, and so there is nothing to equal",
            origin=node.where,
            hint="Export it with layout = 0, and Transpose around it.",
        )
    dynamic = node.op == _DYNAMIC
    quantization = tuple(range(8, 12)) if dynamic else ()
    for slot in (1, 2, 3, 4, 7, *quantization):
        if unit.name(slot):
            unit.constant(slot)
    directions = _check_shapes(unit, operator, dynamic)
    lengths = unit.name(4) if unit.name(4) and _some_shorter(unit) else ""
    form = {key: node.attrs[key] for key in _FORM if node.attrs.get(key, 0)}
    if form.get("clip", 1.0) <= 0:
        raise UserError(
            f"clip = {form['clip']:g} is not positive", origin=node.where, hint="Leave clip out, or make it positive."
        )
    if _function_names(unit, operator, directions) == _ACTIVATIONS[operator] * directions:
        form = {key: value for key, value in form.items() if not key.startswith("activation")}
    if dynamic and (form or lengths or unit.name(7)):
        raise UserError(
            "DynamicQuantizeLSTM is supported in its default form only (no activations, clip, input_forget, lengths, "
            "peepholes)",
            origin=node.where,
            hint="Keep the layer in float32.",
        )
    states = tuple(unit.name(slot) for slot in ((5, 6) if operator == "LSTM" else (5,)))
    extra = () if dynamic else (lengths, unit.name(7))
    return unit.make(
        "dynamic_lstm" if dynamic else "float_rnn",
        (*(unit.name(slot) for slot in range(4)), *extra, *states, *(unit.name(slot) for slot in quantization)),
        operator=operator,
        direction=node.attrs.get("direction", "forward"),
        hidden=int(unit.constant(2).shape[1 if dynamic else 2]),
        linear=int(node.attrs.get("linear_before_reset", 0)),
        form=form,
    )


def _check_shapes(unit: FloatUnit, operator: str, dynamic: bool) -> int:
    """The number of directions; UserError if shapes do not fit together: onnx infers the results' without looking."""
    node, graph = unit.node, unit.graph
    directions = {"forward": 1, "reverse": 1, "bidirectional": 2}.get(node.attrs.get("direction", "forward"))
    if directions is None:
        raise UserError(
            f"direction {node.attrs['direction']!r} is none of {operator}'s",
            origin=node.where,
            hint="Use forward, reverse or bidirectional.",
        )
    steps, batch, inputs = unit.type(0).shape
    hidden = unit.type(2).shape[-2 if dynamic else -1] if len(unit.type(2).shape) == 3 else 0
    rows = _GATES[operator] * hidden
    state = (directions, batch, hidden)
    matrices = [(rows, inputs), (rows, hidden)]
    wanted: dict[int, tuple[int, ...]] = {
        slot: (directions, *(sizes[::-1] if dynamic else sizes)) for slot, sizes in enumerate(matrices, 1)
    }
    wanted |= {3: (directions, 2 * rows), 4: (batch,), 5: state}
    if operator == "LSTM":
        wanted |= {6: state, 7: (directions, 3 * hidden)}
    if dynamic:
        wanted |= {slot: (directions, rows)[: len(unit.type(slot).shape)] for slot in range(8, 12) if unit.name(slot)}
    found = {unit.name(slot): shape for slot, shape in wanted.items() if unit.name(slot)}
    found |= dict(zip(node.outputs, ((steps, directions, batch, hidden), state, state), strict=False))
    for name, shape in found.items():
        if graph.type(name).shape != shape:
            raise UserError(
                f"{name!r} has shape {list(graph.type(name).shape)} where {operator} has {list(shape)}",
                origin=node.where,
                hint="Check hidden_size and the weights' shapes.",
            )
    return directions


def _some_shorter(unit: FloatUnit) -> bool:
    """Whether sequences end before the last step; UserError if a length is none of 1..steps."""
    steps, lengths = unit.type(0).shape[0], unit.constant(4)
    if np.any(lengths < 1) or np.any(lengths > steps):
        raise UserError(
            f"a sequence has a length outside 1..{steps}",
            origin=unit.node.where,
            hint="Export it with lengths in that range.",
        )
    return bool(np.any(lengths < steps))


def _function_names(unit: FloatUnit, operator: str, directions: int) -> tuple[str, ...]:
    """Of all directions, in lower case; UserError for a name that ONNX does not have."""
    given = unit.node.attrs.get("activations", ())
    names = tuple((name.decode("utf-8", "replace") if isinstance(name, bytes) else name).lower() for name in given)
    names = names or _ACTIVATIONS[operator] * directions
    unknown = next((name for name in names if name not in _FUNCTIONS), None)
    if unknown is not None or len(names) != len(_ACTIVATIONS[operator]) * directions:
        found = f"activation {unknown!r}" if unknown is not None else f"{len(names)} activations"
        raise UserError(
            f"{operator} with {found} is not supported",
            origin=unit.node.where,
            hint="They are, of each direction: " + ", ".join(_ACTIVATIONS[operator]) + ", or others of ONNX.",
        )
    return names


def _activations(form: dict[str, Any], operator: str, index: int) -> tuple[dict[str, Any], ...]:
    """mcugen_f32_activation of each function of a direction. Alphas and betas go to those that take one, in order."""
    names = form.get("activations", _ACTIVATIONS[operator] * (index + 1))
    alphas, betas = iter(form.get("activation_alpha", ())), iter(form.get("activation_beta", ()))
    found: list[dict[str, Any]] = []
    for given in names:
        name = (given.decode() if isinstance(given, bytes) else given).lower()
        values = [next(source, default) for source, default in zip((alphas, betas), _FUNCTIONS[name], strict=False)]
        fields = {key: np.float32(value) for key, value in zip(("alpha", "beta"), values, strict=False)}
        found.append({"function": list(_FUNCTIONS).index(name), **fields})
    count = len(_ACTIVATIONS[operator])
    return tuple(found[index * count : (index + 1) * count])


def _form(lowering: Lowering, node: Node, index: int) -> Struct | None:
    """mcugen_f32_rnn_form; None if the layer is as ONNX has it by default."""
    operator, given = node.attrs["operator"], node.attrs["form"]
    lengths, peepholes = (lowering.graph.data(name) for name in node.inputs[4:6])
    if not given and lengths is None and peepholes is None and operator != "RNN":
        return None
    fields: dict[str, Any] = {
        "activations": Array(_activations(given, operator, index)),
        "clip": np.float32(given.get("clip", np.inf)),
    }
    if peepholes is not None:
        fields["peepholes"] = Table("peepholes", peepholes[index])
    if given.get("input_forget", 0):
        fields["input_forget"] = 1
    if lengths is not None:
        fields["lengths"] = Table("lengths", lengths)
    return Struct("mcugen_f32_rnn_form", fields)


def _canonical(c: Canonical, node: Node) -> None:
    names = [_verbatim(c, name) if name else "" for name in node.inputs]
    operator, (*weights, peepholes), states = node.attrs["operator"], names[:6], names[6:]
    extra = {"linear_before_reset": node.attrs["linear"]} if operator == "GRU" else {}
    c.add_many(
        operator,
        [*weights, *states, *([peepholes] if operator == "LSTM" else [])],
        node.outputs,
        direction=node.attrs["direction"],
        hidden_size=node.attrs["hidden"],
        **extra,
        **node.attrs["form"],
    )


def _canonical_dynamic(c: Canonical, node: Node) -> None:
    names = [_verbatim(c, name) if name else "" for name in node.inputs]
    c.add_many(
        "DynamicQuantizeLSTM",
        [*names[:4], "", *names[4:6], "", *names[6:]],
        node.outputs,
        domain="com.microsoft",
        direction=node.attrs["direction"],
        hidden_size=node.attrs["hidden"],
    )


def _verbatim(c: Canonical, name: str) -> str:
    """Constants as the model has them: they are weights, not activations."""
    data = c.graph.data(name)
    return name if data is None else c.constant(name, data)


def _lower(lowering: Lowering, node: Node) -> tuple[Step, ...]:
    direction = node.attrs["direction"]
    if direction == "bidirectional":
        return tuple(_direction(lowering, node, index, bool(index)) for index in (0, 1))
    return (_direction(lowering, node, 0, direction == "reverse"),)


def _direction(lowering: Lowering, node: Node, index: int, reverse: bool) -> Step:
    x, w, r, b, *states = node.inputs
    dynamic = node.op == "dynamic_lstm"
    quantization = states[2:] if dynamic else []
    states = states[:2] if dynamic else states[2:]
    form = None if dynamic else _form(lowering, node, index)
    graph, hidden, operator = lowering.graph, node.attrs["hidden"], node.attrs["operator"]
    steps, batch, inputs = lowering.type(x).shape
    directions = lowering.type(node.output).shape[1]
    gates = _GATES[operator] * hidden
    weights, recurrent, bias = graph.data(w), graph.data(r), graph.data(b)
    assert weights is not None and recurrent is not None
    bias_row = np.zeros(2 * gates, np.float32) if bias is None else bias[index]
    fields = {
        "steps": steps,
        "batch": batch,
        "inputs": inputs,
        "hidden": hidden,
        "y_stride": directions * batch * hidden,
        "direction": index,
        "reverse": int(reverse),
        "linear_before_reset": node.attrs["linear"],
    }
    matrices: list[tuple[str, Arg]] = [
        ("weights", Table("weights", weights[index])),
        ("recurrent", Table("recurrent", recurrent[index])),
    ]
    scratch_bytes = 4 * (_GATES[operator] + 1) * hidden
    if dynamic:
        scales, zeros = quantization[::2], quantization[1::2]
        matrices = [
            (role, _matrix(graph, role, data[index], scale, zero, index))
            for role, data, scale, zero in zip(
                ("weights", "recurrent"), (weights, recurrent), scales, zeros, strict=True
            )
        ]
        scratch_bytes = 4 * gates + steps * batch * inputs + batch * hidden
    kernel = f"mcugen_f32_{operator.lower()}" + ("_form" if form is not None and operator != "RNN" else "")
    suffix = "_backward" if reverse else ""
    return Step(
        name=f"{lowering.name}{suffix}" if directions == 2 else lowering.name,
        kernel="mcugen_dynamic_lstm" if dynamic else kernel,
        args=(
            ("context", Scratch()),
            ("params", Struct("mcugen_f32_rnn_params", fields)),
            *((("form", form),) if form is not None else ()),
            *matrices,
            ("bias", Table("bias", bias_row)),
            ("input", Buffer(x)),
            *((f"initial_{part}", Buffer(name) if name else None) for part, name in zip("hc", states, strict=False)),
            *((part, Buffer(name)) for part, name in zip(("y", "y_h", "y_c"), node.outputs, strict=False)),
        ),
        inputs=tuple(name for name in (x, *states) if name and graph.data(name) is None),
        outputs=node.outputs,
        exactness=FLOAT,
        tolerance=DYNAMIC_TOLERANCE if dynamic else TOLERANCE,
        origin=node.origin,
        scratch_bytes=scratch_bytes,
        macs=steps * batch * gates * (inputs + hidden),
    )


def _matrix(graph: Graph, role: str, data: np.ndarray, scale: str, zero: str, direction: int) -> Struct:
    """data: 8-bit [depth, rows], as DynamicQuantizeLSTM has it; its scales and zero points one, or one a row."""
    rows = data.shape[1]
    scales, zeros = graph.data(scale), graph.data(zero)
    assert scales is not None
    low = 128 if data.dtype == np.uint8 else 0
    codes = (data.T.astype(np.int16) - low).astype(np.int8)
    zero_point = np.zeros(1, np.int32) if zeros is None else zeros[direction].astype(np.int32).reshape(-1)
    fields = {
        "weights": Table(role, codes),
        "scale": Table(f"{role}_scale", np.broadcast_to(scales[direction].reshape(-1), rows)),
        "zero_point": Table(f"{role}_zero_point", np.broadcast_to(zero_point - low, rows)),
    }
    return Struct("mcugen_dynamic_matrix", fields)


def _shallow(graph: Graph, node: Node) -> str | None:
    """DynamicQuantizeLSTM takes at most 32768 inputs and as many states. Keep the layer in float32."""
    depth = max(graph.type(node.inputs[0]).shape[2], node.attrs["hidden"])
    return None if depth <= _MAX_DEPTH else str(depth)


FLOAT_RNN = OpDef(
    name="float_rnn",
    onnx=tuple(_GATES),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    layout="fixed",
    exactness=FLOAT,
    about=f"float32, every direction, activations, clip, peepholes, constant lengths; within {TOLERANCE:g} of the "
    "largest result",
)

DYNAMIC_LSTM = OpDef(
    name="dynamic_lstm",
    onnx=(_DYNAMIC,),
    from_float=_from_float,
    canonical=_canonical_dynamic,
    lower=_lower,
    layout="fixed",
    exactness=FLOAT,
    limits=(_shallow,),
    about="8-bit weights, input and state quantized at run time, every direction; within "
    f"{DYNAMIC_TOLERANCE:g} of the largest result",
)
