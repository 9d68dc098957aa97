"""ONNX dialect -> integer dialect: DequantizeLinear -> operator -> QuantizeLinear becomes one integer operator.

Every quantized tensor now carries its scale and zero point. What stays between real numbers becomes an operator on
float32 tensors, with quantize and dequantize where the two meet: so do operators that have no 16-bit form, those
between activations of 8 and of 16 bits, and many between int8 and uint8, for which ORT has no integer kernels. What
neither kind knows is refused here.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node, Quant, Value, attrs, constant, quant
from ..ops import FLOATS, INTEGERS, OPS, RECOGNISED, RECOGNISED_16
from ..ops.base import FloatUnit, OpDef, Unit
from ..ops.float_conv import convolved
from ..ops.gather import GATHERS, SCATTERS, indexed
from ..ops.pool import max_pool_attrs
from ..ops.reduce import arg_of, axes_of
from ..ops.resize import interpolated
from .move_quantize import COPIES, VIEWS, moved_slots, quantize
from .rewrite import DQ, NARROW, Builder, Q, dequantized, qdq_params

_BYTES = ("int8", "uint8")
_WIDE = ("int16", "uint16")
_INTEGERS = (*_BYTES, *_WIDE)
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# What needs no float32 tensors where ORT computes in float: a sum of two, and layers, which add up in another order.
_STAY = ("Add", *_WEIGHTED, "AveragePool")
_SAME_SCALE = (*COPIES, "Resize")  # on integers: nothing is quantized anew
_ANY_WIDTH = (*VIEWS, "Transpose", "Take", "Concat", *GATHERS, *SCATTERS)  # they move bytes


_BIAS_SCALE = 0.01  # relative: converters round the product in float32 or float64, and no further


def recognise_quantized(graph: Graph) -> Graph:
    builder = Builder(graph)
    producers, consumers = graph.producers(), graph.consumers()
    for name, q in _annotations(graph).items():
        value = builder.values[name]
        builder.values[name] = Value(name, replace(value.type, quant=q), value.data)
    typed = graph.replace(values=builder.values)
    for node in graph.nodes:  # what nobody needs in the end is dropped: float twins of integer operators, for instance
        real = builder.values[node.inputs[0]].data if node.op == Q else None
        if real is not None:  # a constant that was dequantized: a class token, say
            q, dtype = qdq_params(graph, node)
            builder.values[node.output] = constant(node.output, quantize(real, q, dtype), q)
        elif node.op == Q:
            builder.add(_quantized(builder, typed, producers, node))
        elif node.op == DQ:
            _dequantized(builder, graph, node)
        elif node.op in ("ArgMax", "ArgMin"):
            builder.add(_position(typed, producers, node))
        elif node.op in INTEGERS and typed.type(node.inputs[0]).dtype in ("int32", "int64"):
            builder.add(_real(typed, node))
        elif node.op in _SAME_SCALE and (node.op not in FLOATS or typed.type(node.output).dtype != "float32"):
            builder.add(_copy(typed, node))
        elif node.op in FLOATS or node.op in INTEGERS:
            quantized = any(reader.op == Q for reader in consumers[node.output])
            node = _with_real_exponent(builder, node)
            layer = _summed(builder, graph, producers, node, quantized) if node.op in ("Conv", "Gemm") else None
            builder.add(layer or _real(typed.replace(values=builder.values), node))
        elif node.op in OPS:  # made by a pass
            builder.add(node)
    after = builder.graph_out()
    _refuse_float(graph, after)
    return after


def _annotations(graph: Graph) -> dict[str, Quant]:
    """Scale and zero point of every 8-bit activation: from the Q and DQ nodes at it, or through copies."""
    found: dict[str, Quant] = {}

    def note(name: str, q: Quant, node: Node) -> bool:
        if q.scale.size > 1:
            raise UserError(
                "an activation is quantized per channel",
                origin=node.where,
                hint="Quantize activations per tensor.",
            )
        known = found.setdefault(name, q)
        if not known.same(q):
            raise UserError(
                f"tensor {name!r} is read with two different scales or zero points",
                origin=node.where,
                hint="Quantize the model again with onnxruntime.quantization.",
            )
        return known is q

    for node in graph.nodes:
        if node.op == Q:
            note(node.output, qdq_params(graph, node)[0], node)
        elif node.op == DQ and graph.data(node.inputs[0]) is None:
            note(node.inputs[0], qdq_params(graph, node)[0], node)
    for name, value in graph.values.items():
        if value.data is None and value.type.quant is not None:  # noted by an earlier pass
            found.setdefault(name, value.type.quant)
    moved = [
        (node, node.inputs[slot])
        for node in graph.nodes
        if node.op in _SAME_SCALE and graph.type(node.output).dtype in _INTEGERS
        for slot in moved_slots(node)
    ]
    # Down the copies, then up, until nothing new is learnt.
    learnt = True
    while learnt:
        learnt = False
        for node, name in (*moved, *reversed(moved)):
            for known, unknown in ((name, node.output), (node.output, name)):
                if known in found and unknown not in found:
                    found[unknown] = found[known]
                    learnt = True
            if name in found and node.output in found:
                note(name, found[node.output], node)
    for name, value in graph.values.items():
        if value.type.dtype in _INTEGERS and value.data is None:
            found.setdefault(name, quant(1.0, 0))  # moved, never computed with
    return found


def _dequantized(builder: Builder, graph: Graph, node: Node) -> None:
    """At a model output, and before what works on real numbers; a constant is dequantized here and now."""
    raw = graph.data(node.inputs[0])
    if raw is None:
        dtype = graph.type(node.inputs[0]).dtype
        if dtype not in _INTEGERS:
            raise UserError(
                f"DequantizeLinear of {dtype} numbers computed at run time is not supported",
                origin=node.where,
                hint="Quantize activations to 8 or 16 bits.",
            )
        builder.add(Node("dequantize", node.inputs[:1], node.outputs, attrs(), node.origin))
        return
    builder.values[node.output] = constant(node.output, dequantized(graph, node))


def _real(graph: Graph, node: Node) -> Node:
    dtype, of = graph.type(node.output).dtype, graph.type(node.inputs[0]).dtype
    definition = (INTEGERS.get(node.op) if of in ("int32", "int64") else None) or FLOATS.get(node.op)
    if definition is None or dtype not in definition.makes:
        raise UserError(
            f"{node.op} on {of} numbers is not supported",
            origin=node.where,
            hint="Only float32, and integers of 8 or 16 bits between DequantizeLinear and QuantizeLinear.",
        )
    make = definition.from_float
    assert make is not None
    return make(FloatUnit(graph, node))


def _summed(builder: Builder, graph: Graph, producers: dict[str, Node], layer: Node, quantized: bool) -> Node | None:
    """A layer of 8-bit codes whose float32 result is wanted: int32 sums and a scale, with the weights in 8 bits.

    quantized: a QuantizeLinear reads the result too, and so ONNX Runtime fuses nothing. None: the codes are not known,
    or int32 does not hold sums that ONNX Runtime makes in float32.
    """
    x_dq, w_dq, b_dq = (producers.get(name) for name in (*layer.inputs, "")[:3])
    if x_dq is None or w_dq is None or x_dq.op != DQ or w_dq.op != DQ:
        return None
    x, weights = x_dq.inputs[0], graph.data(w_dq.inputs[0])
    (x_q, x_dtype), (w_q, w_dtype) = (qdq_params(graph, dq) for dq in (x_dq, w_dq))
    if graph.data(x) is not None or x_dtype not in _BYTES or w_dtype not in _BYTES:
        return None
    bias = builder.values[layer.inputs[2]].data if any(layer.inputs[2:]) else None
    if weights is None or w_q.axis not in (None, 0) or (bias is None and any(layer.inputs[2:])):
        return None
    raw = None if b_dq is None else graph.data(b_dq.inputs[0])
    whole = bias is None or (raw is not None and raw.dtype == np.int32)
    alike = not layer.attrs.get("scaled") and not layer.attrs.get("integer_form")
    fused = layer.op == "Gemm" and whole and alike and not quantized
    in_float = not fused or (x_dtype, w_dtype) == ("int8", "uint8")
    y, w, start = layer.output, builder.constant(f"{layer.output}/weights", weights, w_q), ""
    if in_float and not _sums_fit(x_q, x_dtype, w_q, weights):
        return None
    if in_float and bias is not None:
        start = builder.constant(f"{y}/bias", np.broadcast_to(bias.reshape(-1), (len(weights),)))
    elif raw is not None and b_dq is not None:
        start = builder.constant(f"{y}/bias", raw, qdq_params(graph, b_dq)[0])
        _checked_bias(builder, layer, [x, w, start], False)
    window = convolved(graph, layer, weights) if layer.op == "Conv" else {}
    return Node(
        "dynamic_conv" if layer.op == "Conv" else "dynamic_fully_connected",
        (
            x,
            w,
            start,
            builder.constant(f"{y}/scale", x_q.scale.reshape(())),
            builder.constant(f"{y}/zero_point", x_q.zero_point.reshape(()).astype(x_dtype)),
        ),
        layer.outputs,
        attrs(clamp=layer.attrs.get("clamp", (-math.inf, math.inf)), in_float=in_float, **window),
        layer.origin,
    )


def _sums_fit(x: Quant, x_dtype: str, w: Quant, weights: np.ndarray) -> bool:
    """Does int32 hold every sum of products of such codes?"""
    ends, (_, zero) = np.iinfo(x_dtype), x.per_tensor
    rows = np.abs(weights.reshape(len(weights), -1).astype(np.int64) - w.zero_point.reshape(-1, 1)).sum(axis=1)
    return bool(np.all(rows * max(zero - ends.min, ends.max - zero) < 2**31))


def _with_real_exponent(builder: Builder, node: Node) -> Node:
    """A power of float32 numbers by constant integers that float32 holds too."""
    whole = builder.values[node.inputs[1]].data if node.op == "Pow" else None
    if whole is None or whole.dtype not in (np.int32, np.int64) or np.any(whole.astype(np.float32) != whole):
        return node
    exponent = builder.constant(f"{node.inputs[1]}/real", whole.astype(np.float32))
    return replace(node, inputs=(node.inputs[0], exponent))


def _is_float(graph: Graph, producers: dict[str, Node], operator: Node) -> bool:
    """Does an operand come as real numbers, and not from a DequantizeLinear? A constant bias may."""
    for slot, name in enumerate(operator.inputs):
        node = producers.get(name)
        is_real = bool(name) and graph.type(name).dtype == "float32" and graph.type(name).count > 0
        if is_real and (node is None or node.op != DQ) and (slot != 2 or graph.data(name) is None):
            return True
    return False


def _quantized(builder: Builder, graph: Graph, producers: dict[str, Node], end: Node) -> Node:
    """The integer node that makes `end`'s output."""
    real = end.inputs[0]
    operator = producers.get(real)
    if operator is None or operator.op not in RECOGNISED or _is_float(graph, producers, operator):
        return Node("quantize", (real,), end.outputs, attrs(), end.origin)
    q, dtype = qdq_params(graph, end)
    definition = _definition(graph, producers, operator, dtype)
    if definition is None:
        return Node("quantize", (real,), end.outputs, attrs(), end.origin)
    low, high = operator.attrs.get("clamp", (-math.inf, math.inf))
    info = np.iinfo(dtype)
    full = (int(info.min), int(info.max))
    clamp = (_code(low, q, full), _code(high, q, full))
    inputs, exact_bias = _operands(builder, graph, producers, operator, 16 if dtype in _WIDE else 8)
    one_type = _one_type(graph, producers, operator, dtype)
    unit = Unit(graph.replace(values=builder.values), operator, inputs, end.output, clamp, one_type)
    assert definition.recognise is not None
    node = definition.recognise(unit)
    weight_bits = _weight_bits(graph, producers, operator)
    if weight_bits == 4:
        node = replace(node, attrs=attrs(**{**node.attrs, "weight_bits": 4}))
    same = OPS[node.op].in_float or (clamp == full and one_type)
    if not same or not exact_bias or weight_bits == 4 or operator.attrs.get("integer_form"):
        # ORT drops an activation that the output's range already implies; it runs any other one in float, and any
        # layer whose weights have 4 bits or whose types differ, or that is an Einsum.
        node = replace(node, attrs=attrs(**{**node.attrs, "integer_form": True}))
    return node


def _weight_bits(graph: Graph, producers: dict[str, Node], operator: Node) -> int:
    """4 if a constant of the operator comes in 4 bits, else 8."""
    sources = [producers[name].inputs[0] for name in operator.inputs if name in producers and producers[name].op == DQ]
    return 4 if any(graph.type(name).dtype in NARROW for name in sources) else 8


def _definition(graph: Graph, producers: dict[str, Node], operator: Node, dtype: str) -> OpDef | None:
    """The operator for activations of these types.

    None where widths differ, 16 bits have none of their own, an operand that is no weight has many scales, or ORT would
    run a sum of int8 and uint8 in float.
    """
    dequantized = [producers[name] for name in operator.inputs if name in producers and producers[name].op == DQ]
    if operator.op not in _WEIGHTED and any(qdq_params(graph, node)[0].scale.size > 1 for node in dequantized):
        return None
    sources = [node.inputs[0] for node in dequantized]
    kinds = [graph.type(name).dtype for name in sources if graph.data(name) is None]
    wide = [kind in _WIDE for kind in (*kinds, dtype)]
    if any(wide):
        return RECOGNISED_16.get(operator.op) if all(wide) else None
    found = RECOGNISED[operator.op]
    known = found.in_float or operator.op in _STAY or _one_type(graph, producers, operator, dtype)
    return found if known else None


def _one_type(graph: Graph, producers: dict[str, Node], operator: Node, dtype: str) -> bool:
    """Do the 8-bit tensors meet in one type, as ORT's kernels want them? Constants beside uint8 may be int8."""
    made = [producers[name] for name in operator.inputs if name in producers]
    read = [dq.inputs[0] for dq in made if dq.op == DQ and graph.type(dq.inputs[0]).dtype in _BYTES]
    others = [name for name in read if graph.type(name).dtype != dtype]
    return dtype not in _BYTES or all(dtype == "uint8" and graph.data(name) is not None for name in others)


def _position(graph: Graph, producers: dict[str, Node], node: Node) -> Node:
    """ArgMax and ArgMin: of the codes where their input is dequantized from some, else of real numbers."""
    x = node.inputs[0]
    dq = producers.get(x)
    if dq is not None and dq.op == DQ and graph.data(dq.inputs[0]) is None:
        x = dq.inputs[0]
    return arg_of(graph, node, x)


def _code(real: float, q: Quant, full: tuple[int, int]) -> int:
    scale, zero_point = q.per_tensor
    if math.isinf(real):
        return full[0] if real < 0 else full[1]
    return int(np.clip(np.rint(np.float32(real) / scale) + zero_point, *full))


def _operands(
    builder: Builder, graph: Graph, producers: dict[str, Node], operator: Node, bits: int
) -> tuple[tuple[str, ...], bool]:
    """Integer values behind the operator's inputs; False beside them if their bias is why ORT computes in float.

    bits: the width of the activations.
    """
    names: list[str] = []
    float_bias, exact = False, True
    for slot, name in enumerate(operator.inputs):
        dq = producers.get(name)
        if not name:
            names.append("")
        elif dq is not None and dq.op == DQ:
            raw = graph.data(dq.inputs[0])
            if raw is None:
                names.append(dq.inputs[0])
            else:
                data, q = _stored(graph, dq, raw)
                if slot == 1:
                    q = _of_outputs(operator, q)
                names.append(builder.constant(f"{operator.output}/input{slot}", data, q))
        elif slot == 2 and graph.data(name) is not None:
            names.append(name)
            float_bias = True
        elif graph.type(name).dtype != "float32":  # axes, and tensors that were never real
            names.append(name)
        else:
            raise UserError(
                f"input {slot} of {operator.op} is not quantized (no DequantizeLinear before it)",
                origin=operator.where,
                hint="Quantize it too; float layers between quantized ones are not supported.",
            )
    if len(names) > 2 and names[2] and operator.op in ("Conv", "ConvTranspose", "Gemm"):
        make = _checked_bias if bits == 8 else _wide_bias
        names[2], exact = make(builder, operator, names, float_bias)
    return tuple(names), exact


def _stored(graph: Graph, dq: Node, raw: np.ndarray) -> tuple[np.ndarray, Quant]:
    """A constant and its parameters; of 4 bits as int8 without its zero point, which always fits."""
    q, dtype = qdq_params(graph, dq)
    if dtype not in NARROW:
        return raw, q
    shape = [-1 if axis == q.axis else 1 for axis in range(raw.ndim)] if q.axis is not None else ()
    return (raw.astype(np.int8) - q.zero_point.reshape(shape)).astype(np.int8), quant(q.scale, 0, q.axis)


def _of_outputs(operator: Node, q: Quant) -> Quant:
    """The scales of a layer's weights, one an output channel or one for all."""
    if operator.op in ("Conv", "Gemm") and q.axis not in (None, 0):  # as gemm_form leaves it
        raise UserError(
            "the weights are quantized along their inputs, ONNX Runtime takes scales of outputs",
            origin=operator.where,
            hint="Quantize the weights per tensor, or per output channel.",
        )
    if operator.op != "ConvTranspose" or q.axis != 1:
        return q
    groups = int(operator.attrs.get("group", 1))  # they share the scales along axis 1
    return quant(np.tile(q.scale, groups), np.tile(q.zero_point, groups), q.axis)


def _checked_bias(builder: Builder, operator: Node, names: list[str], is_float: bool) -> tuple[str, bool]:
    """The int32 bias at scale sx * sw, and whether ORT computes in integers: not if a bias has another scale."""
    x, w, bias = (builder.values[name] for name in names[:3])
    assert x.type.quant is not None and w.type.quant is not None and bias.data is not None
    scale = (x.type.quant.scale * w.type.quant.scale).astype(np.float32)
    if is_float:
        rounded = np.rint(bias.data.astype(np.float64) / scale.astype(np.float64))
        data = np.clip(rounded, -(2**31), 2**31 - 1).astype(np.int32)
        return builder.constant(f"{operator.output}/bias", data), False
    if bias.data.dtype != np.int32:
        raise UserError(
            f"the bias must be int32 (it is {bias.data.dtype})", origin=operator.where, hint="Quantize the model again."
        )
    assert bias.type.quant is not None
    ratio = np.broadcast_to(bias.type.quant.scale, bias.data.shape).astype(np.float64) / np.maximum(
        np.broadcast_to(scale, bias.data.shape).astype(np.float64), 1e-300
    )
    other = np.abs(ratio - 1) > _BIAS_SCALE
    far = other & (bias.data != 0) & (scale > 1e-30)  # other channels are dead: no bias reaches their output
    if np.any(bias.type.quant.zero_point != 0) or np.any(far):
        raise UserError(
            "the bias is not at input scale * weight scale with zero point 0 "
            f"(its scale is up to {np.max(np.abs(ratio - 1), where=far, initial=0):.1%} off)",
            origin=operator.where,
            hint="Quantize the model again with onnxruntime.quantization; a bias of two layers needs a copy for each.",
        )
    return names[2], not np.any(other)


def _wide_bias(builder: Builder, operator: Node, names: list[str], is_float: bool) -> tuple[str, bool]:
    """The int64 bias at scale sx * sw, nearest to the real one: ORT adds it in real numbers."""
    x, w, bias = (builder.values[name] for name in names[:3])
    assert x.type.quant is not None and w.type.quant is not None and bias.data is not None
    real = bias.data.astype(np.float64)
    if not is_float:
        assert bias.type.quant is not None
        real = (real - bias.type.quant.zero_point) * bias.type.quant.scale.astype(np.float64)
    steps = real.reshape(-1) / (x.type.quant.scale.astype(np.float64) * w.type.quant.scale.astype(np.float64))
    if not np.all(np.abs(steps) < 2.0**37):
        raise UserError(
            "the bias is beyond 2^37 steps of input scale * weight scale",
            origin=operator.where,
            hint="Quantize this layer to 8 bits, or give its weights a larger scale.",
        )
    return builder.constant(f"{operator.output}/bias", np.rint(steps).astype(np.int64)), not is_float


def _copy(graph: Graph, node: Node) -> Node:
    """Operators that move 8-bit values, choose among them, or interpolate between them."""
    shape, dtype = graph.type(node.inputs[0]).shape, graph.type(node.output).dtype
    others = ("bool", "int32", "int64", *_WIDE) if node.op == "Where" else _WIDE
    if node.op not in _ANY_WIDTH and dtype not in ("int8", "uint8", "float32", *others):
        raise UserError(
            f"{node.op} of {dtype} numbers is not supported",
            origin=node.where,
            hint="Do it behind the model.",
        )
    if node.op == "Resize":
        return interpolated(graph, node)
    if node.op == "Where":
        return Node("where", node.inputs, node.outputs, attrs(), node.origin)
    if node.op == "Transpose":
        perm = tuple(node.attrs.get("perm", reversed(range(len(shape)))))
        return Node("transpose", node.inputs[:1], node.outputs, attrs(perm=perm), node.origin)
    if node.op in (*GATHERS, *SCATTERS):
        return indexed(graph, node)
    if node.op == "Take":
        return Node("take", node.inputs, node.outputs, node.attrs, node.origin)
    if node.op in ("ReduceMax", "ReduceMin"):
        axes = axes_of(graph, node, len(shape))
        op = "reduce_max" if node.op == "ReduceMax" else "reduce_min"
        return Node(op, node.inputs[:1], node.outputs, attrs(axes=axes), node.origin)
    if node.op == "MaxPool":
        return Node("max_pool", node.inputs, node.outputs, attrs(**max_pool_attrs(node, shape[2:])), node.origin)
    if node.op == "Concat":
        axis = int(node.attrs["axis"]) % len(shape)
        return Node("concat", node.inputs, node.outputs, attrs(axis=axis), node.origin)
    if node.op == "Pad":
        given = node.inputs[2] if len(node.inputs) > 2 else ""
        value, pads = graph.data(given) if given else np.zeros(()), graph.data(node.inputs[1])
        if value is None or pads is None or (len(node.inputs) > 3 and node.inputs[3]):
            raise UserError("Pad takes constant pads", origin=node.where, hint="Export the model with fixed shapes.")
        numbers = tuple(int(p) for p in pads)
        return Node("pad", node.inputs[:1], node.outputs, attrs(pads=numbers, value=value.item()), node.origin)
    return Node("reshape", node.inputs[:1], node.outputs, attrs(), node.origin)


def _refuse_float(before: Graph, after: Graph) -> None:
    constant_output = next((name for name in after.outputs if after.data(name) is not None), None)
    if constant_output is not None:
        raise UserError(
            "the output is a constant, whatever the inputs are",
            origin=constant_output,
            hint="Take it out of the model's outputs.",
        )
    known = {name for node in after.nodes for name in node.outputs} | set(after.inputs)
    known |= {name for name, value in after.values.items() if value.data is not None}
    wanted = [*after.outputs, *(name for node in after.nodes for name in node.inputs if name)]
    missing = next((name for name in wanted if name not in known), None)
    if missing is not None:
        raise _unsupported(before.producers()[missing])


def _unsupported(node: Node) -> UserError:
    if node.op in RECOGNISED or node.op in COPIES:
        return UserError(
            f"{node.op} is not quantized (no QuantizeLinear behind it, or none before)",
            origin=node.where,
            hint="Quantize the whole model with onnxruntime.quantization.quantize_static.",
        )
    return UserError(
        f"operator {node.op} is not supported here",
        origin=node.where,
        hint="`mcugen ops` lists what is; unary functions must stand between DequantizeLinear and QuantizeLinear.",
    )
