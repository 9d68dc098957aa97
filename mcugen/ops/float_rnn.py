"""LSTM and GRU, forward, reverse and bidirectional, with ONNX's default activations, in float32; and
DynamicQuantizeLSTM, whose weights are 8-bit and whose input and state are quantized at run time.

x [steps, batch, inputs] -> Y [steps, directions, batch, hidden], last states Y_h (and Y_c) [directions, batch, hidden].
"""

from __future__ import annotations

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node
from ..step import FLOAT, Arg, Buffer, Scratch, Step, Struct, Table
from .base import Canonical, FloatUnit, Lowering, OpDef

TOLERANCE = 1e-5
DYNAMIC_TOLERANCE = 1e-2  # a state next to the middle of two codes may take the other one
_DYNAMIC = "com.microsoft.DynamicQuantizeLSTM"
_MAX_DEPTH = 32768  # products of 8-bit values that an int32 surely holds: 2^31 / 255^2
_GATES = {"LSTM": 4, "GRU": 3}
_ACTIVATIONS = {"LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh")}


def _from_float(unit: FloatUnit) -> Node:
    node, operator = unit.node, unit.node.op.removeprefix("com.microsoft.DynamicQuantize")
    direction = node.attrs.get("direction", "forward")
    directions = 2 if direction == "bidirectional" else 1
    functions = node.attrs.get("activations", ())
    names = tuple((f.decode() if isinstance(f, bytes) else f).lower() for f in functions)
    unusual = names not in ((), _ACTIVATIONS[operator] * directions) or "clip" in node.attrs
    if unusual or node.attrs.get("layout", 0) or node.attrs.get("input_forget", 0) or unit.name(4) or unit.name(7):
        raise UserError(
            f"this form of {operator} is not supported (activations, clip, layout, input_forget, lengths or peepholes)",
            origin=node.where,
            hint="Export it with default activations, batch second, one length for all sequences.",
        )
    dynamic = node.op == _DYNAMIC
    quantization = tuple(range(8, 12)) if dynamic else ()
    for slot in (1, 2, 3, *quantization):
        if unit.name(slot):
            unit.constant(slot)
    states = tuple(unit.name(slot) for slot in ((5, 6) if operator == "LSTM" else (5,)))
    return unit.make(
        "dynamic_lstm" if dynamic else "float_rnn",
        (*(unit.name(slot) for slot in range(4)), *states, *(unit.name(slot) for slot in quantization)),
        operator=operator,
        direction=direction,
        hidden=int(unit.constant(2).shape[1 if dynamic else 2]),
        linear=int(node.attrs.get("linear_before_reset", 0)),
    )


def _canonical(c: Canonical, node: Node) -> None:
    names = [c.tensor(name) if name else "" for name in node.inputs]
    extra = {"linear_before_reset": node.attrs["linear"]} if node.attrs["operator"] == "GRU" else {}
    c.add_many(
        node.attrs["operator"],
        [*names[:4], "", *names[4:]],
        node.outputs,
        direction=node.attrs["direction"],
        hidden_size=node.attrs["hidden"],
        **extra,
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
    states, quantization = states[:2], states[2:]
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
    suffix = "_backward" if reverse else ""
    return Step(
        name=f"{lowering.name}{suffix}" if directions == 2 else lowering.name,
        kernel="mcugen_dynamic_lstm" if dynamic else f"mcugen_f32_{operator.lower()}",
        args=(
            ("context", Scratch()),
            ("params", Struct("mcugen_f32_rnn_params", fields)),
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


def _all_outputs(graph: Graph, node: Node) -> str | None:
    """All outputs of a recurrent layer must have a type. Name them when exporting the model."""
    wanted = 3 if node.attrs["operator"] == "LSTM" else 2
    return None if len(node.outputs) == wanted else f"{len(node.outputs)} of {wanted}"


FLOAT_RNN = OpDef(
    name="float_rnn",
    onnx=tuple(_GATES),
    from_float=_from_float,
    canonical=_canonical,
    lower=_lower,
    layout="fixed",
    exactness=FLOAT,
    limits=(_all_outputs,),
    about=f"float32, every direction, default activations; within {TOLERANCE:g} of the largest result",
)

DYNAMIC_LSTM = OpDef(
    name="dynamic_lstm",
    onnx=(_DYNAMIC,),
    from_float=_from_float,
    canonical=_canonical_dynamic,
    lower=_lower,
    layout="fixed",
    exactness=FLOAT,
    limits=(_all_outputs, _shallow),
    about="8-bit weights, input and state quantized at run time, every direction; within "
    f"{DYNAMIC_TOLERANCE:g} of the largest result",
)
