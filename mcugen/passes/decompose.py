"""Operators that ONNX defines through simpler ones become those: a float32 step each, and no kernel of their own.

Sums of squares, norms, operators of many operands, GroupNormalization and its kin. What ORT computes in one kernel we
compute in several, in real numbers; the steps state their tolerances.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from ..errors import UserError
from ..ir import Graph, Node, TensorType, attrs
from ..ops.reduce import axes_of
from .rewrite import DQ, Builder, Q, qdq_params, rebuild


def decompose(graph: Graph) -> Graph:
    consumers = graph.consumers()

    def change(builder: Builder, node: Node) -> bool:
        form = _FORMS.get(node.op)
        return form is not None and form(_Parts(builder, node, consumers[node.output]))

    return rebuild(graph, change)


class _Parts:
    """Writes the nodes that take the place of `node`."""

    def __init__(self, builder: Builder, node: Node, readers: Sequence[Node]) -> None:
        self.builder = builder
        self.node = node
        self.readers = readers

    def shape(self, name: str) -> tuple[int, ...]:
        return self.builder.values[name].type.shape

    def dtype(self, name: str) -> str:
        return self.builder.values[name].type.dtype

    def constant(self, array: np.ndarray) -> str:
        return self.builder.constant(f"{self.node.output}/constant", array)

    def number(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def add(
        self, op: str, *inputs: str, shape: Sequence[int] | None = None, dtype: str = "float32", **attributes: object
    ) -> str:
        """The result of a new node; without a shape, that of its broadcast inputs."""
        if shape is None:
            shape = np.broadcast_shapes(*(self.shape(name) for name in inputs))
        output = self.builder.value(f"{self.node.output}/{op}", TensorType(dtype, tuple(shape)))
        self.builder.add(Node(op, inputs, (output,), attrs(**attributes), self.node.origin))
        return output

    def reduced(self, op: str, x: str, axes: Sequence[int], keepdims: int = 1) -> str:
        kept = [1 if axis in axes else size for axis, size in enumerate(self.shape(x)) if keepdims or axis not in axes]
        return self.add(op, x, self.constant(np.array(axes, np.int64)), shape=kept, keepdims=keepdims)

    def reshaped(self, x: str, shape: Sequence[int], dtype: str = "float32") -> str:
        return self.add("Reshape", x, self.constant(np.array(shape, np.int64)), shape=shape, dtype=dtype)

    def finish(self, name: str, output: int = 0) -> bool:
        """The node's output is `name`."""
        self.builder.add(Node("Identity", (name,), (self.node.outputs[output],), attrs(), self.node.origin))
        return True

    def reads(self, output: int) -> bool:
        return output < len(self.node.outputs)


# Reductions


def _axes(parts: _Parts) -> tuple[str, tuple[int, ...], int]:
    node = parts.node
    graph = parts.builder.graph.replace(values=parts.builder.values)
    rank = len(parts.shape(node.inputs[0]))
    return node.inputs[0], axes_of(graph, node, rank), int(node.attrs.get("keepdims", 1))


def _reduction(inside: Callable[[_Parts, str], str], outside: str = "") -> Callable[[_Parts], bool]:
    """outside(sum of inside(x))."""

    def form(parts: _Parts) -> bool:
        x, axes, keepdims = _axes(parts)
        total = parts.reduced("ReduceSum", inside(parts, x), axes, keepdims)
        return parts.finish(parts.add(outside, total) if outside else total)

    return form


def _log_sum_exp(parts: _Parts) -> bool:
    """The largest value is taken out of the sum: exp overflows otherwise."""
    x, axes, keepdims = _axes(parts)
    largest = parts.reduced("ReduceMax", x, axes)
    total = parts.reduced("ReduceSum", parts.add("Exp", parts.add("Sub", x, largest)), axes)
    result = parts.add("Add", parts.add("Log", total), largest)
    return parts.finish(result if keepdims else parts.reshaped(result, parts.shape(parts.node.output)))


# Operators of several operands


def _in_pairs(parts: _Parts, op: str) -> str:
    found, *others = parts.node.inputs
    for name in others:
        found = parts.add(op, found, name, dtype=parts.dtype(found))
    return found


def _choice(parts: _Parts) -> bool:
    """Quantizing is monotone, so the largest of several may be quantized at each step: all of it stays in integers."""
    node, builder = parts.node, parts.builder
    if len(node.inputs) < 3:
        return False
    end = parts.readers[0] if len(parts.readers) == 1 and parts.readers[0].op == Q else None
    if end is None or node.output in builder.graph.outputs:
        return parts.finish(_in_pairs(parts, node.op))
    _, dtype = qdq_params(builder.graph, end)
    found, *others = node.inputs
    for name in others[:-1]:
        real = parts.add(node.op, found, name)
        integer = builder.value(f"{node.output}/quantized", TensorType(dtype, parts.shape(real)))
        builder.add(Node(Q, (real, *end.inputs[1:]), (integer,), end.attrs, node.origin))
        found = parts.add(DQ, integer, *end.inputs[1:], shape=parts.shape(real), **end.attrs)
    return parts.finish(parts.add(node.op, found, others[-1]))


def _sum(parts: _Parts) -> bool:
    if len(parts.node.inputs) == 2:
        return False  # float_binary takes it; an Add would be ORT's integer one
    return parts.finish(_in_pairs(parts, "Sum"))


def _mean(parts: _Parts) -> bool:
    total = _in_pairs(parts, "Sum")
    return parts.finish(parts.add("Mul", total, parts.number(1 / len(parts.node.inputs))))


def _cast(parts: _Parts) -> bool:
    """To the type it has; between 8 bits and what is no integer."""
    x, (before, after) = parts.node.inputs[0], map(parts.dtype, (parts.node.inputs[0], parts.node.output))
    if before in ("int8", "uint8") and after == "float32":
        zero = parts.constant(np.zeros((), before))  # a DequantizeLinear of scale 1
        return parts.finish(parts.add(DQ, x, parts.number(1), zero, shape=parts.shape(x)))
    if before != after in ("int8", "uint8") and before not in ("int32", "int64"):  # the low bits of the integer
        return parts.finish(parts.add("Cast", parts.add("Cast", x, dtype="int32"), dtype=after))
    return before == after and parts.finish(x)


def _equal(parts: _Parts) -> bool:
    """Of bools."""
    a, b = parts.node.inputs
    return parts.dtype(a) == "bool" and parts.finish(_choose(parts, a, b, _not(parts, b)))


_INTEGERS = ("int32", "int64")


def _clip(parts: _Parts) -> bool:
    """Relu and Clip of integers."""
    x, *ends = parts.node.inputs
    dtype = parts.dtype(x)
    if dtype not in _INTEGERS:
        return False
    if parts.node.op == "Relu":
        ends = [parts.constant(np.zeros((), dtype))]
    for op, end in zip(("Max", "Min"), ends, strict=False):
        x = parts.add(op, x, end, dtype=dtype) if end else x
    return parts.finish(x)


def _one_hot(parts: _Parts) -> bool:
    """Where an index equals its place, counted from either end, one value, and everywhere else the other one."""
    index, depth, values = parts.node.inputs
    known, pair = (parts.builder.values[name].data for name in (depth, values))
    if known is None or pair is None or parts.dtype(index) not in _INTEGERS:
        raise UserError(
            f"OneHot takes integer indices (these are {parts.dtype(index)}), a constant depth and constant values",
            origin=parts.node.where,
            hint="Cast the indices to int64, and export the model with fixed sizes.",
        )
    shape = parts.shape(parts.node.output)
    axis = int(parts.node.attrs.get("axis", -1)) % len(shape)
    each = parts.reshaped(index, (*shape[:axis], 1, *shape[axis + 1 :]), parts.dtype(index))
    places = np.arange(shape[axis]).reshape(-1, *(1,) * (len(shape) - axis - 1)).astype(parts.dtype(index))
    ends = (parts.add("Equal", each, parts.constant(at), dtype="bool") for at in (places, places - shape[axis]))
    hot = _choose(parts, next(ends), parts.constant(np.array(True)), next(ends))
    off, on = (parts.constant(value) for value in pair)
    return parts.finish(parts.add("Where", hot, on, off, dtype=parts.dtype(values)))


def _rows(parts: _Parts) -> bool:
    """Gather from a table with a scale a row: of the codes, and of the scales. Mul rounds as DequantizeLinear does."""
    node, builder = parts.node, parts.builder
    dq = builder.graph.producers().get(node.inputs[0])
    if dq is None or dq.op != DQ or int(node.attrs.get("axis", 0)) != 0:
        return False
    if any(reader.op == Q for reader in parts.readers):
        return False  # the table itself is quantized for it
    table, (q, dtype) = builder.graph.data(dq.inputs[0]), qdq_params(builder.graph, dq)
    one_zero = np.all(q.zero_point == q.zero_point[0])
    if table is None or q.axis != 0 or dtype not in ("int8", "uint8") or not one_zero:
        return False
    index, shape = node.inputs[1], parts.shape(node.output)
    picked = parts.add("Gather", parts.constant(table), index, shape=shape, dtype=dtype, axis=0)
    real = parts.add(DQ, picked, parts.number(1), parts.constant(np.array(q.zero_point[0], dtype)), shape=shape)
    scales = q.scale.reshape(-1, *(1,) * (table.ndim - 1))
    spread = (*shape[: len(shape) - table.ndim + 1], *scales.shape[1:])
    scale = parts.add("Gather", parts.constant(scales), index, shape=spread, axis=0)
    return parts.finish(parts.add("Mul", real, scale))


def _trilu(parts: _Parts) -> bool:
    """A choice between x and 0 by a constant."""
    x, shape = parts.node.inputs[0], parts.shape(parts.node.inputs[0])
    offset = parts.builder.values[parts.node.inputs[1]].data if len(parts.node.inputs) > 1 else np.array(0)
    if offset is None or parts.builder.values[x].type.dtype != "float32":
        return False
    kept = (np.triu if parts.node.attrs.get("upper", 1) else np.tril)(np.ones(shape[-2:], bool), int(offset.item()))
    return parts.finish(parts.add("Where", parts.constant(kept), x, parts.number(0)))


# Einsum


def _einsum(parts: _Parts) -> bool:
    """Of one operand a sum and a Transpose; of two a MatMul, batched over the letters that both have and keep.

    ORT computes it in float before a QuantizeLinear, too: the MatMul says so.
    """
    node, equation = parts.node, str(parts.node.attrs["equation"]).replace(" ", "")
    left, arrow, result = equation.partition("->")
    names, terms = list(node.inputs), left.split(",")
    if not arrow:
        result = "".join(sorted(letter for letter in left if letter != "," and left.count(letter) == 1))
    plain = all(term.isalpha() and len(set(term)) == len(term) for term in terms)
    spelled = zip("".join(terms), (size for name in names for size in parts.shape(name)), strict=plain)
    sizes: dict[str, int] = {}
    alike = all(sizes.setdefault(letter, size) == size for letter, size in spelled)
    if not (plain and alike) or len(terms) > 2 or any(parts.dtype(name) != "float32" for name in names):
        raise UserError(
            f"Einsum {equation!r} is not supported: it takes one or two float32 operands, each letter once in an "
            "operand and of one size",
            origin=node.where,
            hint="Write it as MatMul and Transpose before export.",
        )
    for slot, term in enumerate(terms):
        read = {*result, *"".join(terms[:slot] + terms[slot + 1 :])}
        alone = [axis for axis, letter in enumerate(term) if letter not in read]
        if alone:
            names[slot] = parts.reduced("ReduceSum", names[slot], alone, keepdims=0)
            terms[slot] = "".join(letter for letter in term if letter in read)

    def arranged(slot: int, *groups: str) -> str:
        """The operand with an axis a group, of all its letters."""
        perm = [terms[slot].index(letter) for group in groups for letter in group]
        return _arranged(parts, names[slot], perm, [prod(sizes[letter] for letter in group) for group in groups])

    if len(terms) == 1:
        return parts.finish(arranged(0, *result))
    both = [letter for letter in terms[0] if letter in terms[1] and letter in result]
    summed = "".join(letter for letter in terms[0] if letter not in result)
    rows, columns = ("".join(c for c in term if c in result and c not in both) for term in terms)
    matrices = arranged(0, *both, rows, summed), arranged(1, *both, summed, columns)
    shape = [*parts.shape(matrices[0])[:-1], parts.shape(matrices[1])[-1]]
    product = parts.add("MatMul", *matrices, shape=shape, integer_form=True)
    made = [*both, *rows, *columns]
    apart = _arranged(parts, product, range(len(shape)), [sizes[letter] for letter in made])
    perm = [made.index(letter) for letter in result]
    return parts.finish(_arranged(parts, apart, perm, [sizes[letter] for letter in result]))


def _arranged(parts: _Parts, x: str, perm: Sequence[int], shape: Sequence[int]) -> str:
    """Transposed, then in another shape."""
    data, before = parts.builder.values[x].data, parts.shape(x)
    if data is not None:
        return parts.constant(np.transpose(data, perm).reshape(shape))
    if list(perm) != sorted(perm):
        x = parts.add("Transpose", x, shape=[before[axis] for axis in perm], perm=tuple(perm))
    return x if parts.shape(x) == tuple(shape) else parts.reshaped(x, shape)


# Logic: choices between one operand and a constant, or the other operand


def _choose(parts: _Parts, condition: str, yes: str, no: str) -> str:
    return parts.add("Where", condition, yes, no, dtype="bool")


def _not(parts: _Parts, name: str) -> str:
    no, yes = (parts.constant(np.array(value)) for value in (False, True))
    return _choose(parts, name, no, yes)


def _logic(parts: _Parts) -> bool:
    op, (a, *others) = parts.node.op, parts.node.inputs
    if op == "Not":
        return parts.finish(_not(parts, a))
    (b,) = others
    yes = {"And": lambda: b, "Or": lambda: parts.constant(np.array(True)), "Xor": lambda: _not(parts, b)}[op]()
    no = parts.constant(np.array(False)) if op == "And" else b
    return parts.finish(_choose(parts, a, yes, no))


# Normalizations


def _centred(parts: _Parts, x: str, axes: Sequence[int]) -> tuple[str, str, str]:
    """(mean, x - mean, variance)."""
    mean = parts.reduced("ReduceMean", x, axes)
    apart = parts.add("Sub", x, mean)
    return mean, apart, parts.reduced("ReduceMean", parts.add("Mul", apart, apart), axes)


def _mean_variance_normalization(parts: _Parts) -> bool:
    axes = tuple(int(a) % len(parts.shape(parts.node.inputs[0])) for a in parts.node.attrs.get("axes", (0, 2, 3)))
    _, apart, variance = _centred(parts, parts.node.inputs[0], axes)
    return parts.finish(parts.add("Div", apart, parts.add("Add", parts.add("Sqrt", variance), parts.number(1e-9))))


def _layer_normalization(parts: _Parts) -> bool:
    """Where the mean or the deviation is read too, or the scale is broadcast; else it has a kernel."""
    node = parts.node
    x, scale = node.inputs[:2]
    shape = parts.shape(x)
    axis = int(node.attrs.get("axis", -1)) % len(shape)
    read = [parts.reads(slot) for slot in (1, 2)]
    if not any(read) and parts.shape(scale) == shape[axis:]:
        return False
    mean, apart, variance = _centred(parts, x, range(axis, len(shape)))
    factor = parts.add("Reciprocal", _root(parts, variance))
    y = parts.add("Mul", parts.add("Mul", apart, factor), scale)
    parts.finish(parts.add("Add", y, node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else y)
    for slot, name in ((1, mean), (2, factor)):
        if parts.reads(slot):
            parts.finish(name, slot)
    return True


def _root(parts: _Parts, variance: str) -> str:
    epsilon = parts.number(float(parts.node.attrs.get("epsilon", 1e-5)))
    return parts.add("Sqrt", parts.add("Add", variance, epsilon))


def _rms_normalization(parts: _Parts) -> bool:
    x, scale = parts.node.inputs
    rank = len(parts.shape(x))
    axes = range(int(parts.node.attrs.get("axis", -1)) % rank, rank)
    squares = parts.reduced("ReduceMean", parts.add("Mul", x, x), axes)
    return parts.finish(parts.add("Mul", parts.add("Div", x, _root(parts, squares)), scale))


def _group_normalization(parts: _Parts) -> bool:
    """An InstanceNormalization of the groups, then scale and bias: of each channel, or (before opset 21) each group."""
    x, *affine = parts.node.inputs
    shape, groups = parts.shape(x), int(parts.node.attrs["num_groups"])
    if groups < 1 or shape[1] % groups:
        raise UserError(
            f"{shape[1]} channels do not make {groups} groups",
            origin=parts.node.where,
            hint="Export it with groups of equal size.",
        )
    grouped = parts.reshaped(x, (shape[0], groups, int(np.prod(shape[1:])) // (groups or 1)))
    one, zero = (parts.constant(np.full(groups, value, np.float32)) for value in (1, 0))
    epsilon = float(parts.node.attrs.get("epsilon", 1e-5))
    normal = parts.add("InstanceNormalization", grouped, one, zero, shape=parts.shape(grouped), epsilon=epsilon)
    y = parts.reshaped(normal, shape)
    for op, name in zip(("Mul", "Add"), affine, strict=True):
        values = parts.builder.values[name].data
        if values is None:
            raise UserError("scale and bias must be constants", origin=parts.node.where, hint="Export weights inside.")
        repeated = np.repeat(values, shape[1] // values.size).reshape(-1, *(1,) * (len(shape) - 2))
        y = parts.add(op, y, parts.constant(repeated))
    return parts.finish(y)


def _same(parts: _Parts, x: str) -> str:
    return x


_FORMS: dict[str, Callable[[_Parts], bool]] = {
    "ReduceL1": _reduction(lambda parts, x: parts.add("Abs", x)),
    "ReduceL2": _reduction(lambda parts, x: parts.add("Mul", x, x), "Sqrt"),
    "ReduceSumSquare": _reduction(lambda parts, x: parts.add("Mul", x, x)),
    "ReduceLogSum": _reduction(_same, "Log"),
    "ReduceLogSumExp": _log_sum_exp,
    "Sum": _sum,
    "Mean": _mean,
    "Max": _choice,
    "Min": _choice,
    "And": _logic,
    "Or": _logic,
    "Xor": _logic,
    "Not": _logic,
    "Cast": _cast,
    "Equal": _equal,
    "Clip": _clip,
    "Relu": _clip,
    "OneHot": _one_hot,
    "Gather": _rows,
    "Trilu": _trilu,
    "Einsum": _einsum,
    "MeanVarianceNormalization": _mean_variance_normalization,
    "LayerNormalization": _layer_normalization,
    "RMSNormalization": _rms_normalization,
    "GroupNormalization": _group_normalization,
}
